# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm as a process: what is deployed, and what a chart renders. The playbooks apply with kubernetes.core.helm."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.orbit.rs.plugins.plugin_utils import cluster, lock, objects, tools
from ansible_collections.orbit.rs.plugins.plugin_utils.model import HelmRelease, Object, OrbitError, Release

# Helm must not outlive the run that started it: it would write over what the next one does. The end of the pipe tells.
# kubernetes.core asks for the version three times in each run, which is known.
_GUARD = """#!/bin/sh
if [ "$*" = version ]; then echo {version}; exit; fi
{helm} "$@" &
child=$!
{{ read -r _ < {alive}; kill $child; }} < /dev/null > /dev/null 2>&1 &
guard=$!
wait $child
code=$?
kill $guard
exit $code
"""

SECONDS = 120  # until a call is given up; a chart may come from a registry

_CHART_REMEDY = (
    "Correct orbit_rs_chart: a folder, an archive, an OCI reference, or a name in orbit_rs_chart_repository, with "
    "orbit_rs_chart_version for one version of it."
)

EXPLANATIONS: tuple[cluster.Explanation, ...] = (
    (
        r"values don't meet the specifications of the schema[^\n]*\n(?P<what>(?:.|\n)*)",
        "The chart refuses the values:\n{what}",
        "Correct orbit_rs_values; `helm show values CHART` shows every key.",
    ),
    (
        r"another operation \(install/upgrade/rollback\) is in progress",
        "An operation of Helm on this release was interrupted, or is still running.",
        "See `helm history RELEASE -n NAMESPACE`. When no Helm runs any more, `helm rollback RELEASE REVISION` to the"
        " last revision that is deployed frees it.",
    ),
    (
        r"(?P<what>chart requires kubeVersion: [^\n]+)",
        "The chart does not support this Kubernetes: {what}.",
        "Upgrade the cluster, or choose another orbit_rs_chart_version.",
    ),
    (
        r"execution error at \(\S+\): (?P<what>[^\n]+)",
        "The chart refuses the values: {what}.",
        "Correct orbit_rs_values; `helm show values CHART` shows every key.",
    ),
    (
        r"path \"?(?P<what>\S+?)\"? not found|Chart\.yaml file is missing|failed to download \"(?P<name>[^\"]+)\"",
        "There is no chart {what}.",
        _CHART_REMEDY,
    ),
    (
        r"unknown (?:shorthand )?flag: (?P<what>\S+)",
        "This Helm does not know the option {what}.",
        "Let the role prerequisites fetch the pinned version, Helm 3.14 or newer.",
    ),
    # What the cluster refuses while Helm applies.
    (
        r"(?P<what>\S+ \"[^\"]+\") is forbidden: exceeded quota: (?P<rest>[^\n]+)",
        "A quota of the namespace does not allow {what}: {rest}.",
        "Raise it, or ask for less: `kubectl -n NAMESPACE describe quota`. Then deploy again.",
    ),
    (
        r"(?P<what>\S+ \"[^\"]+\") is forbidden: ValidatingAdmissionPolicy '(?P<name>[^']+)'"
        r" with binding '[^']+' denied request: (?P<rest>[^\n]+)",
        "The admission policy {name} refuses {what}: {rest}.",
        "Satisfy its rule in orbit_rs_values: `kubectl get validatingadmissionpolicy {name} -o yaml`.",
    ),
    (
        r"admission webhook \"(?P<name>[^\"]+)\" denied the request: (?P<rest>[^\n]+)",
        "The admission webhook {name} refuses an object of the release: {rest}.",
        "Satisfy its rule in orbit_rs_values.",
    ),
    (
        r"failed calling webhook \"(?P<name>[^\"]+)\": (?P<rest>[^\n]+)",
        "The admission webhook {name} does not answer, so objects of the release cannot be written: {rest}.",
        "Repair or remove it: `kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations`.",
    ),
    (
        r"because it is being terminated",
        "The namespace is being deleted.",
        "Wait until it is gone, `kubectl wait --for=delete namespace/NAMESPACE`, then deploy again.",
    ),
    (
        r"namespaces \"(?P<what>[^\"]+)\" not found",
        "There is no namespace {what}.",
        "Create it: `kubectl create namespace {what}`.",
    ),
    (
        r"no matches for kind \"(?P<what>[^\"]+)\" in version \"(?P<name>[^\"]+)\"",
        "The cluster does not know the kind {what} of {name}.",
        "Install its CRDs, or turn off what asks for it in orbit_rs_values.",
    ),
    (
        r"(?P<what>\S+ \"[^\"]+\" in namespace \"[^\"]+\") exists and cannot be imported into the current release",
        "{what} is there already, and does not belong to this release.",
        "Delete it, or have it adopted: label it app.kubernetes.io/managed-by=Helm and annotate it"
        " meta.helm.sh/release-name and meta.helm.sh/release-namespace.",
    ),
    (
        r"(?P<what>\S+ \"[^\"]+\") is invalid: (?P<name>[\w.\[\]]+): .*(?:is immutable|updates to statefulset spec)",
        "{what} cannot be changed in place: {name} is immutable.",
        "Set the old value to deploy everything else. `ansible-playbook orbit.rs.plan` shows what differs.",
    ),
    (
        r"(?P<what>\S+ \"[^\"]+\") is invalid: (?P<rest>[^\n]+)",
        "The cluster does not accept {what}: {rest}.",
        "Correct what is named in orbit_rs_values.",
    ),
    (
        r"(?P<what>\w+) in version \"[^\"]+\" cannot be handled as a \w+: (?P<rest>[^\n]+)",
        "The cluster does not accept a {what} of the chart: {rest}.",
        "Correct what is named in orbit_rs_values; text that looks like a number needs quotes.",
    ),
    (
        r"conflict with \"(?P<what>[^\"]+)\"[^\n:]*: *(?P<rest>[^\n]+)",
        "A field is owned by {what}, which has changed it in the cluster: {rest}.",
        "See it with `ansible-playbook orbit.rs.plan`, and set the wanted value in orbit_rs_values.",
    ),
)


