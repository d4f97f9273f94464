# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters by name: made, healed, loaded with images, described, removed."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed import addons, cache, host, network, node_image
from testbed.network import Node
from testbed.steps import Problem, explain, run, say, step, succeeds, wait_for
from testbed.versions import Kubernetes

ZONES = ("zone-a", "zone-b", "zone-c")  # one node each; the first is the control plane
LABEL = "io.x-k8s.kind.cluster"
START_TIMEOUT = 180.0  # seconds for nodes and add-ons to become ready
LOADED = "/var/lib/orbit-rs-images"  # on a node: the images that `load` has put there
# Read from the kubelet's leases: a restarted node still counts as ready until somebody notices that it was away.
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
METRICS = "/apis/metrics.k8s.io/v1beta1/nodes"


@dataclass(frozen=True)
class Cluster:
    """One cluster of the test bed."""

    name: str

    @property
    def folder(self) -> Path:
        """What is kept of the cluster."""
        return cache.root() / "clusters" / self.name

    @property
    def kubeconfig(self) -> Path:
        """Its kubeconfig; never the user's own file."""
        return self.folder / "kubeconfig"

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run kubectl against this cluster."""
        return run(cache.tools() / "kubectl", "--kubeconfig", self.kubeconfig, *arguments, stdin=stdin)

    def get(self, path: str) -> dict[str, Any]:
        """An object or list of the API by its path."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "--raw", path))
        return found

    def containers(self) -> dict[str, str]:
        """The node containers and their state, such as `running` or `exited`."""
        own = ("--filter", f"label={LABEL}={self.name}")
        listed = run("docker", "ps", "--all", *own, "--format", "{{.Names}} {{.State}}")
        return dict(sorted(line.split() for line in listed.splitlines()))

    def state(self) -> dict[str, str]:
        """What is noted of it: `kubernetes`, `image`, and `made` once all nodes have joined. Empty when unknown."""
        file = self.folder / "state.json"
        noted: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        return noted

    def note(self, **state: str) -> None:
        """Replace what is noted."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / "state.part"
        part.write_text(json.dumps(state))
        part.replace(self.folder / "state.json")


def names() -> list[str]:
    """The clusters that the test bed knows of."""
    return sorted(path.parent.name for path in (cache.root() / "clusters").glob("*/state.json"))


def check(cluster: Cluster, release: Kubernetes) -> None:
    """Raise Problem when what is there under this name must not be touched."""
    containers, state = cluster.containers(), cluster.state()
    if containers and not state:
        raise Problem(
            f"node containers {', '.join(containers)} exist already",
            f"a kind cluster {cluster.name} was made by something else than this test bed",
            f"take another --name, or remove it: `kind delete cluster --name {cluster.name}`",
        )
    if containers and state["kubernetes"] != release.version:
        raise Problem(
            f"cluster {cluster.name} runs Kubernetes {state['kubernetes']}, not {release.version}",
            "the version of a cluster does not change",
            f"take another --name, or remove it first: `python -m testbed down --name {cluster.name}`",
        )


def up(cluster: Cluster, release: Kubernetes, image: str) -> None:
    """Bring the cluster to the wanted state from whatever state it is in."""
    containers, state = cluster.containers(), cluster.state()
    if containers and ("made" not in state or len(containers) != len(ZONES)):
        say(f"cluster {cluster.name} is not whole (an earlier run was killed, or nodes were removed): making it anew")
        _remove_nodes(cluster)
        containers = {}
    started = time.time()
    stopped = [name for name, container in containers.items() if container != "running"]
    if not containers:
        shutil.rmtree(cluster.folder, ignore_errors=True)
        cluster.note(kubernetes=release.version, image=image)  # before the cut, which lasts as long as this is noted
    with step("cut the cluster off from outside"), cache.lock(host.LOCK):
        host.prepare(image)
    if not containers:
        _create(cluster, release, image)
    elif stopped:
        with step(f"start {len(stopped)} stopped nodes of cluster {cluster.name}"):
            run("docker", "start", *stopped)
    if not cluster.kubeconfig.exists():
        run("kind", "export", "kubeconfig", "--name", cluster.name, "--kubeconfig", cluster.kubeconfig)
    with step("connect the nodes and install the add-ons"):
        _wait(cluster, lambda: _api_failure(cluster))
        _configure(cluster, cluster.state()["image"])
    with step("wait until nodes and add-ons are ready"):
        since = started if stopped or not containers else 0
        _wait(cluster, lambda: not_ready(cluster, since))


def image_in_use(cluster: Cluster) -> str:
    """The node image of a cluster that is whole; empty when there is none, or when the image is gone."""
    state = cluster.state()
    whole = "made" in state and len(cluster.containers()) == len(ZONES)
    return state["image"] if whole and succeeds("docker", "image", "inspect", state["image"]) else ""


def refuse_wrong_name(name: str) -> None:
    """Raise Problem for a name that cannot be part of a container's and a host's name."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", name):
        raise Problem(
            f"cluster name {name!r}", "a name is lower-case letters, digits and hyphens", "take another --name"
        )


