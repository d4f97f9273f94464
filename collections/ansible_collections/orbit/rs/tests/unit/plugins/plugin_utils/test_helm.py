# SPDX-License-Identifier: GPL-3.0-or-later
"""The real helm, on charts that need no cluster."""

from __future__ import annotations

import base64
import functools
import gzip
import http.server
import json
import re
import shutil
import subprocess
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import helm as helm_module
from ansible_collections.orbit.rs.plugins.plugin_utils import objects
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import explain
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm, newest
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError, Release

needs_helm = pytest.mark.skipif(not shutil.which("helm"), reason="helm is not on the PATH")
CHART = Path(helm_module.__file__).parents[2] / "charts" / "orbit-rs"
RELEASE = Release("orbit-rs", "somewhere")


def packed(revision: int, status: str, manifest: str = "", *, compressed: bool = True) -> Object:
    """A revision as Helm keeps it in a Secret."""
    content = json.dumps(
        {
            "name": "orbit-rs",
            "namespace": "orbit-rs",
            "version": revision,
            "info": {"status": status, "last_deployed": "2026-11-24T16:39:26Z"},
            "chart": {"metadata": {"name": "orbit-rs", "version": "0.1.0", "appVersion": "v0.1.0"}},
            "config": {"a": 1},
            "manifest": manifest,
        }
    ).encode()
    data = base64.b64encode(base64.b64encode(gzip.compress(content) if compressed else content)).decode()
    labels = {"name": "orbit-rs", "owner": "helm", "version": str(revision), "status": status}
    return {"type": "helm.sh/release.v1", "metadata": {"labels": labels}, "data": {"release": data}}


@pytest.fixture
def helm() -> Helm:
    return Helm(shutil.which("helm") or "")


@needs_helm
def test_version(helm: Helm) -> None:
    assert helm.version().startswith("v")


@needs_helm
def test_template_takes_the_values_and_fills_in_the_namespace(helm: Helm) -> None:
    values = {"orbitServer": {"replicaCount": 5}, "nameOverride": "other"}
    found = helm.template(RELEASE, str(CHART), values, kubernetes="v1.37.2")
    statefulset = objects.find(found, "StatefulSet")
    assert statefulset and statefulset["spec"]["replicas"] == 5
    assert objects.key(statefulset) == "StatefulSet/somewhere/other"
    assert all(obj["metadata"]["namespace"] == "somewhere" for obj in found)


