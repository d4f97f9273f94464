# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of the pods, static where the node image brings none, and their DNS."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.host import NETWORK
from testbed.steps import run

POD_SUBNET = "10.244.0.0/16"


@dataclass(frozen=True)
class Node:
    """A node of a cluster: its address on the docker network and the addresses of its pods."""

    name: str
    address: str
    pods: str


def connect_pods(nodes: Sequence[Node]) -> None:
    """Give the pods of every node a network and a way to the others. Safe to repeat, needed after a restart."""
    for node in nodes:
        run("docker", "exec", "--interactive", node.name, "sh", stdin=pod_network(node, nodes))


def pod_network(node: Node, nodes: Sequence[Node]) -> str:
    """The script that sets up the pod network on one node."""
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni-ipam-state",
        "routes": [{"dst": "0.0.0.0/0"}],
        "ranges": [[{"subnet": node.pods}]],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam, "mtu": 1500},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    config = json.dumps({"cniVersion": "0.4.0", "name": "ptp", "plugins": plugins})
    routes = "\n".join(f"ip route replace {other.pods} via {other.address}" for other in nodes if other != node)
    names = "\n".join(
        f"grep -q '^{line}$' /etc/hosts || echo '{line}' >> /etc/hosts"
        for line in (f"{other.address} {other.name}" for other in nodes if other != node)
    )
    masquerade = f"POSTROUTING -s {POD_SUBNET} ! -d {POD_SUBNET} -j MASQUERADE"
    return f"""
set -eu
mkdir -p /etc/cni/net.d
echo '{config}' > /etc/cni/net.d/.ptp && mv /etc/cni/net.d/.ptp /etc/cni/net.d/10-ptp.conflist
{routes}
# The nodes know each other's names; all others would be asked outside, by docker's DNS, past the rule for the nodes.
{names}
echo 'nameserver 127.0.0.1' > /etc/resolv.conf
iptables -t nat -C {masquerade} 2>/dev/null || iptables -t nat -A {masquerade}
"""


def corefile_without_outside(corefile: str) -> str:
    """The DNS configuration with names of the cluster only: other names do not exist and are asked nowhere."""
    forward = re.compile(r"\n[ \t]*forward \. /etc/resolv\.conf( \{[^}]*\})?")
    if not forward.search(corefile):
        return corefile
    inside = forward.sub("", corefile).replace(".:53 {", "cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {", 1)
    return inside.rstrip() + "\n.:53 {\n    errors\n    template ANY ANY {\n        rcode NXDOMAIN\n    }\n}\n"


def addresses(inspected: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Container name: address on our network, from `docker inspect`."""
    return {
        container["Name"].lstrip("/"): container["NetworkSettings"]["Networks"].get(NETWORK, {}).get("IPAddress", "")
        for container in inspected
    }