def down(cluster: Cluster) -> None:
    """Remove the cluster. With the last one go the cut and what the kubelets changed on the host."""
    image = cluster.state().get("image", "")
    with step(f"remove cluster {cluster.name}"):
        _remove_nodes(cluster)
        with cache.lock(host.LOCK):
            if image and names() == [cluster.name]:
                if succeeds("docker", "image", "inspect", image):
                    host.restore(image)
                else:
                    say(f"  {image} is gone: {', '.join(host.TOUCHED)} keep what the kubelet set until a restart")
            shutil.rmtree(cluster.folder, ignore_errors=True)


def load(cluster: Cluster, archive: Path) -> None:
    """Load the images of an archive into every node that does not have them yet."""
    if not cluster.state().get("made"):
        remedy = f"`python -m testbed up --name {cluster.name}`"
        raise Problem(f"cluster {cluster.name} is not up", "it was not made yet", remedy)
    wanted = images(archive)
    tags = ", ".join(wanted)
    loaded = {node: _loaded(node) for node in cluster.containers()}
    nodes = [node for node, found in loaded.items() if not wanted.items() <= found.items()]
    if not nodes:
        say(f"on all nodes: {tags}")
        return
    with step(f"load onto {', '.join(nodes)}: {tags}"):
        run("kind", "load", "image-archive", archive, "--name", cluster.name, "--nodes", ",".join(nodes))
        for node in nodes:
            noted = "".join(f"{tag} {identity}\n" for tag, identity in {**loaded[node], **wanted}.items())
            run("docker", "exec", "--interactive", node, "sh", "-c", f"cat > {LOADED}", stdin=noted)


def images(archive: Path) -> dict[str, str]:
    """The images of an archive: full name and identity, that is the digest of its configuration."""
    with tarfile.open(archive) as tar:
        index = tar.extractfile("manifest.json")
        assert index
        manifest = json.load(index)
    # Tags such as owner/name:version, which name no registry, are Docker Hub's to every container runtime.
    return {f"docker.io/{tag}": entry["Config"] for entry in manifest for tag in entry["RepoTags"]}


def not_ready(cluster: Cluster, since: float = 0) -> str:
    """What does not work yet of nodes, add-ons and metrics API; empty when all of it does.

    `since` is a time in seconds since the epoch: kubelets must have been heard of after it.
    """
    try:
        nodes = cluster.get("/api/v1/nodes")["items"]
        leases = cluster.get(LEASES)["items"] if since else []
        deployments = [
            cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
            for namespace, name in addons.DEPLOYMENTS
        ]
        waiting = [_name(node) for node in nodes if not _condition(node, "Ready")]
        waiting += [_name(lease) for lease in leases if lease["spec"]["renewTime"] < _timestamp(since)]
        waiting += [_name(deployment) for deployment in deployments if not _condition(deployment, "Available")]
        if not waiting and len(cluster.get(METRICS)["items"]) < len(ZONES):
            waiting = ["metrics of all nodes"]
    except Problem as problem:
        return problem.seen.splitlines()[-1]
    return f"not ready: {', '.join(waiting)}" if waiting else ""


