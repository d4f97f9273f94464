# SPDX-License-Identifier: GPL-3.0-or-later
"""Each way in which a rollout can fail: named with cause, evidence and remedy, and repaired by a corrected second run.

Every case is a release of one inventory, in a namespace of its own, so that one run breaks all of them side by side and
one run repairs them. Where a case has an obstacle, it stands in its namespace only.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import redis
import yaml

ROOT = Path(__file__).resolve().parents[3]
KUBECONFIG = os.environ.get("ORBIT_RS_KUBECONFIG") or os.environ.get("KUBECONFIG", "")
PREFIX = "molecule-diagnosis"
FORKS = 6
NOBODY = "example.com/nobody"

# One small server that starts at once; its readiness probe gives it ten seconds.
GOOD: dict[str, Any] = {
    "orbitServer": {
        "replicaCount": 1,
        "resources": {"requests": {"cpu": "5m", "memory": "32Mi"}},
        "preStopSleepSeconds": 0,
        "terminationGracePeriodSeconds": 5,
    },
    "persistence": {"size": "1Gi"},
    "startupProbe": {"periodSeconds": 1, "failureThreshold": 120},
    "readinessProbe": {"periodSeconds": 1, "failureThreshold": 1},
}
SHORT = {"startupProbe": {"failureThreshold": 3}}
NEW_POD = {"orbitServer": {"podAnnotations": {"new": "pod"}}}


# What a rollout needs in its namespace. Quotas, bounds, accounts, nodes and classes cannot be read with it.
RBAC = {"apiVersion": "rbac.authorization.k8s.io/v1"}
RULES = [
    {"apiGroups": [group], "resources": resources.split(), "verbs": ["*"]}
    for group, resources in {
        "": "namespaces pods pods/log pods/portforward events persistentvolumeclaims secrets configmaps services",
        "apps": "statefulsets",
        "coordination.k8s.io": "leases",
    }.items()
]
LIMITED = {"serviceAccount": {"create": False, "name": "default"}}


def fault(name: str) -> dict[str, Any]:
    """Values that turn a failure switch of the server on."""
    return {"orbitServer": {"env": [{"name": "ORBIT_FAULT", "value": name}]}}


@dataclasses.dataclass(frozen=True)
class Case:
    """One failure: how it comes about, and what is said about it."""

    signature: str  # its section in docs/diagnosis.md; empty: Helm is refused, so there is no rollout to diagnose
    says: tuple[str, ...]  # of cause, evidence and remedy
    values: dict[str, Any] = dataclasses.field(default_factory=dict)  # over the good ones
    obstacle: str = ""  # objects that stand in the way until the second run
    help: str = ""  # objects that the second run finds
    corrected: bool = True  # the second run has the good values; else only obstacle and help make the difference
    data: bool = False  # a good release with data is there before; else it is the first install that fails
    limited: bool = False  # by an account that may do what a rollout needs and no more, so that preflight cannot tell


CASES: dict[str, Case] = {
    "pull": Case(
        "image-not-pulled",
        ("The image cannot be pulled", "localhost:1", "Check image name and registry"),
        {"orbitServer": {"image": {"repository": "localhost:1/orbit-server", "pullPolicy": "IfNotPresent"}}},
        data=True,
    ),
    "never-pull": Case(
        "image-never-pulled",
        ("not on the node", "no-such-server", "Load the image on every node"),
        {"orbitServer": {"image": {"repository": "orbit-rs/no-such-server"}}},
    ),
    "other-image": Case(
        "command-missing",
        ("command cannot be started", "/app/orbit-server", "correct orbitServer.image"),
        {"orbitServer": {"image": {"repository": "registry.k8s.io/pause", "tag": "3.10"}}},
    ),
    "crash": Case(
        "crash-loop",
        ("exit code 1", "panicked at startup", "logs orbit-server-0 --previous"),
        fault("crash"),
        data=True,
    ),
    "exit-0": Case("exit-0", ("exit code 0", "ORBIT_FAULT is on", "orbitServer.compatibility"), fault("exit:0")),
    "config": Case(
        "config-refused",
        ("refuses its configuration", "tls.cert_file", "Correct config in orbit_rs_values"),
        {"config": {"tls": {"enabled": True}}},
    ),
    "unready": Case("never-ready", ("not ready", "statuscode: 503", "readinessProbe"), fault("unready")),
    "refused": Case("probe-refused", ("nothing listens", "connection refused", "compatibility"), fault("deaf") | SHORT),
    "lost": Case(
        "probe-answered-wrong", ("does not know the path", "statuscode: 404", "compatibility"), fault("lost") | SHORT
    ),
    "slow": Case("slow-start", ("does not come up", "slow-start", "failureThreshold"), fault("slow-start:600") | SHORT),
    "memory": Case(
        "out-of-memory",
        ("reached its memory limit", "exit code 137", "Raise resources.limits.memory"),
        {"resources": {"requests": {"memory": "8Mi"}, "limits": {"memory": "16Mi"}}},
        data=True,
    ),
    "room": Case(
        "scheduling-resources",
        ("not enough cpu", "Insufficient cpu", "Lower resources.requests"),
        {"resources": {"requests": {"cpu": "900"}, "limits": {"cpu": "900"}}},
        limited=True,
    ),
    "selector": Case(
        "scheduling-affinity",
        ("No node satisfies", "didn't match Pod's node affinity/selector", "nodeSelector"),
        {"orbitServer": {"nodeSelector": {"example.com/no-such": "label"}}},
        limited=True,
    ),
    "class": Case(
        "storage-class",
        (f"no StorageClass {PREFIX}-class", "not found", "kubectl get storageclass"),
        {"persistence": {"storageClass": f"{PREFIX}-class"}},
        help=f"""
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {PREFIX}-class}}
provisioner: rancher.io/local-path
volumeBindingMode: WaitForFirstConsumer
""",
        corrected=False,
        limited=True,
    ),
    "provisioner": Case(
        "no-provisioner",
        (f"provisioner {NOBODY}", "Waiting for a volume", "use another class"),
        {"persistence": {"storageClass": f"{PREFIX}-provisioner"}},
        obstacle=f"""
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {PREFIX}-provisioner}}
provisioner: {NOBODY}
volumeBindingMode: WaitForFirstConsumer
""",
        help=f"""
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {PREFIX}-provisioner}}
provisioner: rancher.io/local-path
volumeBindingMode: WaitForFirstConsumer
""",
        corrected=False,
    ),
    "claim": Case(
        "scheduling-volume",
        ("volume is not there", "didn't find available persistent volumes to bind", "describe pvc"),
        {"extraVolumes": [{"name": "more", "persistentVolumeClaim": {"claimName": "more"}}]},
        obstacle=f"""
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {PREFIX}-claim}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: more}}
spec:
  storageClassName: {PREFIX}-claim
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 1Gi}}}}
""",
    ),
    "key": Case(
        "missing-config",
        ("is missing: no-such", "couldn't find key no-such in ConfigMap", "correct the reference"),
        {
            "orbitServer": {
                "env": [
                    {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "orbit-server-config", "key": "no-such"}}}
                ]
            }
        },
        data=True,
    ),
    "configmap": Case(
        "missing-volume-source",
        ("or a key in it, is missing: no-such", "references non-existent config key: no-such", "extraVolumes"),
        {
            "extraVolumes": [
                {
                    "name": "more",
                    "configMap": {"name": "orbit-server-config", "items": [{"key": "no-such", "path": "no-such"}]},
                }
            ],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        },
    ),
    "security": Case(
        "pod-security",
        ("pod security standard restricted", "AppArmor", "orbit_rs_namespace_labels"),
        {
            "orbitServer": {
                "podAnnotations": {"container.apparmor.security.beta.kubernetes.io/orbit-server": "unconfined"}
            }
        },
    ),
    "quota": Case(
        "quota",
        ("quota nothing", "exceeded quota: nothing", "describe quota"),
        NEW_POD,
        obstacle="""