@needs_helm
def test_values_never_show_on_the_command_line_and_their_file_is_private(tmp_path: Path) -> None:
    spy = tmp_path / "helm"
    spy.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/said\nfor a; do case $a in --values=*) f=${{a#--values=}};; esac; done\n'
        f"stat -c %a $f > {tmp_path}/mode; cat $f > {tmp_path}/values; echo $f > {tmp_path}/name\n"
    )
    spy.chmod(0o755)
    Helm(str(spy)).template(RELEASE, "chart", {"password": "secret"})
    assert "secret" not in (tmp_path / "said").read_text()
    assert (tmp_path / "mode").read_text().strip() == "600"
    assert json.loads((tmp_path / "values").read_text()) == {"password": "secret"}
    assert not Path((tmp_path / "name").read_text().strip()).exists()


@needs_helm
@pytest.mark.parametrize(
    ("chart", "values", "kubernetes", "says"),
    [
        (CHART, {"orbitServer": {"replicaCont": 3}}, "v1.37.2", "refuses the values:\n.*replicaCont"),
        (CHART, {}, "v1.10.0", "does not support this Kubernetes"),
    ],
)
def test_what_helm_refuses_is_a_sentence(
    helm: Helm, chart: Path, values: dict[str, Any], kubernetes: str, says: str
) -> None:
    with pytest.raises(OrbitError, match=f"(?s){says}") as error:
        helm.template(RELEASE, str(chart), values, kubernetes=kubernetes)
    assert error.value.remedy


def test_a_helm_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(OrbitError, match="/nowhere/helm cannot be run"):
        Helm("/nowhere/helm").version()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A real chart repository on loopback with one archive in it; the archive and the URL."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path_factory.mktemp("repository")
    tool = Helm(shutil.which("helm") or "")
    tool._run("package", str(CHART), f"--destination={folder}")
    tool._run("repo", "index", str(folder))
    (archive,) = folder.glob("*.tgz")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield archive, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@needs_helm
def test_chart_and_schema(helm: Helm, repository: tuple[Path, str]) -> None:
    from_folder = helm.chart(str(CHART))
    assert from_folder[0].startswith("orbit-rs-") and from_folder[1].startswith("v")
    archive = str(repository[0])
    assert helm.chart(archive) == from_folder
    assert "properties" in helm.schema(str(CHART))
    assert helm.schema(archive) == helm.schema(str(CHART))


@needs_helm
def test_a_chart_is_fetched_whole_from_where_it_is(
    helm: Helm, repository: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    archive, url = repository
    version = helm.chart(str(CHART))[0].removeprefix("orbit-rs-")
    assert helm.local(str(CHART)) == helm.local(str(CHART), version) == str(CHART)
    assert helm.local(str(archive)) == str(archive)
    for fetched in (helm.local("orbit-rs", version, url), helm.local("orbit-rs", "", url)):
        assert Path(fetched).read_bytes() == archive.read_bytes()
        assert Path(fetched).is_relative_to(tmp_path)
        assert [path.name for path in Path(fetched).parent.iterdir()] == [archive.name]
    direct = helm.local(f"{url}/{archive.name}")
    assert Path(direct).read_bytes() == archive.read_bytes()


@needs_helm
@pytest.mark.parametrize(
    ("chart", "version", "says"),
    [
        (str(CHART), "77.0.0", "orbit_rs_chart_version asks for 77.0.0"),
        ("/nowhere/chart", "", "There is no chart /nowhere/chart"),
        ("./nowhere", "", "There is no chart ./nowhere"),
        ("nowhere", "", "The chart nowhere of {url} cannot be fetched: "),
        ("orbit-rs", "77.0.0", "The chart orbit-rs 77.0.0 of {url} cannot be fetched: "),
        ("{url}/nowhere.tgz", "", "The chart {url}/nowhere.tgz cannot be fetched: "),
        ("oci://127.0.0.1:1/orbit-rs", "0.1.0", "The chart oci://127.0.0.1:1/orbit-rs 0.1.0 cannot be fetched: "),
    ],
)
def test_a_chart_that_cannot_be_had_is_a_sentence(
    helm: Helm, repository: tuple[Path, str], chart: str, version: str, says: str
) -> None:
    url = repository[1]
    plain = chart in ("nowhere", "orbit-rs")
    with pytest.raises(OrbitError) as error:
        helm.local(chart.format(url=url), version, url if plain else "")
    assert says.format(url=url) in error.value.seen and "orbit_rs_chart" in error.value.remedy


@needs_helm
def test_a_repository_that_is_none(helm: Helm) -> None:
    with pytest.raises(
        OrbitError, match=r"chart orbit-rs of http://127\.0\.0\.1:1 cannot be fetched: .*refused"
    ) as error:
        helm.local("orbit-rs", "", "http://127.0.0.1:1")
    assert "orbit_rs_chart_repository" in error.value.remedy


@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"nothing")], ids=["empty", "text", "gzip"])
def test_an_archive_that_is_none(content: bytes, helm: Helm, tmp_path: Path) -> None:
    (tmp_path / "chart.tgz").write_bytes(content)
    with pytest.raises(OrbitError, match=r"no archive|no Chart\.yaml") as error:
        helm.chart(str(tmp_path / "chart.tgz"))
    assert "orbit_rs_chart" in error.value.remedy


def test_newest_is_the_highest_revision_whatever_its_status() -> None:
    secrets = [packed(9, "superseded"), packed(10, "deployed"), packed(11, "pending-upgrade", compressed=False)]
    found = newest(secrets)
    assert found and (found.revision, found.status, found.deployed) == (11, "pending-upgrade", 10)
    assert (found.chart, found.app_version, found.values) == ("orbit-rs-0.1.0", "v0.1.0", {"a": 1})
    assert newest([]) is None
    assert newest([{"type": "Opaque"}]) is None


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress", "was interrupted"),
        ("Error: execution error at (orbit-rs/templates/x.yaml:1:3): replicaCount is bad", "replicaCount is bad."),
        ("Error: unknown flag: --no-hooks", "does not know the option --no-hooks"),
        ("Error: something else", "something else"),
    ],
)
def test_explain(text: str, seen: str) -> None:
    assert seen in explain(text, helm_module.EXPLANATIONS).seen


