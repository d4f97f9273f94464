# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: python -m testbed up|down|status|load|env|tools|crds|clean-cache."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from testbed import cache, cluster, crds, docker, golang, node_image
from testbed.cluster import Cluster
from testbed.golang import Program
from testbed.steps import Problem, explain, run, say, step
from testbed.versions import DEFAULT_KUBERNETES, HELM, KIND, KUBERNETES

DEFAULT_NAME = "orbit-rs"
HELM_FLAGS = f"-X helm.sh/helm/v4/internal/version.version={HELM}"
PROGRAMS = (
    Program("kind", "sigs.k8s.io/kind", KIND, {"kind": ""}),
    Program("helm", "helm.sh/helm/v4", HELM, {"helm": "cmd/helm"}, HELM_FLAGS),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; print a problem as what was seen, its cause and what to do."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ["PATH"] = f"{cache.tools()}:{os.environ['PATH']}"
    try:
        options.command(options)
    except Problem as problem:
        return _report(problem)
    except OSError as error:
        return _report(Problem(str(error), *explain(str(error))))
    except KeyboardInterrupt:
        say("interrupted; run the same command again, finished steps are kept")
        return 130
    return 0


def up(options: argparse.Namespace) -> None:
    """Make or heal a cluster; without a change it takes seconds."""
    started = time.monotonic()
    release = KUBERNETES[options.kubernetes]
    target = Cluster(options.name)
    cluster.refuse_wrong_name(target.name)
    with cache.lock(f"cluster-{target.name}"), cache.lock(golang.LOCK, shared=True):
        docker.ensure()
        cluster.check(target, release)
        _make_tools()
        # A cluster keeps the image that it was made with, also when the recipe has changed since.
        image = cluster.image_in_use(target) or node_image.ensure(release, options.node_image)
        cache.link_tool(node_image.kubectl(release, image))
        cluster.up(target, release, image)
    golang.drop()
    say(f"cluster {target.name} is up, Kubernetes {release.version}, after {time.monotonic() - started:.0f} s")
    say(f'use it: eval "$(python -m testbed env --name {target.name})"')


def down(options: argparse.Namespace) -> None:
    """Remove a cluster."""
    with cache.lock(f"cluster-{options.name}"):
        target = Cluster(options.name)
        if docker.answers():
            cluster.down(target)
        elif target.state():
            remedy = "start docker (`python -m testbed up` does it as root), then run this again"
            raise Problem("docker does not answer", "its daemon is not running; the cluster rests on its disk", remedy)
        else:
            say(f"cluster {target.name} is not there")


def status(options: argparse.Namespace) -> None:
    """Describe a cluster."""
    if docker.answers():
        say("\n".join(cluster.status(Cluster(options.name))))
    else:
        say("docker does not answer; `python -m testbed up` starts it")


def load(options: argparse.Namespace) -> None:
    """Build the server image, or take an archive, and load it into a cluster."""
    target = Cluster(options.name)
    if options.archive:
        archive = options.archive
    else:
        recipe = import_module("testbed.orbit_server.image")
        archive = recipe.build(options.versions.split(","))
    with cache.lock(f"cluster-{target.name}"):
        cluster.load(target, archive)


def env(options: argparse.Namespace) -> None:
    """Print shell lines that give a person the same tools and cluster."""
    say(f'export PATH={shlex.quote(str(cache.tools()))}:"$PATH"')
    say(f"export KUBECONFIG={shlex.quote(str(Cluster(options.name).kubeconfig))}")


def tools(_options: argparse.Namespace) -> None:
    """Make the tools that need no cluster: kind and helm."""
    with cache.lock(golang.LOCK, shared=True):
        _make_tools()
    golang.drop()


def print_crds(_options: argparse.Namespace) -> None:
    """Print the path of the definitions of the foreign kinds that the chart renders."""
    say(str(crds.file()))


def clean_cache(_options: argparse.Namespace) -> None:
    """Remove everything that the test bed keeps: tools, node images, downloads, the docker daemon if it started it."""
    if known := cluster.names():
        remedy = "; ".join(f"python -m testbed down --name {name}" for name in known)
        raise Problem(f"clusters {', '.join(known)} are there", "they need what would be removed", f"first: {remedy}")
    if docker.answers():
        images = run("docker", "images", "--quiet", node_image.REPOSITORY).split()
        if images:
            run("docker", "rmi", "--force", *sorted(set(images)))
        docker.stop()
    with step(f"remove {cache.root()}"):
        shutil.rmtree(cache.root(), ignore_errors=True)


def _make_tools() -> None:
    for program in PROGRAMS:
        cache.link_tool(golang.build(program) / program.name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m testbed", description="A local kind cluster for orbit.rs.")
    commands = parser.add_subparsers(required=True)
    for name, function in (
        ("up", up),
        ("down", down),
        ("status", status),
        ("load", load),
        ("env", env),
        ("tools", tools),
        ("crds", print_crds),
        ("clean-cache", clean_cache),
    ):
        command = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        command.set_defaults(command=function)
        if function not in (tools, print_crds, clean_cache):
            command.add_argument("--name", default=DEFAULT_NAME, help="cluster (default: %(default)s)")
        if function is up:
            command.add_argument("--kubernetes", default=DEFAULT_KUBERNETES, choices=sorted(KUBERNETES))
            command.add_argument("--node-image", default="auto", choices=("auto", "pull", "build"))
        if function is load:
            command.add_argument("--versions", default="v0.1.0", help="tags of the server image, comma-separated")
            command.add_argument("--archive", type=Path, help="load this image archive instead")
    return parser


def _report(problem: Problem) -> int:
    lines = [*getattr(problem, "__notes__", ()), f"  seen:   {problem.seen}", f"  cause:  {problem.cause}"]
    print("\n".join([*lines, f"  do:     {problem.remedy}"]), file=sys.stderr, flush=True)
    return 1