apiVersion: v1
kind: ResourceQuota
metadata: {name: nothing}
spec: {hard: {pods: "0"}}
""",
        corrected=False,
        data=True,
    ),
    "limits": Case(
        "limit-range",
        ("LimitRange", "maximum memory usage per Container is 16Mi", "describe limitrange"),
        NEW_POD,
        obstacle="""
apiVersion: v1
kind: LimitRange
metadata: {name: tight}
spec: {limits: [{type: Container, max: {memory: 16Mi}}]}
""",
        limited=True,
    ),
    "account": Case(
        "service-account",
        ("no ServiceAccount nobody", 'serviceaccount "nobody" not found', "create serviceaccount nobody"),
        {"serviceAccount": {"create": False, "name": "nobody"}},
        limited=True,
    ),
    "priority": Case(
        "priority-class",
        ("no PriorityClass no-such", "was found", "priorityClassName"),
        {"orbitServer": {"priorityClassName": "no-such"}},
        limited=True,
    ),
    "init": Case(
        "init-container",
        ("init container prepare fails", "exit code 1", "container prepare"),
        NEW_POD,
        obstacle=f"""
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {{name: {PREFIX}-init}}
spec:
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {PREFIX}-init}}}}
    resourceRules: [{{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
    - patchType: JSONPatch
      jsonPatch:
        expression: >-
          [JSONPatch{{op: "add", path: "/spec/initContainers", value: [Object.spec.initContainers{{
            name: "prepare",
            image: object.spec.containers[0].image,
            imagePullPolicy: "Never",
            command: ["/app/orbit-server", "--validate", "--config", "/no-such.toml"],
            securityContext: Object.spec.initContainers.securityContext{{
              allowPrivilegeEscalation: false,
              capabilities: Object.spec.initContainers.securityContext.capabilities{{drop: ["ALL"]}}
            }}
          }}]}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {{name: {PREFIX}-init}}
spec: {{policyName: {PREFIX}-init}}
""",
        data=True,
    ),
    "policy": Case(
        "admission-policy",
        (f"admission policy {PREFIX}-policy", "no pods on Wednesdays", "Satisfy its rule"),
        NEW_POD,
        obstacle=f"""
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {PREFIX}-policy}}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {PREFIX}-policy}}}}
    resourceRules: [{{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]
  validations: [{{expression: "false", message: no pods on Wednesdays}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {PREFIX}-policy}}
spec: {{policyName: {PREFIX}-policy, validationActions: [Deny]}}
""",
        corrected=False,
        data=True,
    ),
    "webhook": Case(
        "admission-webhook",
        ("webhook pods.example.com does not answer", "failed calling webhook", "Repair or remove it"),
        NEW_POD,
        obstacle=f"""
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: {PREFIX}-webhook}}
webhooks:
  - name: pods.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    timeoutSeconds: 2
    clientConfig: {{service: {{name: no-such, namespace: {PREFIX}-webhook}}}}
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {PREFIX}-webhook}}}}
    rules: [{{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]
""",
        corrected=False,
    ),
    "helm-policy": Case(
        "",
        (f"The admission policy {PREFIX}-helm-policy refuses", "no databases here", "Satisfy its rule"),
        obstacle=f"""
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {PREFIX}-helm-policy}}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {PREFIX}-helm-policy}}}}
    resourceRules: [{{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [statefulsets]}}]
  validations: [{{expression: "false", message: no databases here}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {PREFIX}-helm-policy}}