# Recorded with Helm 4.3.1 on Kubernetes 1.37.2; a refusing webhook, the older form and the conflict as they are known.
REFUSED = {
    "quota": (
        """Failure when executing Helm command. Exited 1.
stdout: Release "orbit-rs" does not exist. Installing it now.

stderr: Error: services "orbit-server" is forbidden: exceeded quota: q, requested: services=1, used: services=0
services "orbit-server-headless" is forbidden: exceeded quota: q, requested: services=1, used: services=0""",
        'A quota of the namespace does not allow services "orbit-server": q, requested: services=1, used: services=0.',
        "describe quota",
    ),
    "policy": (
        "Error: statefulsets.apps \"orbit-server\" is forbidden: ValidatingAdmissionPolicy 'p.example' with binding 'b'"
        " denied request: no databases here",
        'The admission policy p.example refuses statefulsets.apps "orbit-server": no databases here.',
        "kubectl get validatingadmissionpolicy p.example -o yaml",
    ),
    "webhook refuses": (
        'Error: admission webhook "w.example" denied the request: no owner',
        "The admission webhook w.example refuses an object of the release: no owner.",
        "orbit_rs_values",
    ),
    "webhook is silent": (
        'Error: Internal error occurred: failed calling webhook "w.example": failed to call webhook: Post'
        ' "https://no-such.ns.svc:443/?timeout=2s": service "no-such" not found',
        "The admission webhook w.example does not answer",
        "Repair or remove it",
    ),
    "terminating": (
        'Error: create: failed to create: secrets "sh.helm.release.v1.i.v1" is forbidden: unable to create new content'
        " in namespace ns because it is being terminated",
        "The namespace is being deleted.",
        "kubectl wait --for=delete",
    ),
    "namespace": (
        'Error: create: failed to create: namespaces "none" not found',
        "There is no namespace none.",
        "kubectl create namespace none",
    ),
    "crd": (
        'Error: unable to build kubernetes objects from release manifest: resource mapping not found for name: "x"'
        ' namespace: "" from "": no matches for kind "ServiceMonitor" in version "monitoring.coreos.com/v1"\n'
        "ensure CRDs are installed first",
        "The cluster does not know the kind ServiceMonitor of monitoring.coreos.com/v1.",
        "Install its CRDs",
    ),
    "owner": (
        'Error: unable to continue with install: Service "orbit-server" in namespace "ns" exists and cannot be imported'
        " into the current release: invalid ownership metadata; label validation error: missing key",
        'Service "orbit-server" in namespace "ns" is there already, and does not belong to this release.',
        "meta.helm.sh/release-name",
    ),
    "immutable": (
        'Error: UPGRADE FAILED: cannot patch "orbit-server" with kind StatefulSet: StatefulSet.apps "orbit-server" is'
        ' invalid: spec.volumeClaimTemplates: Invalid value: [{"name":"data"}]: field is immutable',
        'StatefulSet.apps "orbit-server" cannot be changed in place: spec.volumeClaimTemplates is immutable.',
        "orbit.rs.plan",
    ),
    "immutable, older Kubernetes": (
        'Error: UPGRADE FAILED: cannot patch "orbit-server" with kind StatefulSet: StatefulSet.apps "orbit-server" is'
        " invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden",
        'StatefulSet.apps "orbit-server" cannot be changed in place: spec is immutable.',
        "orbit.rs.plan",
    ),
    "invalid": (
        'Error: Service "x" is invalid: spec.ports[0].port: Invalid value: 70000: must be 1 to 65535',
        'The cluster does not accept Service "x": spec.ports[0].port: Invalid value: 70000: must be 1 to 65535.',
        "orbit_rs_values",
    ),
    "type": (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct'
        " field ConfigMap.data of type string",
        "The cluster does not accept a ConfigMap of the chart: json: cannot unmarshal number",
        "quotes",
    ),
    "conflict": (
        "conflict occurred while applying object ns/orbit-server apps/v1, Kind=StatefulSet: Apply"
        ' failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas',
        "A field is owned by kubectl, which has changed it in the cluster: .spec.replicas.",
        "orbit.rs.plan",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_cluster_refuses_while_helm_applies_is_a_sentence(case: str) -> None:
    text, seen, remedy = REFUSED[case]
    found = explain(text, helm_module.EXPLANATIONS)
    assert found.seen.startswith(seen)
    assert remedy in found.remedy


@needs_helm
def test_the_guard_knows_the_version_and_passes_everything_else_on() -> None:
    tool, held = Helm("helm", version="v9.8.7"), types.SimpleNamespace(when_lost=[])
    with tool.guarded(held) as command:  # type: ignore[arg-type]
        said = [
            subprocess.run((command, *words), check=True, capture_output=True, text=True).stdout
            for words in (("version",), ("version", "--short"))
        ]
        failed = subprocess.run((command, "nonsense"), check=False, capture_output=True, text=True)
    # As kubernetes.core reads it.
    assert re.match(r'version.BuildInfo{Version:"v(.*?)",', said[0])[1] == "9.8.7"  # type: ignore[index]
    assert "9.8.7" not in said[1] and said[1].startswith("v")
    assert failed.returncode and "nonsense" in failed.stderr
