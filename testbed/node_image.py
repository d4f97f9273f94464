# SPDX-License-Identifier: GPL-3.0-or-later
"""The node image: pulled where a registry has it, else built from Debian packages and Go modules."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed import archive, cache, debian, golang, node_root
from testbed.golang import Program
from testbed.steps import Problem, run, say, step, succeeds
from testbed.versions import LOCAL_PATH, METRICS_SERVER, Kubernetes, order

PAUSE = Path(__file__).with_name("pause") / "main.go"
REPOSITORY = "orbit-rs/node"
LOCAL_PATH_IMAGE = f"orbit-rs/local-path-provisioner:{LOCAL_PATH}"
METRICS_SERVER_IMAGE = f"orbit-rs/metrics-server:{METRICS_SERVER}"
PROBE_TIMEOUT = 10.0  # seconds for the question whether a registry has the image
PULL_TIMEOUT = 600.0
ENGINE_GIB = 6.0

BUSYBOX_APPLETS = ("sh", "mkdir", "rm", "cat", "sleep", "id", "ls", "nc", "nslookup", "wget", "httpd")
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
NODE_BINARIES = ("kubeadm", "kubelet", "kubectl")
ENTRYPOINT = ("/usr/local/bin/entrypoint", "/sbin/init")

# Runs in a container of the fresh image: puts the component images, read from stdin, into its containerd.
IMPORT = """
set -eu
containerd >/tmp/containerd.log 2>&1 &
for _ in $(seq 100); do [ -S /run/containerd/containerd.sock ] && ctr version >/dev/null 2>&1 && break; sleep 0.2; done
ctr="ctr --namespace k8s.io images"
$ctr import --no-unpack --digests --compress-blobs - || { cat /tmp/containerd.log >&2; exit 1; }
for image in $($ctr list --quiet); do
  $ctr label "$image" io.cri-containerd.pinned=pinned >/dev/null
done
kill %1
wait %1 || true
rm -rf /run/containerd /tmp/containerd.log
"""


def kubernetes(release: Kubernetes) -> Program:
    """The binaries of one Kubernetes version."""
    binaries = {name: f"cmd/{name}" for name in (*NODE_BINARIES, *COMPONENTS)}
    flags = golang.kubernetes_ldflags(release.version)
    return Program("kubernetes", "k8s.io/kubernetes", release.version, binaries, flags)


def etcd(release: Kubernetes) -> Program:
    """The etcd that goes with it."""
    return Program("etcd", "go.etcd.io/etcd/server/v3", release.etcd, {"etcd": ""})


def coredns(release: Kubernetes) -> Program:
    """The CoreDNS that goes with it."""
    return Program("coredns", "github.com/coredns/coredns", release.coredns, {"coredns": ""})


LOCAL_PATH_PROGRAM = Program(
    "local-path-provisioner", "github.com/rancher/local-path-provisioner", LOCAL_PATH, {"local-path-provisioner": ""}
)
METRICS_SERVER_PROGRAM = Program(
    "metrics-server", "sigs.k8s.io/metrics-server", METRICS_SERVER, {"metrics-server": "cmd/metrics-server"}
)


def ensure(release: Kubernetes, source: str = "auto") -> str:
    """The name of the node image in docker. `source`: `pull` it, `build` it, or `auto`: pull, else build."""
    built = tag(release)
    if source != "pull" and _present(built):
        return built
    if source != "build":
        if _present(release.published) or _pull(release.published):
            return release.published
        if source == "pull":
            raise Problem(
                f"{release.published} cannot be pulled",
                "no container registry answers from here, or it does not have this version",
                "leave out --node-image: the image is then built from package registries",
            )
    with cache.lock("node-image"):
        if not _present(built):  # nobody else made it while this process waited
            say("the node image is built from package registries (once; about 15 minutes on 2 cores)")
            build(release, built)
    return built


def is_built(image: str) -> bool:
    """Whether the image was built here, not pulled."""
    return image.startswith(f"{REPOSITORY}:")


def tag(release: Kubernetes) -> str:
    """The name of the built image: version and key of everything that it is made from."""
    own = cache.sources(__file__, archive.__file__, PAUSE)
    made_from = [own, node_root.recipe(), LOCAL_PATH, METRICS_SERVER, repr(release)]
    return f"{REPOSITORY}:{release.version}-{cache.key(made_from)}"


def kubectl(release: Kubernetes, image: str) -> Path:
    """The newest kubectl of all node images so far; taken out of them, since a pulled image brings the only one."""

    def make(out: Path) -> None:
        container = run("docker", "create", "--pull", "never", image).strip()
        try:
            run("docker", "cp", f"{container}:/usr/bin/kubectl", out / "kubectl")
        finally:
            run("docker", "rm", "--volumes", container)

    made = cache.artifact(f"kubectl-{release.version}", image, make)
    all_made = [path for path in made.parent.glob("kubectl-v*/kubectl") if path.parent.suffix != ".part"]
    return max(all_made, key=lambda path: order(path.parent.name.split("-")[1]))


def published_metrics_server(sibling: str) -> str:
    """The published image of metrics-server, from the registry of a Kubernetes image such as kube-proxy's."""
    return f"{sibling.rpartition('/')[0]}/metrics-server/metrics-server:{METRICS_SERVER}"