spec: {{policyName: {PREFIX}-helm-policy, validationActions: [Deny]}}
""",
    ),
    "helm-quota": Case(
        "",
        ("A quota of the namespace does not allow services", "describe quota"),
        obstacle="""
apiVersion: v1
kind: ResourceQuota
metadata: {name: nothing}
spec: {hard: {services: "0"}}
""",
        limited=True,
    ),
}


def merged(values: Any, changes: dict[str, Any]) -> Any:
    """Nested values, merged as Helm does."""
    result = dict(values)
    for key, change in changes.items():
        result[key] = merged(result.get(key, {}), change) if isinstance(change, dict) else change
    return result


def namespace(case: str) -> str:
    return f"{PREFIX}-{case}"


@dataclasses.dataclass
class Fleet:
    """The releases of all cases, and what a run says about each."""

    folder: Path
    changed: dict[str, str] = dataclasses.field(default_factory=dict)

    def kubectl(self, *arguments: str, text: str = "") -> str:
        command = ("kubectl", "--kubeconfig", KUBECONFIG, *arguments)
        return subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout

    def objects(self, verb: str, case: str, text: str, *more: str) -> None:
        self.kubectl(verb, "--namespace", namespace(case), "--filename", "-", *more, text=text)

    def remove_what_is_cluster_wide(self) -> None:
        """Obstacles and help that do not go with their namespaces; their names begin with ours."""
        texts = [text for case in CASES.values() for text in (case.obstacle, case.help)]
        found = [item for item in yaml.safe_load_all("\n---".join(texts)) if item]
        ours = [item for item in found if item["metadata"]["name"].startswith(PREFIX)]
        self.kubectl("delete", "--ignore-not-found", "--filename", "-", text=yaml.safe_dump_all(ours))

    def run(self, cases: list[str], phase: Literal["good", "broken", "repaired"]) -> dict[str, str]:
        """Deploy releases; why each has failed, "" when it has not. `changed` has the changed tasks of each then."""
        variables = yaml.safe_load((ROOT / "inventories/kind/group_vars/orbit_rs.yml").read_text())
        hosts = {}
        for name in cases:
            case = CASES[name]
            bad = case.values if phase == "broken" or (phase == "repaired" and not case.corrected) else {}
            good = merged(merged(variables["orbit_rs_values"], GOOD), LIMITED if case.limited else {})
            hosts[name] = {"orbit_rs_namespace": namespace(name), "orbit_rs_values": merged(good, bad)}
            if case.limited:
                hosts[name]["orbit_rs_kubeconfig"] = str(self.folder / "limited")
        del variables["orbit_rs_values"]
        inventory = self.folder / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"orbit_rs": {"hosts": hosts, "vars": variables}}))
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        ended = subprocess.run(
            ("ansible-playbook", "--inventory", str(inventory), f"--forks={FORKS}", "playbooks/deploy.yml"),
            cwd=ROOT,
            env=ours
            | {
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
                "XDG_STATE_HOME": str(self.folder / "state"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        (self.folder / f"output-{phase}").write_text(ended.stdout)
        said = dict.fromkeys(cases, "")
        for host, result in re.findall(r"^fatal: \[(.+?)\]: FAILED! => (\{.*\})$", ended.stdout, re.MULTILINE):
            said[host] = json.loads(result)["msg"]
        self.changed = dict(re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+) ", ended.stdout, re.MULTILINE))
        assert self.changed.keys() == set(cases), ended.stdout
        return said

    def redis(self, case: str, command: str, *arguments: str) -> Any:
        """One command of a stock client to the server of a case."""
        target = ("port-forward", "--namespace", namespace(case), "pod/orbit-server-0", ":6379")
        with subprocess.Popen(
            ("kubectl", "--kubeconfig", KUBECONFIG, *target), stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout
            try:
                port = re.search(r"127\.0\.0\.1:(\d+)", child.stdout.readline())
                assert port
                with redis.Redis(port=int(port[1]), decode_responses=True) as client:
                    return client.execute_command(command, *arguments)
            finally:
                child.terminate()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Namespaces for all cases, and an account that may do everything in those of some and nothing elsewhere."""
    fleet = Fleet(tmp_path_factory.mktemp("fleet"))
    wanted: list[dict[str, Any]] = []
    for name, case in CASES.items():
        if case.limited:
            labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
            wanted += [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(name), "labels": labels}},
                {**RBAC, "kind": "Role", "metadata": {"name": "limited", "namespace": namespace(name)}, "rules": RULES},
                {
                    **RBAC,
                    "kind": "RoleBinding",
                    "metadata": {"name": "limited", "namespace": namespace(name)},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "limited"},
                    "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace("room")}],
                },
            ]
        elif not case.data:
            wanted += [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(name)}}]
    fleet.remove_what_is_cluster_wide()  # of a run that was killed
    fleet.kubectl("apply", "--filename", "-", text=yaml.safe_dump_all(wanted))
    config = yaml.safe_load(fleet.kubectl("config", "view", "--raw", "--minify"))
    token = fleet.kubectl("create", "token", "default", "--namespace", namespace("room")).strip()
    config["users"][0]["user"] = {"token": token}
    (fleet.folder / "limited").touch(0o600)
    (fleet.folder / "limited").write_text(yaml.safe_dump(config))
    try:
        yield fleet
    finally:
        fleet.remove_what_is_cluster_wide()
        fleet.kubectl("delete", "namespace", "--wait=false", "--ignore-not-found", *map(namespace, CASES))