class Helm:
    """The helm command, for one cluster."""

    def __init__(self, binary: str, kubeconfig: str = "", context: str = "", version: str = "") -> None:
        self._binary = binary
        self._version = version
        self._connection = []
        if kubeconfig:
            self._connection.append(f"--kubeconfig={kubeconfig}")
        if context:
            self._connection.append(f"--kube-context={context}")

    def _run(self, *arguments: str, explanations: Sequence[cluster.Explanation] = EXPLANATIONS) -> str:
        """Standard output of helm. Raises OrbitError when it fails."""
        try:
            done = subprocess.run(
                [self._binary, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except OSError as error:
            raise OrbitError(
                f"{self._binary} cannot be run: {error.strerror}.",
                "Let the role prerequisites find or fetch helm, or correct the path.",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise OrbitError(
                f"`helm {arguments[0]}` did not end in {SECONDS} s.", "Is the cluster or the registry reachable?"
            ) from error
        if done.returncode:
            raise cluster.explain(done.stderr, explanations)
        return done.stdout

    @contextlib.contextmanager
    def guarded(self, held: lock.Held) -> Iterator[str]:
        """A command that is this helm, and is ended when the lock is lost or this process is killed."""
        with tempfile.TemporaryDirectory(prefix="orbit-rs-") as folder:
            alive, command = Path(folder, "alive"), Path(folder, "helm")
            os.mkfifo(alive, 0o600)
            version = f'version.BuildInfo{{Version:"{self.version()}", }}'
            words = {"helm": self._path(), "alive": str(alive), "version": version}
            command.write_text(_GUARD.format(**{name: shlex.quote(word) for name, word in words.items()}))
            command.chmod(0o700)
            # For reading, too: for writing alone it would wait for a reader.
            with contextlib.closing(os.fdopen(os.open(alive, os.O_RDWR), "r+b", buffering=0)) as ours:
                held.when_lost.append(ours.close)
                try:
                    yield str(command)
                finally:
                    held.when_lost.remove(ours.close)

    def _path(self) -> str:
        return shutil.which(self._binary) or self._binary

    def version(self) -> str:
        """Version of helm, such as v4.3.1."""
        self._version = self._version or self._run("version", "--template={{.Version}}").strip()
        return self._version

    def status(self, release: Release) -> HelmRelease | None:
        """Newest revision of a release whatever its status, pending included; None when there is none."""
        where = [release.name, f"--namespace={release.namespace}", "--output=json", *self._connection]
        # The status has no chart in it, the metadata no values and no manifest.
        commands = (("status",), ("get", "metadata"), ("history",))
        try:
            answers = cluster.parallel(lambda command: self._run(*command, *where), commands)
        except OrbitError as error:
            if "release: not found" in error.seen:
                return None
            raise
        status, metadata, history = map(json.loads, answers)
        deployed = [item["revision"] for item in history if item["status"] == "deployed"]
        return _release(
            {**status, "chart": {"metadata": {**metadata, "name": metadata["chart"]}}}, max(deployed, default=0)
        )

    def history(self, release: Release) -> list[dict[str, Any]]:
        """Every revision, each with revision, updated, status, chart, app_version and description; [] without any."""
        where = [release.name, f"--namespace={release.namespace}", "--output=json", *self._connection]
        try:
            found: list[dict[str, Any]] = json.loads(self._run("history", *where))
        except OrbitError as error:
            if "release: not found" in error.seen:
                return []
            raise
        return found

    def rollback(self, release: Release, revision: int) -> None:
        """Make an earlier revision the newest one, without waiting for its pods. Raises OrbitError."""
        # Helm 4 applies on the server by default, and would fail on fields that somebody else has touched.
        method = [] if self.version().startswith("v3") else ["--server-side=false"]
        self._run(
            "rollback", release.name, str(revision), f"--namespace={release.namespace}", *method, *self._connection
        )

    def template(
        self,
        release: Release,
        chart: str,
        values: Mapping[str, Any],
        *,
        kubernetes: str = "",
    ) -> tuple[Object, ...]:
        """What a folder or archive renders with these values, for this version of Kubernetes. Raises OrbitError."""
        # Hooks and CRDs are not part of the stored manifest, so they are not compared.
        arguments = [
            "template",
            release.name,
            chart,
            f"--namespace={release.namespace}",
            "--no-hooks",
            "--include-crds",
        ]
        if kubernetes:
            arguments.append(f"--kube-version={kubernetes}")
        with tempfile.NamedTemporaryFile("w", prefix="orbit-rs-", suffix=".json") as file:  # mode 0600
            json.dump(values, file)
            file.flush()
            return objects.parse(self._run(*arguments, f"--values={file.name}"), release.namespace)

    def local(self, chart: str, version: str = "", repository: str = "") -> str:
        """Path of a chart on this machine: a folder or an archive as it is, any other as it was fetched just now.

        Raises OrbitError, also for a folder or archive that is not of this version.
        """
        if Path(chart).exists():
            found = self.chart(chart)[0]
            if version and not found.endswith(f"-{version}"):
                raise OrbitError(
                    f"The chart {chart} is {found}; orbit_rs_chart_version asks for {version}.",
                    "Leave orbit_rs_chart_version out, or name the chart that has this version.",
                )
            return chart
        if chart.startswith(("/", ".", "~")):
            raise OrbitError(f"There is no chart {chart}.", _CHART_REMEDY)
        more = [f"--version={version}"] if version else []
        more += [f"--repo={repository}"] if repository else []
        what = " ".join(filter(None, (chart, version, f"of {repository}" if repository else "")))
        # Whatever helm says here is about the registry or repository, not about the cluster.
        failed = (
            (r"^Error: (?P<what>[^\n]+)", f"The chart {_literal(what)} cannot be fetched: {{what}}.", _CHART_REMEDY),
        )
        name = hashlib.sha256("\n".join((chart, version, repository)).encode()).hexdigest()[:16]
        folder = tools.cache_folder() / "charts" / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                self._run("pull", chart, f"--destination={scratch}", *more, explanations=failed)
                (archive,) = Path(scratch).glob("*.tgz")
                return str(archive.replace(folder / archive.name))
        except OSError as error:
            raise OrbitError(
                f"The chart cannot be kept in {folder}: {error.strerror}.", "Let XDG_CACHE_HOME name a folder of yours."
            ) from error

    def chart(self, chart: str) -> tuple[str, str]:
        """Name-version and appVersion of a folder or archive: ("orbit-rs-0.1.0", "v0.1.0"). Raises OrbitError."""
        data = self.metadata(chart)
        return f"{data['name']}-{data['version']}", str(data.get("appVersion") or "")

    def metadata(self, chart: str) -> dict[str, Any]:
        """What Chart.yaml of a folder or archive says. Raises OrbitError."""
        data = yaml.safe_load(_content(chart, "Chart.yaml"))
        if not isinstance(data, dict) or "name" not in data:
            raise OrbitError(f"There is no chart {chart}: it has no Chart.yaml.", _CHART_REMEDY)
        return data

    def schema(self, chart: str) -> Mapping[str, Any]:
        """The values schema of a folder or archive; empty when it has none, then Helm checks alone."""
        schema: Mapping[str, Any] = json.loads(_content(chart, "values.schema.json") or "{}")
        return schema


def _literal(text: str) -> str:
    """The text as it has to be in a template of str.format()."""
    return text.replace("{", "{{").replace("}", "}}")


def _content(chart: str, name: str) -> str:
    """Text of a file of a chart, a folder or an archive; empty when it is not there."""
    if not Path(chart).is_file():
        file = Path(chart) / name
        return file.read_text(encoding="utf-8") if file.is_file() else ""
    try:
        with tarfile.open(chart) as archive:
            for member in archive:
                if member.isfile() and member.name.count("/") == 1 and member.name.endswith(f"/{name}"):
                    content = archive.extractfile(member)
                    return content.read().decode() if content else ""
    except tarfile.TarError as error:
        raise OrbitError(f"The chart {chart} is no archive: {error}.", _CHART_REMEDY) from error
    return ""


def stored(reached: cluster.Cluster, tool: Helm, release: Release) -> HelmRelease | None:
    """Newest revision of a release, read from the cluster where that is possible, else by helm."""
    if stored_in_secrets():
        path = f"/api/v1/namespaces/{release.namespace}/secrets?labelSelector=owner=helm,name={release.name}"
        found = reached.get_all([path])[0]
        if not isinstance(found, cluster.ApiError):
            return newest(found["items"])
        if found.status != 403:
            raise found
    return tool.status(release)


def stored_in_secrets() -> bool:
    """Whether Helm keeps its releases where it does by default: in Secrets of the release's namespace."""
    return os.environ.get("HELM_DRIVER", "") in ("", "secret", "secrets")


def newest(secrets: Iterable[Object]) -> HelmRelease | None:
    """The newest revision among Helm's Secrets of one release: what status() says, without a process."""
    revisions = [secret for secret in secrets if secret.get("type") == "helm.sh/release.v1"]
    if not revisions:
        return None
    deployed = [revision(item) for item in revisions if item["metadata"]["labels"]["status"] == "deployed"]
    return _release(content(max(revisions, key=revision)), max(deployed, default=0))


def content(secret: Object) -> dict[str, Any]:
    """What Helm has stored of one revision: chart, config (the user's values), manifest, info."""
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))  # the API's encoding, then Helm's
    # Releases from before Helm compressed them are plain.
    found: dict[str, Any] = json.loads(gzip.decompress(packed) if packed.startswith(b"\x1f\x8b") else packed)
    return found


def revision(secret: Object) -> int:
    """Number of the revision that a Secret of Helm's holds."""
    return int(secret["metadata"]["labels"]["version"])


def _release(data: Mapping[str, Any], deployed: int) -> HelmRelease:
    chart = data["chart"]["metadata"]
    return HelmRelease(
        revision=int(data["version"]),
        status=data["info"]["status"],
        chart=f"{chart['name']}-{chart['version']}",
        app_version=chart.get("appVersion") or "",
        values=data.get("config") or {},
        objects=objects.parse(data.get("manifest") or "", data["namespace"]),
        updated=data["info"].get("last_deployed") or "",
        deployed=deployed,
    )
