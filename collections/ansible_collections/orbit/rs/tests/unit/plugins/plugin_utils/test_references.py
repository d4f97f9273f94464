# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import objects, references
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object
from ansible_collections.orbit.rs.tests.unit.plugins.plugin_utils import data

GATEWAY = "gateway.networking.k8s.io/v1"


def obj(version: str, kind: str, spec: dict[str, Any], **metadata: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "ns", **metadata}, "spec": spec}


def pod(**spec: Any) -> Object:
    return obj("v1", "Pod", {"containers": [], **spec})


def env(**source: Any) -> Object:
    return pod(containers=[{"name": "c", "env": [{"name": "A", "valueFrom": source}]}])


def volume(**source: Any) -> Object:
    return pod(volumes=[{"name": "v", **source}])


CERTIFICATE = obj("cert-manager.io/v1", "Certificate", {"secretName": "s", "issuerRef": {"name": "i"}})

ROWS: list[tuple[Object, list[tuple[str, str]]]] = [
    (pod(), []),
    (pod(serviceAccountName="default"), []),
    (pod(serviceAccountName="a"), [("error", "ServiceAccount/ns/a")]),
    (pod(imagePullSecrets=[{"name": "s"}]), [("warning", "Secret/ns/s")]),
    (pod(priorityClassName="p"), [("error", "PriorityClass/p")]),
    (pod(runtimeClassName="r"), [("error", "RuntimeClass/r")]),
    (env(secretKeyRef={"name": "s", "key": "k"}), [("error", "Secret/ns/s:k")]),
    (env(secretKeyRef={"name": "s", "key": "k", "optional": True}), []),
    (env(configMapKeyRef={"name": "c", "key": "k"}), [("error", "ConfigMap/ns/c:k")]),
    (env(fieldRef={"fieldPath": "metadata.name"}), []),
    (
        pod(initContainers=[{"name": "i", "envFrom": [{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "c"}}]}]),
        [("error", "Secret/ns/s"), ("error", "ConfigMap/ns/c")],
    ),
    (volume(secret={"secretName": "s"}), [("error", "Secret/ns/s")]),
    (volume(secret={"secretName": "s", "optional": True}), []),
    (
        volume(configMap={"name": "c", "items": [{"key": "k", "path": "p"}]}),
        [("error", "ConfigMap/ns/c"), ("error", "ConfigMap/ns/c:k")],
    ),
    (volume(projected={"sources": [{"secret": {"name": "s"}}]}), [("error", "Secret/ns/s")]),
    (volume(persistentVolumeClaim={"claimName": "c"}), [("error", "PersistentVolumeClaim/ns/c")]),
    (volume(csi={"driver": "d"}), [("error", "CSIDriver/d")]),
    (volume(emptyDir={}), []),
    (
        obj(
            "batch/v1", "CronJob", {"jobTemplate": {"spec": {"template": env(secretKeyRef={"name": "s", "key": "k"})}}}
        ),
        [("error", "Secret/ns/s:k")],
    ),
    (obj("networking.k8s.io/v1", "Ingress", {"ingressClassName": "n"}), [("warning", "IngressClass/n")]),
    (obj("networking.k8s.io/v1", "Ingress", {"tls": [{"secretName": "s"}]}), [("warning", "Secret/ns/s")]),
    (
        obj(
            "networking.k8s.io/v1",
            "Ingress",
            {"tls": [{"secretName": "s"}]},
            annotations={"cert-manager.io/cluster-issuer": "i"},
        ),
        [],
    ),
    (
        obj(
            GATEWAY, "Gateway", {"gatewayClassName": "c", "listeners": [{"tls": {"certificateRefs": [{"name": "s"}]}}]}
        ),
        [("warning", "GatewayClass/c"), ("warning", "Secret/ns/s")],
    ),
    (obj(GATEWAY, "HTTPRoute", {"parentRefs": [{"name": "g"}]}), [("warning", "Gateway/ns/g")]),
    (obj(GATEWAY, "GRPCRoute", {"parentRefs": [{"name": "g", "namespace": "o"}]}), [("warning", "Gateway/o/g")]),
    (CERTIFICATE, [("warning", "Issuer/ns/i")]),
    (
        obj("cert-manager.io/v1", "Certificate", {"issuerRef": {"name": "i", "kind": "ClusterIssuer"}}),
        [("warning", "ClusterIssuer/i")],
    ),
    (
        obj("external-secrets.io/v1", "ExternalSecret", {"secretStoreRef": {"name": "v"}}),
        [("warning", "SecretStore/ns/v")],
    ),
]


