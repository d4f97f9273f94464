# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action behind orbit.rs.addons."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import addons, helm, report
from ansible_collections.orbit.rs.plugins.plugin_utils.action import Options, OrbitAction
from ansible_collections.orbit.rs.plugins.plugin_utils.addons import Addon
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import ApiError, Cluster
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.model import HelmRelease, OrbitError, Release

HEARTBEAT = 10  # seconds
LOOK = 1


class ActionModule(OrbitAction):
    """Install add-ons of the cluster that are not there yet."""

    def act(self, options: Options) -> dict[str, Any]:
        """One after the other: one of them may bring another one along."""
        wanted = [addons.wanted(item) for item in options["addons"]]
        where = {"kubeconfig": options["kubeconfig"], "context": options["context"]}
        rows, changes = [], []
        with Cluster(options["kubectl"], **where) as reached:
            for addon in wanted:
                what, detail = self._one(addon, reached, Helm(options["helm"], **where), options)
                rows.append((addon.name, what, detail))
                if what in ("installed", "would be installed"):
                    changes.append(
                        {"before": "", "after": f"{addon.chart} {addon.version} in {addon.namespace or addon.name}\n"}
                    )
        self.say(report.table(("add-on", "state", "what"), rows))
        return {
            "changed": bool(changes),
            "diff": changes,
            "addons": [{"name": name, "state": state, "detail": detail} for name, state, detail in rows],
        }

    def _one(self, addon: Addon, reached: Cluster, tool: Helm, options: Options) -> tuple[str, str]:
        """Install the add-on unless it is there; what came of it, and where it is."""
        release = Release(addon.name, addon.namespace or addon.name)
        own = helm.stored(reached, tool, release)
        found = _present(addon, reached)
        # One that has not come to its end is ours to finish, if it is the same chart.
        unfinished = own is not None and own.status != "deployed" and own.chart.startswith(f"{_chart_name(addon)}-")
        if not unfinished and (own or found):
            return "kept", _said(own, release) or found
        self._install(addon, release, options)
        if self.check:
            return "would be installed", f"{addon.chart} {addon.version}, namespace {release.namespace}"
        self._wait(addon, release, reached, tool, options["timeout"])
        return "installed", _said(helm.stored(reached, tool, release), release)

    def _install(self, addon: Addon, release: Release, options: Options) -> None:
        self.say(f"{addon.name}: {'asking for' if self.check else 'installing'} {addon.chart} {addon.version}")
        try:
            with self._heartbeat(f"{addon.name}: helm is at work"):
                self.helm(
                    options,
                    options["helm"],
                    release,
                    chart_ref=addon.chart,
                    chart_version=addon.version or None,
                    chart_repo_url=addon.repository or None,
                    release_values=dict(addon.values),
                    create_namespace=True,
                    wait=False,
                    timeout=f"{options['timeout']}s",  # of the chart's hooks
                )
        except OrbitError as error:
            raise OrbitError(f"{addon.name} cannot be installed: {error.seen}", error.remedy) from error

    @contextlib.contextmanager
    def _heartbeat(self, text: str) -> Iterator[None]:
        done, started = threading.Event(), time.monotonic()

        def beat() -> None:
            while not done.wait(HEARTBEAT):
                self.say(f"{text}, {time.monotonic() - started:.0f} s")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _wait(self, addon: Addon, release: Release, reached: Cluster, tool: Helm, seconds: int) -> None:
        """Wait until every workload of the release is ready and its API groups are served."""
        stored = helm.stored(reached, tool, release)
        paths = [reached.path(obj) for obj in (stored.objects if stored else ()) if obj["kind"] in addons.WORKLOADS]
        pods = f"/api/v1/namespaces/{release.namespace}/pods?labelSelector=app.kubernetes.io/instance={release.name}"
        end, shown, quiet = time.monotonic() + seconds, "", time.monotonic()
        while True:
            workloads = [found for found in reached.get_all(paths) if not isinstance(found, ApiError)]
            unready, stuck = addons.waiting(workloads, reached.get(pods)["items"])
            unready += _unserved(addon, reached)
            if not unready and len(workloads) == len(paths):
                return
            text = "; ".join(unready) or "workloads are not there yet"
            if stuck or time.monotonic() > end:
                raise OrbitError(
                    f"{addon.name} does not get ready: {'; '.join(stuck) or f'{text} after {seconds} s'}.",
                    f"kubectl get events -n {release.namespace} says more. Correct orbit_rs_addons, then "
                    f"helm uninstall {release.name} -n {release.namespace}, and run this again.",
                )
            if text != shown or time.monotonic() - quiet > HEARTBEAT:
                self.say(f"{addon.name}: {text}")
                shown, quiet = text, time.monotonic()
            time.sleep(LOOK)


def _chart_name(addon: Addon) -> str:
    return addon.chart.rstrip("/").rpartition("/")[2].removesuffix(".tgz")


def _said(own: HelmRelease | None, release: Release) -> str:
    return f"{own.chart}, Helm release {release.name} in namespace {release.namespace}" if own else ""


def _present(addon: Addon, reached: Cluster) -> str:
    groups = {group["name"] for group in reached.get("/apis")["groups"]}
    deployments = reached.get("/apis/apps/v1/deployments?resourceVersion=0")["items"] if addon.app else ()
    return addons.present(addon, groups, deployments)


def _unserved(addon: Addon, reached: Cluster) -> list[str]:
    """API groups of the add-on that are not served."""
    result = []
    for group in addon.api_groups:
        try:
            version = reached.get(f"/apis/{group}")["preferredVersion"]["groupVersion"]
            reached.get(f"/apis/{version}")
        except ApiError:
            result.append(f"API group {group} is not served")
    return result