def build(release: Kubernetes, name: str) -> None:
    """Build the node image from package registries."""
    debian.require_root("building the node image")
    cache.require_space(Path("/var/lib/docker"), ENGINE_GIB, "the node image")
    binaries = golang.build(kubernetes(release))
    programs = {
        "etcd": golang.build(etcd(release)) / "etcd",
        "coredns": golang.build(coredns(release)) / "coredns",
        "local-path-provisioner": golang.build(LOCAL_PATH_PROGRAM) / "local-path-provisioner",
        "metrics-server": golang.build(METRICS_SERVER_PROGRAM) / "metrics-server",
        "pause": golang.build_folder("pause", PAUSE) / "pause",
        **{component: binaries / component for component in COMPONENTS},
    }
    base = node_root.ensure()
    work = cache.root() / "artifacts" / "node-image.part"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    with step(f"assemble the node image of Kubernetes {release.version}"):
        node = work / "node"
        (node / "usr/bin").mkdir(parents=True)
        (node / "kind").mkdir()
        for binary in NODE_BINARIES:
            os.link(binaries / binary, node / "usr/bin" / binary)
        (node / "kind/version").write_text(release.version)
        layer = archive.write_layer(node, work / "node.tar")
        raw = f"{REPOSITORY}:importing"
        image = archive.Image((raw,), (base / "root.tar", layer), entrypoint=ENTRYPOINT, env={"container": "docker"})
        archive.write_archive(work / "node-image.tar", [image])
        run("docker", "load", "--input", work / "node-image.tar")
        names = run(binaries / "kubeadm", "config", "images", "list", "--kubernetes-version", release.version).split()
        _write_components(work, component_tags(names, (base / "sandbox-image").read_text()), programs, base)
        _import(raw, work / "components.tar", name)
    shutil.rmtree(work)


def component_tags(kubeadm: Sequence[str], sandbox: str) -> Mapping[str, tuple[str, ...]]:
    """The image names that a cluster asks for, by program, from what kubeadm lists and containerd names."""
    tags: dict[str, tuple[str, ...]] = {name.rpartition("/")[2].partition(":")[0]: (name,) for name in kubeadm}
    tags["pause"] = tuple(dict.fromkeys((*tags["pause"], sandbox)))
    return {**tags, "local-path-provisioner": (LOCAL_PATH_IMAGE,), "metrics-server": (METRICS_SERVER_IMAGE,)}


def _present(image: str) -> bool:
    return succeeds("docker", "image", "inspect", image)


def _pull(image: str) -> bool:
    with step(f"ask whether {image} can be pulled"):
        offered = succeeds("docker", "manifest", "inspect", image, timeout=PROBE_TIMEOUT)
        say(f"  {'yes' if offered else 'no'}")
    if offered:
        with step(f"pull {image}"):
            offered = succeeds("docker", "pull", "--quiet", image, timeout=PULL_TIMEOUT)
    return offered


def _remove_old(name: str) -> None:
    """Remove images that the new one replaces; one that a cluster uses stays."""
    for old in run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY).split():
        if old != name and old.startswith(name.rpartition("-")[0] + "-"):
            succeeds("docker", "rmi", old)


def _write_components(
    work: Path, tags: Mapping[str, tuple[str, ...]], programs: Mapping[str, Path], base: Path
) -> None:
    """Write components.tar: one image per program, holding nothing but that program and what it calls."""
    images = []
    for program, names in tags.items():
        tree = work / program
        binary = Path("coredns" if program == "coredns" else f"usr/local/bin/{program}")
        (tree / binary).parent.mkdir(parents=True)
        os.link(programs[program], tree / binary)
        if program == "local-path-provisioner":  # its helper pods, which make and remove volumes, run a shell
            (tree / "bin").mkdir()
            shutil.copy2(base / "busybox", tree / "bin/busybox")
            for applet in BUSYBOX_APPLETS:
                (tree / "bin" / applet).symlink_to("busybox")
        layers = [archive.write_layer(tree, work / f"{program}.tar")]
        if program == "kube-proxy":
            layers.insert(0, base / "proxy.tar")
        images.append(archive.Image(names, tuple(layers), entrypoint=(f"/{binary}",)))
    archive.write_archive(work / "components.tar", images)


def _import(raw: str, components: Path, name: str) -> None:
    container = f"orbit-rs-import-{os.getpid()}"
    try:
        run(
            *("docker", "run", "--interactive", "--name", container, "--network", "none", "--entrypoint", "bash"),
            *("--security-opt", "seccomp=unconfined", raw, "-c", IMPORT),
            stdin=components,
        )
        changes = (f"ENTRYPOINT {json.dumps(ENTRYPOINT)}", "CMD []", "STOPSIGNAL SIGRTMIN+3")
        run("docker", "commit", *(word for change in changes for word in ("--change", change)), container, name)
    finally:
        run("docker", "rm", "--force", "--volumes", container)
        run("docker", "rmi", "--no-prune", raw)
    _remove_old(name)
