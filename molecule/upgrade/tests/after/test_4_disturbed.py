# SPDX-License-Identifier: GPL-3.0-or-later
"""An upgrade while the cluster itself is disturbed: it ends well or goes back, and no acknowledged write is lost."""

import contextlib
import subprocess
import threading
import time

import pytest

VARIABLES = "@molecule/upgrade/vars/upgrade.yml"
MINE = "--pod-selector app.kubernetes.io/instance=orbit-rs"

pytestmark = pytest.mark.soak  # they meet everybody on the cluster


@contextlib.contextmanager
def drained(deployed):
    """The node of ordinal 0, which is the last to be upgraded, is drained and comes back after a while."""
    node = deployed.pods()[0]["spec"]["nodeName"]
    flags = "--ignore-daemonsets --delete-emptydir-data --disable-eviction=false --timeout 120s"
    drain = threading.Thread(target=deployed.kubectl, args=(f"drain {node} {flags} {MINE}",), daemon=True)

    def back():
        drain.join()
        time.sleep(5)
        deployed.kubectl(f"uncordon {node}")

    drain.start()
    uncordon = threading.Thread(target=back)
    uncordon.start()
    yield
    uncordon.join()


@contextlib.contextmanager
def restarted(deployed):
    """The API server is killed, and the kubelet starts it again."""
    planes = deployed.get("nodes --selector node-role.kubernetes.io/control-plane")["items"]
    (name,) = (node["metadata"]["name"] for node in planes)
    subprocess.run(("docker", "exec", name, "sh", "-c", "kill -9 $(pidof kube-apiserver)"), check=True)
    yield


@pytest.mark.parametrize("disturbance", [drained, restarted])
def test_an_upgrade_meanwhile(deployed, clients, disturbance):
    now = deployed.versions()[0]
    then = "v0.1.0" if now == "v0.2.0" else "v0.2.0"
    orders = ("-e", VARIABLES, "-e", f"orbit_rs_version={then}", "-e", "orbit_rs_allow_downgrade=true")
    with deployed.start_playbook(*orders, playbook="upgrade") as process:
        said = ""
        while "restarts, 1 of 3" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        with disturbance(deployed):
            said += process.stdout.read()
    print(said)
    if process.returncode:
        # It may give up, and go back; then or now.
        deployed.wait_ready()
        ended = deployed.try_playbook(*orders, "-e", "orbit_rs_interrupted=revert", playbook="upgrade")
        print(ended.stdout)
    versions = deployed.versions()
    assert versions in ([now] * 3, [then] * 3)
    statefulset = deployed.get("statefulset orbit-server")
    assert not statefulset["spec"]["updateStrategy"]["rollingUpdate"].get("partition")
    assert "orbit.rs/unfinished" not in deployed.get("lease orbit-rs.orbit.rs")["metadata"]["annotations"]
    clients.nothing_is_lost()
