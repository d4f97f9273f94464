# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess

import pytest

from testbed import host
from testbed.network import Node, addresses, corefile_without_outside, pod_network

COREFILE = """\
.:53 {
    errors
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
    }
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
}
"""
NODES = [Node(f"node-{number}", f"172.19.0.{number}", f"10.244.{number}.0/24") for number in (1, 2, 3)]


def test_no_name_is_asked_outside() -> None:
    inside = corefile_without_outside(COREFILE)
    assert "resolv.conf" not in inside
    assert "max_concurrent" not in inside
    assert inside.startswith("cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {\n    errors")
    assert "pods insecure" in inside and "cache 30" in inside
    assert inside.count("{") == inside.count("}")
    assert "rcode NXDOMAIN" in inside


def test_a_dns_configuration_that_asks_nobody_stays() -> None:
    inside = corefile_without_outside(COREFILE)
    assert corefile_without_outside(inside) == inside


def test_a_node_reaches_the_pods_of_every_other_node() -> None:
    script = pod_network(NODES[0], NODES)
    assert "ip route replace 10.244.2.0/24 via 172.19.0.2" in script
    assert "ip route replace 10.244.3.0/24 via 172.19.0.3" in script
    assert "ip route replace 10.244.1.0/24" not in script
    assert '"subnet": "10.244.1.0/24"' in script


@pytest.mark.parametrize(
    "script", [pod_network(NODES[0], NODES), host.CUT, host.UNCUT, host.COUNT, host.assignments({"a.b": "1"})]
)
def test_scripts_are_valid_shell(script: str) -> None:
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_addresses_are_those_on_our_own_network() -> None:
    inspected = [
        {"Name": "/a", "NetworkSettings": {"Networks": {host.NETWORK: {"IPAddress": "172.19.0.2"}}}},
        {"Name": "/b", "NetworkSettings": {"Networks": {"kind": {"IPAddress": "172.18.0.2"}}}},
    ]
    assert addresses(inspected) == {"a": "172.19.0.2", "b": ""}