def status(cluster: Cluster) -> list[str]:
    """A description for people, one line each."""
    state, containers = cluster.state(), cluster.containers()
    if not containers:
        return [f"cluster {cluster.name}: not up (`python -m testbed up --name {cluster.name}` makes it)"]
    lines = [f"cluster {cluster.name}: Kubernetes {state.get('kubernetes', 'unknown')}"]
    lines.append(f"  {'node':<30} {'container':<10} {'ready':<6} zone")
    try:
        nodes = {node["metadata"]["name"]: node for node in cluster.get("/api/v1/nodes")["items"]}
    except Problem:
        nodes = {}
        lines.insert(1, "  the API does not answer; `up` heals it")
    for name, container in containers.items():
        node = nodes.get(name)
        ready = "-" if node is None else "yes" if _condition(node, "Ready") else "no"
        zone = node["metadata"]["labels"].get("topology.kubernetes.io/zone", "-") if node else "-"
        lines.append(f"  {name:<30} {container:<10} {ready:<6} {zone}")
    if nodes:
        lines.append(f"  nodes and add-ons   {not_ready(cluster) or 'ready'}")
    cut = host.is_cut(state["image"]) if state else False
    lines.append(f"  cut from outside    {'yes' if cut else 'NO; `up` cuts it off'}")
    lines.append(f"  kubeconfig          {cluster.kubeconfig}")
    return lines


def kind_config(name: str, *, static_network: bool, cgroup_v1: bool) -> dict[str, object]:
    """The configuration of kind: one schedulable node per zone."""
    roles = ["control-plane", *["worker"] * (len(ZONES) - 1)]
    nodes: list[dict[str, object]] = [
        {"role": role, "labels": {"topology.kubernetes.io/zone": zone}} for role, zone in zip(roles, ZONES, strict=True)
    ]
    # kind keeps pods off the control plane when there are workers; here its zone has no other node.
    nodes[0]["kubeadmConfigPatches"] = [json.dumps({"kind": "InitConfiguration", "nodeRegistration": {"taints": []}})]
    config: dict[str, object] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": name,
        "networking": {"disableDefaultCNI": static_network, "podSubnet": network.POD_SUBNET},
        "nodes": nodes,
    }
    if cgroup_v1:
        config["kubeadmConfigPatches"] = [json.dumps({"kind": "KubeletConfiguration", "failCgroupV1": False})]
    return config


def _create(cluster: Cluster, release: Kubernetes, image: str) -> None:
    cgroup_v1 = run("docker", "info", "--format", "{{.CgroupVersion}}").strip() == "1"
    config = kind_config(cluster.name, static_network=node_image.is_built(image), cgroup_v1=cgroup_v1)
    with step(f"create cluster {cluster.name} with {len(ZONES)} nodes"):
        run(
            *("kind", "create", "cluster", "--image", image, "--kubeconfig", cluster.kubeconfig, "--config", "-"),
            stdin=json.dumps(config),
            env={"KIND_EXPERIMENTAL_DOCKER_NETWORK": host.NETWORK},
        )
    cluster.note(kubernetes=release.version, image=image, made="yes")


def _loaded(node: str) -> dict[str, str]:
    """The images that `load` has put on a node and that are still there."""
    present = run("docker", "exec", node, "ctr", "--namespace", "k8s.io", "images", "list", "--quiet").split()
    noted = run("docker", "exec", node, "sh", "-c", f"cat {LOADED} 2>/dev/null || true").splitlines()
    return {tag: identity for tag, identity in (line.split() for line in noted) if tag in present}