@pytest.mark.parametrize(("rendered", "expected"), ROWS)
def test_what_an_object_refers_to(rendered: Object, expected: list[tuple[str, str]]) -> None:
    found = references.references([rendered])
    names = [f"{objects.key(item.object)}{f':{item.key}' if item.key else ''}" for item in found]
    assert [(item.severity, name) for item, name in zip(found, names, strict=True)] == expected


@pytest.mark.parametrize(
    "maker",
    [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "ns"}},
        CERTIFICATE,
        obj("external-secrets.io/v1", "ExternalSecret", {"target": {"name": "s"}}),
        obj("external-secrets.io/v1", "ExternalSecret", {}, name="s"),
    ],
)
def test_what_the_release_brings_along_is_there(maker: Object) -> None:
    found = references.references([volume(secret={"secretName": "s"}), maker])
    assert "s" not in [item.name for item in found]


@pytest.mark.parametrize(
    ("live", "skip", "words"),
    [
        ({}, (), "Secret s does not exist in namespace ns; Pod x refers to it."),
        ({"Secret/ns/s": {"data": {"k": "eA=="}}}, (), ""),
        ({"Secret/ns/s": {"data": {"other": ""}}}, (), "Key k of Secret s does not exist in namespace ns"),
        ({"Secret/ns/s": {}}, (), "Key k of Secret s does not exist"),
        ({}, ("Secret/ns/s",), ""),
    ],
)
def test_what_is_missing(live: dict[str, Object], skip: tuple[str, ...], words: str) -> None:
    wanted = references.references([env(secretKeyRef={"name": "s", "key": "k"})])
    seen = [finding.seen for finding in references.findings(wanted, live, skip, ())]
    assert len(seen) == bool(words) and words in "".join(seen)


def test_one_finding_for_everybody_who_refers_to_it() -> None:
    wanted = references.references(
        [
            volume(secret={"secretName": "s"}),
            obj("apps/v1", "Deployment", {"template": volume(secret={"secretName": "s", "items": [{"key": "k"}]})}),
        ]
    )
    (finding,) = references.findings(wanted, {}, (), ())
    assert "Pod x, Deployment x refer to it" in finding.seen
    assert "kubectl create secret generic s -n ns" in finding.remedy


def test_objects_of_a_kind_that_is_not_there_are_not_missed_one_by_one() -> None:
    wanted = references.references([CERTIFICATE])
    assert not list(references.findings(wanted, {}, (), ["cert-manager.io/v1 Issuer"]))


def test_kinds_that_the_cluster_does_not_know() -> None:
    monitor = obj("monitoring.coreos.com/v1", "ServiceMonitor", {})
    rule = obj("monitoring.coreos.com/v1", "PrometheusRule", {})
    unserved: dict[str, tuple[str, ...]] = {
        "monitoring.coreos.com/v1 ServiceMonitor": (),
        "monitoring.coreos.com/v1 PrometheusRule": (),
        "external-secrets.io/v1 ExternalSecret": ("external-secrets.io/v1beta1",),
        "example.com/v1 Own": (),
    }
    store = obj("external-secrets.io/v1", "ExternalSecret", {})
    own = obj("example.com/v1", "Own", {})
    definition = obj(
        "apiextensions.k8s.io/v1", "CustomResourceDefinition", {"group": "example.com", "names": {"kind": "Own"}}
    )
    first, second, third = references.kind_findings([monitor, rule, store, own], unserved)
    assert first.seen == "The cluster does not know ServiceMonitor, PrometheusRule of monitoring.coreos.com/v1."
    assert first.remedy.startswith("Install Prometheus Operator")
    assert "it serves external-secrets.io/v1beta1" in second.seen
    assert second.remedy.startswith("Upgrade External Secrets Operator")
    assert third.remedy.startswith("Install what serves example.com")
    assert not list(references.kind_findings([own, definition], unserved))


def test_the_release_of_these_tests_refers_to_nothing() -> None:
    assert references.references(data.rendered()) == []
