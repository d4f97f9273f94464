# SPDX-License-Identifier: GPL-3.0-or-later
"""The real kubectl against a small API server on loopback; a script in its place where only its life counts."""

from __future__ import annotations

import asyncio
import dataclasses
import http.server
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from ansible_collections.orbit.rs.plugins.plugin_utils import snapshot
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster, explain
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError, Release
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils.test_helm import packed

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on the PATH")
KUBECTL, HELM = shutil.which("kubectl") or "", shutil.which("helm") or ""
NAMESPACE = "/api/v1/namespaces/orbit-rs"


class Api:
    """An API server: what it answers by path, or by method and path, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                outer.requests.append((self.command, self.path, body))
                missing = 404, {"reason": "NotFound", "message": f"{self.path} not found"}
                path = urlsplit(self.path).path
                known = outer.answers.get(path, missing)
                status, content = outer.answers.get(f"{self.command} {path}", known)
                data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PATCH = do_POST = do_DELETE = answer

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.kubeconfig = kubeconfig(folder, self.server.server_address[1])


def kubeconfig(folder: Path, port: int) -> str:
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(content))
    return str(path)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    server = Api(tmp_path)
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def cluster(api: Api) -> Iterator[Cluster]:
    with Cluster(KUBECTL, str(api.kubeconfig)) as one:
        yield one


def test_requests(api: Api, cluster: Cluster) -> None:
    api.answers = {
        "/version": (200, {"gitVersion": "v1.37.2"}),
        "/forbidden": (403, {"reason": "Forbidden", "message": 'User "eve" cannot list resource "pods" in ns'}),
        "/log": (200, "one\ntwo\n"),
        "/pods/x": (200, {"kind": "Pod"}),
    }
    assert cluster.get("/version") == {"gitVersion": "v1.37.2"}
    version, forbidden, missing = cluster.get_all(["/version", "/forbidden", "/missing"])
    assert version == {"gitVersion": "v1.37.2"}
    assert isinstance(forbidden, ApiError) and (forbidden.status, forbidden.reason) == (403, "Forbidden")
    assert forbidden.seen == 'Forbidden: "eve" cannot list resource "pods" in ns.'
    assert isinstance(missing, ApiError) and missing.status == 404
    assert cluster.text("/log") == "one\ntwo\n"
    cluster.request("PATCH", "/pods/x", {"a": 1}, "application/merge-patch+json")
    assert api.requests[-1] == ("PATCH", "/pods/x", {"a": 1})
    assert abs(cluster.now().timestamp() - time.time()) < 2


def test_paths_come_from_the_table_or_from_discovery(api: Api, cluster: Cluster) -> None:
    def obj(version: str, kind: str, **metadata: str) -> Object:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": "n", **metadata}}

    assert cluster.path(obj("v1", "Namespace")) == "/api/v1/namespaces/n"
    assert cluster.path(obj("apps/v1", "StatefulSet", namespace="s")) == "/apis/apps/v1/namespaces/s/statefulsets/n"
    resources = [{"name": "ingresses", "kind": "Ingress"}, {"name": "ingresses/status", "kind": "Ingress"}]
    api.answers["/apis/networking.k8s.io/v1"] = (200, {"resources": resources})
    for dummy in range(2):
        path = cluster.path(obj("networking.k8s.io/v1", "Ingress", namespace="s"))
        assert path == "/apis/networking.k8s.io/v1/namespaces/s/ingresses/n"
    discovery = [path for dummy, path, dummy in api.requests if path.startswith("/api")]
    assert discovery == ["/apis/networking.k8s.io/v1"], "only for a kind that is not in the table, and only once"
    with pytest.raises(ApiError, match=r"does not know the kind Thing of example\.com/v1") as error:
        cluster.path(obj("example.com/v1", "Thing"))
    assert error.value.status == 404


@pytest.mark.skipif(not HELM, reason="helm is not on the PATH")
def test_snapshot(api: Api, cluster: Cluster) -> None:
    running = {"spec": {"nodeName": "a", "containers": [{"resources": {"requests": {"cpu": "250m", "memory": "1Ki"}}}]}}
    claims = [{"metadata": {"name": name}} for name in ("data-orbit-server-0", "data-orbit-server-x-0", "other-0")]
    manifest = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\nkind: StatefulSet\nmetadata: {name: orbit-server}"
    )
    api.answers = {
        "/version": (200, {"gitVersion": "v1.37.2"}),
        "/api/v1/nodes": (403, {"message": "no"}),
        "/api/v1/pods": (200, {"items": [running, running]}),
        f"{NAMESPACE}/pods": (200, {"items": [{"metadata": {"name": "orbit-server-0"}}]}),
        f"{NAMESPACE}/persistentvolumeclaims": (200, {"items": claims}),
        f"{NAMESPACE}/secrets": (200, {"items": [packed(1, "superseded"), packed(2, "deployed", manifest)]}),
        f"{NAMESPACE}/configmaps/c": (200, {"kind": "ConfigMap"}),
    }
    release = Release("orbit-rs", "orbit-rs")
    found = snapshot.read(cluster, Helm(HELM, str(api.kubeconfig)), release)
    assert (found.kubernetes, found.helm[:1], found.namespace) == ("v1.37.2", "v", None)
    assert (found.nodes, found.storage_classes, found.denied) == (None, None, ("nodes",))
    assert [claim["metadata"]["name"] for claim in found.claims] == ["data-orbit-server-0"]
    assert found.requested == {"a": {"cpu": 0.5, "memory": 2048, "pods": 2}}
    assert found.release and (found.release.revision, found.release.deployed) == (2, 2)
    gone = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "gone", "namespace": "orbit-rs"}}
    found = snapshot.read_objects(cluster, found, (found.release.objects[0], gone))
    assert found.objects == {"ConfigMap/orbit-rs/c": {"kind": "ConfigMap"}}
    api.answers[f"{NAMESPACE}/pods"] = (500, {"message": "etcd is ill"})
    with pytest.raises(ApiError, match="etcd is ill"):
        snapshot.read(cluster, Helm(HELM, str(api.kubeconfig)), release)


def test_what_is_not_served_and_what_is_down_is_told_apart(api: Api, cluster: Cluster) -> None:
    api.answers = {
        "/apis/a.io": (200, {"versions": [{"groupVersion": "a.io/v1beta1"}]}),
        "/apis/metrics.k8s.io/v1beta1": (503, {"message": "no endpoints"}),
        "/api/v1/services": (200, {"items": [{"metadata": {"name": "s"}}]}),
    }
    wanted = [{"apiVersion": version, "kind": "K", "metadata": {"name": version}} for version in ("a.io/v1", "b.io/v1")]
    lists = {"metrics": "/apis/metrics.k8s.io/v1beta1", "services": "/api/v1/services", "none": "/apis/none/v1"}
    found = snapshot.read_objects(cluster, snapshot.EMPTY, wanted, lists)
    assert found.unserved == {"a.io/v1 K": ("a.io/v1beta1",), "b.io/v1 K": ()}
    assert found.lists == {"services": ({"metadata": {"name": "s"}},)}
    assert (found.objects, found.denied) == ({}, ())


@pytest.mark.parametrize(
    ("rules", "allowed", "reviews", "forbidden"),
    [
        ([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}], True, {"namespaces"}, set()),
        ([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}], False, {"namespaces"}, {"namespaces"}),
        (
            [{"verbs": ["*"], "apiGroups": [""], "resources": ["*"]}],
            True,
            {"namespaces", "statefulsets", "leases"},
            set(),
        ),
    ],
)
def test_access_is_asked_about_only_where_the_rules_do_not_say(
    api: Api, cluster: Cluster, rules: list[Object], allowed: bool, reviews: set[str], forbidden: set[str]
) -> None:
    api.answers = {
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": (201, {"status": {"allowed": allowed}}),
    }
    desired = data.wanted([obj for obj in data.rendered() if obj["kind"] in ("Service", "StatefulSet")])
    before = dataclasses.replace(snapshot.EMPTY, rules=tuple(rules))
    found = snapshot.read_access(cluster, before, desired)
    asked = {body["spec"]["resourceAttributes"]["resource"] for dummy, dummy, body in api.requests if body}
    assert asked == reviews
    assert {request.resource for request in found.forbidden} == forbidden


def test_the_control_host_knows_its_versions() -> None:
    assert snapshot._controller()["ansible-core"].startswith("2.")


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda path: Cluster(KUBECTL, str(path / "none")), "none cannot be read"),
        (lambda path: Cluster(str(path / "kubectl"), ""), "kubectl cannot be run"),
        (lambda path: Cluster(KUBECTL, str(path / "kubeconfig"), "nope"), "no context nope"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_a_sentence(
    prepare: Callable[[Path], Cluster], says: str, api: Api, tmp_path: Path
) -> None:
    with pytest.raises(OrbitError, match=says) as error, prepare(tmp_path) as cluster:
        cluster.get("/version")
    assert error.value.remedy


def test_an_api_server_that_is_gone_is_a_sentence(api: Api, cluster: Cluster) -> None:
    api.server.shutdown()
    api.server.server_close()
    with pytest.raises(ApiError, match=r"does not answer at 127\.0\.0\.1") as error:
        cluster.get("/version")
    assert error.value.status >= 500


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (
            "error: dial tcp 10.0.0.1:6443: connect: connection refused",
            "does not answer at 10.0.0.1:6443.",
        ),
        ("dial tcp: lookup api.example on 10.0.0.2:53: no such host", "The API server does not answer at api.example"),
        ("dial tcp 127.0.0.1:8080: connect: connection refused", "No cluster is configured"),
        ("Get x: net/http: TLS handshake timeout", "The API server does not answer."),
        ("tls: failed to verify certificate: x509: certificate has expired", "refused: x509: certificate has expired."),
        ("getting credentials: exec: executable aws not found\nmore", "failed: exec: executable aws not found."),
        ("error: You must be logged in to the server (Unauthorized)", "does not accept the credentials"),
        ("WARNING: old\nerror: something else", "something else"),
        ("", "without a reason"),
    ],
)
def test_explain(text: str, seen: str) -> None:
    assert seen in explain(text).seen


def script(path: Path, text: str) -> str:
    file = path / "kubectl"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


def test_apply_says_what_changed_and_sends_dry_runs_as_such(api: Api, cluster: Cluster) -> None:
    path = "/api/v1/namespaces/n"
    wanted = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    stored = {**wanted, "metadata": {"name": "n", "resourceVersion": "7", "managedFields": []}}
    sent = f"{path}?fieldManager=orbit.rs&force=true"
    api.answers = {f"PATCH {path}": (200, stored)}
    assert cluster.apply(wanted) == ({}, wanted)
    assert api.requests[-1] == ("PATCH", sent, wanted)
    api.answers[path] = (200, {**stored, "metadata": {"name": "n", "resourceVersion": "6"}})
    assert cluster.apply(wanted, dry_run=True) == (wanted, wanted)
    assert api.requests[-1][1].endswith("&dryRun=All")
    api.answers[path] = (403, {"reason": "Forbidden", "message": "no"})
    with pytest.raises(ApiError):
        cluster.apply(wanted)


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[str]:
    """The kubeconfig of an API server that forwards: port 6379 of pod-0 sends back what it gets, 1 is closed."""
    started: queue.Queue[tuple[int, Callable[[], object]]] = queue.Queue()

    async def forward(request: web.Request) -> web.StreamResponse:
        if request.match_info["pod"] != "pod-0":
            return web.json_response({"reason": "NotFound", "message": 'pods "x" not found'}, status=404)
        tunnel = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
        await tunnel.prepare(request)
        for number, port in enumerate(map(int, request.query.getall("ports"))):
            for channel in (2 * number, 2 * number + 1):
                await tunnel.send_bytes(bytes((channel,)) + port.to_bytes(2, "little"))
            if port == 1:
                await tunnel.send_bytes(bytes((2 * number + 1,)) + b"connection refused")
        async for message in tunnel:
            await tunnel.send_bytes(message.data)
        return tunnel

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/api/v1/namespaces/ns/pods/{pod}/portforward", forward)
        runner = web.AppRunner(app, shutdown_timeout=2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        started.put((runner.addresses[0][1], lambda: loop.call_soon_threadsafe(stop.set)))
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    port, end = started.get(timeout=10)
    yield kubeconfig(tmp_path, port)
    end()
    thread.join(10)


def test_forward(pods: str) -> None:
    with Cluster(KUBECTL, pods) as cluster, cluster.forward("ns", "pod-0", [6379, 1]) as ports:
        for dummy in range(3):  # the first goes through the tunnel of all ports, the others through their own
            with socket.create_connection(("127.0.0.1", ports[6379]), 5) as one:
                for size in (1, 100_000):
                    one.sendall(b"x" * size)
                    with one.makefile("rb") as answers:
                        assert answers.read(size) == b"x" * size
        with socket.create_connection(("127.0.0.1", ports[1]), 5) as one:
            assert one.recv(1) == b"", "a closed port of the pod closes the connection"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports[6379]), 5)


def test_forward_to_a_pod_that_is_not_there(pods: str) -> None:
    refused = pytest.raises(ApiError, match='"x" not found')
    with refused as error, Cluster(KUBECTL, pods) as cluster, cluster.forward("ns", "x", [6379]):
        raise AssertionError
    assert error.value.status == 404


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_kubectl_and_its_socket_go_when_the_process_is_killed(end: signal.Signals, tmp_path: Path) -> None:
    said = tmp_path / "said"
    kubectl = script(tmp_path, f'echo "$$ $*" > {said}.new; mv {said}.new {said}; exec sleep 60')
    code = f"import time; from {Cluster.__module__} import Cluster\nwith Cluster({kubectl!r}): time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )

    def until(condition: Callable[[], bool]) -> bool:
        end = time.monotonic() + 10
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)
        return condition()

    try:
        assert until(said.exists)
        pid, path = re.fullmatch(r"(\d+) proxy .*--unix-socket=(.*)\n", said.read_text()).groups()  # type: ignore[union-attr]
        folder = Path(path).parent
        assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        process.send_signal(end)
        process.wait()
    assert until(lambda: not alive(int(pid))) and until(lambda: not folder.exists())
