# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to the cluster: the Kubernetes API and the pods' ports, both through kubectl.

One `kubectl proxy` on a private Unix socket does all authentication that a kubeconfig can ask for, so that a request
costs milliseconds, threads can send them side by side, and no client library has to be imported.
"""

from __future__ import annotations

import contextlib
import dataclasses
import email.utils
import functools
import http.client
import importlib
import json
import queue
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import quote

from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object, OrbitError

REQUEST_SECONDS = 30
PARALLEL = 8

# Port forwarding as websockets carry it: for each port a channel of data and one of errors.
_FORWARD = "v4.channel.k8s.io"

# Ends kubectl and removes its files when this process ends, however it ends: then the pipe on stdin closes. The end of
# kubectl itself shows as the end of its output, so the shell must not hold that open.
_GUARD = '"$@" & exec >&-; read -r _; rm -rf "$0"; kill 0'

# By default it refuses to exec, which is meant for sockets that others can reach.
_PROXY = ("proxy", "--reject-paths=^$")

_PLURALS = {
    "ConfigMap": "configmaps",
    "Namespace": "namespaces",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "Pod": "pods",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Secret": "secrets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "StatefulSet": "statefulsets",
    "StorageClass": "storageclasses",
}

# One of the package websocket-client, which is imported where it is needed: most runs ask the API alone.
WebSocket = Any

# What a program said, as a pattern; what it means; what to do. Its named groups fill that in; {what} is the first set.
Explanation = tuple[str, str, str]

_REACH = "Is the cluster running, and is this its kubeconfig? Try `kubectl get --raw /readyz`."
_LOG_IN = "Log in again or fetch the kubeconfig again, then try `kubectl auth whoami`."

# The first match counts.
_EXPLANATIONS: tuple[Explanation, ...] = (
    (
        r"\d: (?P<what>\S+): (?:not found|[Pp]ermission denied)$",
        "The command {what} cannot be run.",
        "Let the role prerequisites find or fetch it, or correct the path.",
    ),
    (
        r"(?:localhost|127\.0\.0\.1|\[::1\]):8080[^\n]*refused|[Nn]o configuration has been provided",
        "No cluster is configured: there is no kubeconfig.",
        "Set orbit_rs_kubeconfig or KUBECONFIG, then try `kubectl cluster-info`.",
    ),
    (
        r"context \"?(?P<what>[^\"\s]+)\"? does not exist|context was not found for specified context: (?P<what2>\S+)",
        "The kubeconfig has no context {what}.",
        "Choose one of `kubectl config get-contexts` as orbit_rs_context.",
    ),
    (
        r"(?:stat|open) (?P<what>\S+): (?:no such file|permission denied)",
        "The file {what} cannot be read.",
        "Check the path and its permissions; orbit_rs_kubeconfig names the kubeconfig.",
    ),
    (r"(?P<what>x509: [^\n\"]+)", "The certificate of the API server is refused: {what}.", _LOG_IN),
    (r"getting credentials: (?P<what>[^\n]+)", "The login command of the kubeconfig failed: {what}.", _LOG_IN),
    (
        r"(?:dial tcp|lookup) (?P<what>\S+?):? [^\n]*(?:refused|no such host|timeout|no route|unreachable)",
        "The API server does not answer at {what}.",
        _REACH,
    ),
    (r"(?:i/o|TLS handshake) timeout|deadline exceeded|onnection refused", "The API server does not answer.", _REACH),
    (
        r"Unauthorized|must be logged in|provide credentials",
        "The API server does not accept the credentials of the kubeconfig.",
        _LOG_IN,
    ),
    (
        r"User (?P<what>\"[^\"]+\" cannot [^\n]+)",
        "Forbidden: {what}.",
        "Ask for a role that allows it; `kubectl auth can-i --list` shows what is allowed.",
    ),
)


class ApiError(OrbitError):
    """The API server refused a request, or did not answer (status 500 and more)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        known = explain(message)
        super().__init__(known.seen, known.remedy)
        self.status = status
        self.reason = reason
        self.message = message