@pytest.fixture(scope="module")
def good(fleet: Fleet) -> Fleet:
    """A good release with data, wherever the failure is not one of the first install."""
    old = [name for name, case in CASES.items() if case.data]
    said = fleet.run(old, "good")
    assert not any(said.values()), said
    for name in old:
        fleet.redis(name, "SET", "mark", name)
    return fleet


@pytest.fixture(scope="module")
def broken(good: Fleet) -> dict[str, str]:
    """What the run says about each release that cannot succeed."""
    for name, case in CASES.items():
        if case.obstacle:
            good.objects("apply", name, case.obstacle)
    return good.run(list(CASES), "broken")


@pytest.fixture(scope="module")
def repaired(good: Fleet, broken: dict[str, str]) -> dict[str, str]:
    """What the second run says, with the obstacles gone and the values corrected."""
    del broken
    for name, case in CASES.items():
        if case.obstacle:
            good.objects("delete", name, case.obstacle, "--wait=false")
        if case.help:
            good.objects("apply", name, case.help)
    return good.run(list(CASES), "repaired")


@pytest.mark.parametrize("name", CASES)
def test_a_rollout_that_cannot_succeed_is_ended_with_cause_evidence_and_remedy(
    broken: dict[str, str], name: str
) -> None:
    case, said = CASES[name], " ".join(broken[name].split())
    for text in case.says:
        assert text in said, broken[name]
    if case.signature:
        assert "does not succeed, seen after" in said, "it was recognised, not waited for"
        assert f"docs/diagnosis.md#{case.signature} " in f"{said} "
        assert all(f" {word} " in said for word in ("cause", "evidence", "remedy")), broken[name]


@pytest.mark.parametrize("name", CASES)
def test_a_corrected_second_run_repairs_it(repaired: dict[str, str], name: str) -> None:
    assert not repaired[name], repaired[name]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.data])
def test_the_data_is_still_there(good: Fleet, repaired: dict[str, str], name: str) -> None:
    assert not repaired[name]
    assert good.redis(name, "GET", "mark") == name


def test_a_third_run_changes_nothing(good: Fleet, repaired: dict[str, str]) -> None:
    assert not any(repaired.values())
    said = good.run(["crash", "key", "class", "webhook"], "repaired")
    assert not any(said.values()), said
    assert set(good.changed.values()) == {"0"}, good.changed