def _wait(cluster: Cluster, missing: Callable[[], str]) -> None:
    """Wait, and when it takes too long look for the reason where it usually is: with the kubelets."""
    env = f'eval "$(python -m testbed env --name {cluster.name})"'
    remedy = f"look: {env}; kubectl get nodes,pods -A; or make it anew: `python -m testbed down --name {cluster.name}`"
    try:
        wait_for(missing, START_TIMEOUT, remedy)
    except Problem as problem:
        log = ("journalctl", "--unit", "kubelet", "--no-pager", "--output", "cat", "--lines", "200")
        seen = [problem.seen]
        for node in cluster.containers():
            errors = [line for line in run("docker", "exec", node, *log).splitlines() if line.startswith("E")]
            seen += [f"kubelet of {node}: {line[:300]}" for line in errors[-2:]]
        raise Problem("\n".join(seen), explain("\n".join(seen))[0], problem.remedy) from None


def _api_failure(cluster: Cluster) -> str:
    try:
        cluster.get("/api/v1/namespaces/kube-system")
    except Problem as problem:
        return problem.seen.splitlines()[-1]
    return ""


def _configure(cluster: Cluster, image: str) -> None:
    built = node_image.is_built(image)
    _cut_dns(cluster)
    if built:
        # The controller manager gives every node the addresses of its pods, soon after the node has joined.
        _wait(cluster, lambda: "" if len(_nodes(cluster)) == len(ZONES) else "not all nodes have joined")
        network.connect_pods(_nodes(cluster))
    metrics_server = node_image.METRICS_SERVER_IMAGE if built else _pull_metrics_server(cluster)
    # kind's own default class; where the node image was built it binds at once and loses data when a pod moves.
    cluster.kubectl("delete", "storageclass", "standard", "--ignore-not-found")
    cluster.kubectl("apply", "--filename", addons.manifest(provisioner=built, metrics_server=metrics_server))


def _cut_dns(cluster: Cluster) -> None:
    """Keep DNS inside, and let unknown names fail at once.

    Where the host has a resolver of its own (systemd-resolved), docker's DNS asks that, past the rule for the nodes.
    """
    dns = ("--namespace", "kube-system")
    corefile = cluster.get("/api/v1/namespaces/kube-system/configmaps/coredns")["data"]["Corefile"]
    wanted = network.corefile_without_outside(corefile)
    if wanted != corefile:
        cluster.kubectl("patch", "configmap", "coredns", *dns, "--patch", json.dumps({"data": {"Corefile": wanted}}))
        # One that has started already would notice the change only after minutes.
        cluster.kubectl("delete", "pods", *dns, "--selector", "k8s-app=kube-dns", "--wait=false")


def _pull_metrics_server(cluster: Cluster) -> str:
    """The name of metrics-server's published image, loaded into a cluster whose node image was pulled."""
    proxy = cluster.get("/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy")
    image = node_image.published_metrics_server(proxy["spec"]["template"]["spec"]["containers"][0]["image"])
    if not succeeds("docker", "image", "inspect", image):
        run("docker", "pull", "--quiet", image)
    run("kind", "load", "docker-image", image, "--name", cluster.name)
    return image


def _nodes(cluster: Cluster) -> list[Node]:
    """The nodes that have got their pod addresses."""
    inspected = json.loads(run("docker", "inspect", *cluster.containers()))
    addresses = network.addresses(inspected)
    pods = {node["metadata"]["name"]: node["spec"].get("podCIDR") for node in cluster.get("/api/v1/nodes")["items"]}
    return [Node(name, address, pods[name]) for name, address in addresses.items() if pods.get(name)]


def _remove_nodes(cluster: Cluster) -> None:
    """Remove the node containers; a run killed in the middle leaves a cluster that is known not to be whole."""
    state = cluster.state()
    if state:
        cluster.note(**{key: value for key, value in state.items() if key != "made"})
    containers = cluster.containers()
    if containers:
        run("docker", "rm", "--force", "--volumes", *containers)


def _condition(thing: dict[str, Any], name: str) -> bool:
    conditions: Sequence[dict[str, str]] = thing.get("status", {}).get("conditions", ())
    return any(condition["type"] == name and condition["status"] == "True" for condition in conditions)


def _name(thing: dict[str, Any]) -> str:
    return str(thing["metadata"]["name"])


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