def explain(text: str, more: Sequence[Explanation] = ()) -> OrbitError:
    """One sentence and a remedy for what kubectl, Helm or the API server said; `more` is looked at first."""
    for pattern, seen, remedy in (*more, *_EXPLANATIONS):
        if match := re.search(pattern, text, re.MULTILINE):
            words = {name: (value or "").strip().rstrip(".") for name, value in match.groupdict().items()}
            words["what"] = next((word for word in words.values() if word), "")
            return OrbitError(seen.format(**words), remedy.format(**words))
    lines = [line for line in text.splitlines() if line and not line.startswith(("WARNING", "level="))]
    return OrbitError(re.sub(r"^[Ee]rror: ", "", lines[-1]) if lines else "It ended without a reason.")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=REQUEST_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclasses.dataclass(frozen=True)
class _Child:
    """A running kubectl: what it says, and what it complains about."""

    output: IO[str]
    errors: IO[str]

    def failure(self) -> OrbitError:
        """Why it has ended."""
        self.errors.seek(0)
        return explain(self.errors.read())


class Cluster:
    """A cluster as kubectl reaches it. A context manager: kubectl runs inside `with`, threads may share it."""

    def __init__(self, kubectl: str, kubeconfig: str = "", context: str = "") -> None:
        self._command = [kubectl]
        if kubeconfig:
            self._command.append(f"--kubeconfig={kubeconfig}")
        if context:
            self._command.append(f"--context={context}")
        self._stack = contextlib.ExitStack()
        self._starting = threading.Lock()
        self._serves = False
        self._clock = 0.0  # how far the cluster's clock is ahead of ours, in seconds
        self._plurals: dict[str, dict[str, str]] = {}  # by API path of a group version, then by kind

    def __enter__(self) -> Self:
        # The path of a Unix socket may not be longer than about 100 characters.
        root = tempfile.gettempdir()
        self._folder = Path(tempfile.mkdtemp(prefix="orbit-rs-", dir=root if len(root) < 70 else "/tmp"))  # mode 0700
        self._socket = self._folder / "socket"
        self._proxy = self._stack.enter_context(self._kubectl(self._folder, *_PROXY, f"--unix-socket={self._socket}"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def _kubectl(self, scratch: Path, *arguments: str) -> Iterator[_Child]:
        """Run kubectl until the end of `with`; `scratch`, a file or folder, is removed then."""
        with tempfile.TemporaryFile("w+", dir=self._folder) as errors:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, str(scratch), *self._command, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                process_group=0,
            )
            # The types allow None, which only other arguments would give.
            if not process.stdin or not process.stdout:
                raise AssertionError
            try:
                yield _Child(process.stdout, errors)
            finally:
                process.stdin.close()
                process.wait()
                process.stdout.close()

    def _wait(self) -> None:
        """Wait until the proxy serves, which it says on its output."""
        with self._starting:
            if not self._serves and not self._proxy.output.readline():
                raise self._proxy.failure()
            self._serves = True

    def _send(self, method: str, path: str, body: object, content_type: str) -> bytes:
        self._wait()
        connection = _UnixConnection(self._socket)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, {"Content-Type": content_type} if data else {})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(502, "BadGateway", f"No answer from the API server: {error!r}") from error
        finally:
            connection.close()
        if date := response.getheader("Date"):
            self._clock = email.utils.parsedate_to_datetime(date).timestamp() - time.time()
        if response.status >= 400:
            raise _error(response.status, response.reason, content)
        return content

    def now(self) -> datetime:
        """The time on the cluster's clock, as of the last answer, to the second."""
        return datetime.fromtimestamp(time.time() + self._clock, UTC)

    def request(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Object:
        """Send one request. Raises ApiError."""
        answer: Object = json.loads(self._send(method, path, body, content_type))
        return answer

    def apply(self, obj: Object, *, dry_run: bool = False) -> tuple[Object, Object]:
        """Apply an object on the server, also over fields of others; what it said before and after, {} when absent.

        The bookkeeping of the API server is left out of both. Raises ApiError.
        """
        path = self.path(obj)
        found = self.find(path)
        before = _content(found) if found else {}
        query = "?fieldManager=orbit.rs&force=true" + ("&dryRun=All" if dry_run else "")
        after = self.request("PATCH", path + query, obj, "application/apply-patch+yaml")
        return before, _content(after)

    def get(self, path: str) -> Object:
        """Read one object or list. Raises ApiError."""
        return self.request("GET", path)

    def version(self) -> str:
        """Version of Kubernetes, such as v1.37.2; "" when it may not be read. Raises ApiError."""
        answer = self.get_all(["/version"])[0]
        return "" if isinstance(answer, ApiError) else str(answer["gitVersion"])

    def find(self, path: str) -> Object | None:
        """Read one object; None when it does not exist. Raises ApiError."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def delete(self, path: str) -> bool:
        """Delete one object; whether it was there. Raises ApiError."""
        try:
            self.request("DELETE", path)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def get_all(self, paths: Sequence[str]) -> list[Object | ApiError]:
        """Read several paths side by side; an ApiError stands where one was refused."""

        def attempt(path: str) -> Object | ApiError:
            try:
                return self.get(path)
            except ApiError as error:
                return error

        return parallel(attempt, paths)

    def text(self, path: str) -> str:
        """Read something that is not an object, such as a log. Raises ApiError."""
        return self.content(path).decode(errors="replace")

    def content(self, path: str) -> bytes:
        """Read something that may not even be text. Raises ApiError."""
        return self._send("GET", path, None, "")

    def path(self, obj: Object) -> str:
        """API path of an object. Raises ApiError with status 404 when the cluster does not know its kind."""
        version = obj["apiVersion"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        plural = _PLURALS.get(obj["kind"]) or self._plural(root, obj["kind"])
        namespace = obj["metadata"].get("namespace")
        middle = f"/namespaces/{quote(namespace)}" if namespace else ""
        return f"{root}{middle}/{plural}/{quote(obj['metadata']['name'])}"

    def _plural(self, root: str, kind: str) -> str:
        if root not in self._plurals:
            found = self.get_all([root])[0]
            if isinstance(found, ApiError) and found.status != 404:
                raise found
            resources = () if isinstance(found, ApiError) else found.get("resources") or ()
            self._plurals[root] = {item["kind"]: item["name"] for item in resources if "/" not in item["name"]}
        if kind not in self._plurals[root]:
            raise ApiError(404, "NotFound", f"The cluster does not know the kind {kind} of {root.split('/', 2)[2]}.")
        return self._plurals[root][kind]

    def websocket(self, path: str, protocol: str) -> WebSocket:
        """Open a websocket to the API server; closing it is the caller's. Raises ApiError.

        `protocol` is the subprotocol that must be agreed on, such as v4.channel.k8s.io.
        """
        websocket: Any = importlib.import_module("websocket")  # has no types

        self._wait()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(REQUEST_SECONDS)
        channel: WebSocket = websocket.WebSocket(skip_utf8_validation=True)
        try:
            connection.connect(str(self._socket))
            channel.connect(f"ws://localhost{path}", socket=connection, subprotocols=[protocol], suppress_origin=True)
            if channel.getsubprotocol() != protocol:
                raise ApiError(501, "NotImplemented", f"The API server does not speak {protocol}.")
        except websocket.WebSocketBadStatusException as error:
            connection.close()
            raise _error(error.status_code, str(error), error.resp_body or b"") from error
        except (OSError, websocket.WebSocketException) as error:
            connection.close()
            raise ApiError(502, "BadGateway", f"No answer from the API server: {error!r}") from error
        return channel

    @contextlib.contextmanager
    def forward(self, namespace: str, pod: str, ports: Sequence[int]) -> Iterator[dict[int, int]]:
        """Forward ports of a pod; yields the local port on 127.0.0.1 of each. Raises ApiError."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward?ports="

        def tunnel(*ports: int) -> _Tunnel:
            return _Tunnel(self.websocket(path + "&ports=".join(map(str, ports)), _FORWARD), len(ports))

        wanted = sorted(set(ports))
        done = threading.Event()
        with contextlib.ExitStack() as stack:
            # The first connection to each port is made now, all in one: that the pod cannot be reached shows at once.
            first = stack.enter_context(contextlib.closing(tunnel(*wanted)))
            local = {}
            for number, port in enumerate(wanted):
                server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                local[port] = server.getsockname()[1]
                again = functools.partial(tunnel, port)
                threading.Thread(target=_serve, args=(server, first, number, again, done), daemon=True).start()
                # Closing a socket does not wake the thread that accepts on it.
                stack.callback(_knock, local[port])
            stack.callback(done.set)
            yield local


class _Tunnel:
    """A websocket to ports of a pod. Each has two channels, for data and for errors, that begin with its number."""

    def __init__(self, websocket: WebSocket, ports: int) -> None:
        self._websocket = websocket
        self._arrived = [queue.SimpleQueue[bytes]() for dummy in range(ports)]  # b"" is the end
        threading.Thread(target=self._read, daemon=True).start()

    def close(self) -> None:
        """End all connections."""
        self._websocket.shutdown()

    def carry(self, connection: socket.socket, number: int) -> None:
        """Carry a connection to and from the port of that number, until either side ends it."""
        for pump in (self._up, self._down):
            threading.Thread(target=pump, args=(connection, number), daemon=True).start()

    def _read(self) -> None:
        begun = set()
        with contextlib.suppress(Exception):  # however it ends, the clients must see it
            while frame := self._websocket.recv():
                number, error = divmod(frame[0], 2)
                if frame[0] not in begun:
                    begun.add(frame[0])
                elif frame[1:]:  # on the channel of errors: the pod does not listen there
                    self._arrived[number].put(b"" if error else frame[1:])
        for arrived in self._arrived:
            arrived.put(b"")

    def _up(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(Exception):
            while block := connection.recv(1 << 16):
                self._websocket.send_binary(bytes((2 * number,)) + block)
        self._arrived[number].put(b"")
        if len(self._arrived) == 1:  # nobody else uses it, and the pod sees the end only by this
            self.close()

    def _down(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):
            while content := self._arrived[number].get():
                connection.sendall(content)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()


def _serve(
    server: socket.socket, first: _Tunnel, number: int, again: Callable[[], _Tunnel], done: threading.Event
) -> None:
    """Carry the first connection to `server` through `first`, each other through a tunnel of its own, until `done`."""
    shared: _Tunnel | None = first
    while True:
        try:
            connection, dummy = server.accept()
        except OSError:
            return
        if done.is_set():
            connection.close()
            return
        if shared:
            shared.carry(connection, number)
            shared = None
            continue
        try:
            again().carry(connection, 0)
        except OrbitError:
            connection.close()


def _knock(port: int) -> None:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()


def parallel[T, R](function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Call a function for all items side by side; results in the order of the items."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(len(items), PARALLEL)) as pool:
        return list(pool.map(function, items))


def _content(obj: Object) -> Object:
    metadata = {k: v for k, v in obj.get("metadata", {}).items() if k not in ("managedFields", "resourceVersion")}
    return {**obj, "metadata": metadata}


def _error(status: int, reason: str, content: bytes) -> ApiError:
    try:
        answer = json.loads(content)
        return ApiError(status, answer.get("reason") or reason, answer.get("message") or reason)
    except (ValueError, AttributeError):
        return ApiError(status, reason, content.decode(errors="replace") or reason)
