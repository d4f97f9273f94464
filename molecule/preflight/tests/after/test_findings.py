# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a rollout, provoked: everything is named in one run, and nothing is touched."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[4]
CHART = ROOT / "collections/ansible_collections/orbit/rs/charts/orbit-rs"
HOSTNAME = "kubernetes.io/hostname"
KIND = ROOT / "inventories/kind/group_vars/orbit_rs.yml"

# What is wrong in the namespace: little quota, small claims only, and a volume on a node that is gone.
FOUND = """
apiVersion: v1
kind: ResourceQuota
metadata: {name: little}
spec: {hard: {pods: "2", requests.cpu: 100m}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: small}
spec: {limits: [{type: PersistentVolumeClaim, max: {storage: 512Mi}}]}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: molecule-preflight-gone}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: local-path
  claimRef: {namespace: molecule-preflight, name: data-orbit-server-1}
  local: {path: /gone}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [gone]}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data-orbit-server-1}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: local-path
  volumeName: molecule-preflight-gone
  resources: {requests: {storage: 500Mi}}
"""

# What a chart may render and this cluster cannot serve.
EXTRA = """
apiVersion: example.com/v1
kind: Unheard
metadata: {name: unheard}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: scaler}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: orbit-server}
  maxReplicas: 5
  metrics: [{type: External, external: {metric: {name: x}, target: {type: Value, value: "1"}}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: way-in}
spec: {ingressClassName: no-such-ingress, defaultBackend: {service: {name: orbit-server, port: {number: 8080}}}}
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec:
  type: NodePort
  selector: {app.kubernetes.io/instance: orbit-rs}
  ports: [{name: grpc, port: 1, nodePort: 31999, targetPort: no-such-port}]
---
apiVersion: v1
kind: Pod
metadata: {name: rootful}
spec: {containers: [{name: c, image: "orbit-rs/orbit-server:v0.1.0"}]}
"""

VALUES = {
    "imagePullSecrets": [{"name": "no-such-registry"}],
    "orbitServer": {
        "priorityClassName": "no-such-priority",
        "env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "no-such-secret", "key": "k"}}}],
    },
    "extraVolumes": [{"name": "more", "configMap": {"name": "no-such-config"}}],
    "strategy": {"rollingUpdate": {"maxSurge": 1}},
}

EXPECTED = (
    "The cluster does not know Unheard of example.com/v1",
    "A HorizontalPodAutoscaler reads external.metrics.k8s.io/v1beta1",
    "IngressClass no-such-ingress does not exist",
    "Service outside wants the node port 31999, which Service molecule-holder",
    "Service outside forwards to the port no-such-port",
    "would refuse the pods of Pod rootful: container c lacks allowPrivilegeEscalation: false",
    "Secret no-such-registry does not exist",
    "Secret no-such-secret does not exist",
    "ConfigMap no-such-config does not exist",
    "PriorityClass no-such-priority does not exist",
    "Quota little allows pods 2, of which 0 is used; this rollout needs 4 more",
    "Quota little allows requests.cpu 100m",
    "The claim data has the limit storage 1Gi; the most is 512Mi (LimitRange small)",
    "CSIDriver ebs.csi.aws.com does not exist; StorageClass molecule-preflight refers to it",
    "StorageClass molecule-preflight shall be the default, and local-path is it, too",
    "The volume of orbit-server-1 is tied to node gone, where no node can take the pod",
    "Volumes of an earlier life are there and will be used with the data on them: data-orbit-server-1",
    "storageaccounttype is outdated",
    "strategy.rollingUpdate.maxSurge has no effect",
)


def merged(values, changes):
    """Merge nested values, as Helm does."""
    for key, change in changes.items():
        values[key] = merged(values.get(key, {}), change) if isinstance(change, dict) else change
    return values


@pytest.fixture
def variables(tmp_path):
    """Write variables, with changes over the values of the inventory; return the arguments that pass them."""

    def write(changes=None, **more):
        values = merged(yaml.safe_load(KIND.read_text())["orbit_rs_values"], changes or {})
        path = tmp_path / "variables.json"
        path.write_text(json.dumps({"orbit_rs_values": values, **more}))
        return "--extra-vars", f"@{path}"

    return write


@pytest.fixture(scope="module")
def namespace(deployed):
    """The namespace, empty."""
    deployed.kubectl(f"create namespace {deployed.namespace}")
    yield deployed
    deployed.kubectl(f"delete namespace {deployed.namespace} --wait")


@pytest.fixture
def trouble(namespace, tmp_path):
    """Everything that can be wrong in a namespace, and a node port that is taken."""
    path = tmp_path / "found.yml"
    path.write_text(FOUND)
    namespace.kubectl(f"apply --filename {path}")
    namespace.kubectl("create service nodeport molecule-holder --tcp 1 --node-port 31999")
    namespace.kubectl("wait pvc/data-orbit-server-1 --for jsonpath={.status.phase}=Bound --timeout 30s")
    yield namespace
    namespace.kubectl("delete service molecule-holder")
    namespace.kubectl(f"delete --filename {path} --wait")


def said(output):
    """The output in one line, so that sentences can be found in it."""
    return " ".join(output.split())


def test_everything_is_named_in_one_run_and_nothing_is_touched(trouble, variables, tmp_path):
    chart = shutil.copytree(CHART, tmp_path / "chart")
    (chart / "templates/extra.yaml").write_text(EXTRA)
    given = variables(
        VALUES,
        orbit_rs_chart=str(chart),
        orbit_rs_storage_provider="eks",
        orbit_rs_storage_class="molecule-preflight",
        orbit_rs_storage_default=True,
        orbit_rs_storage_parameters={"storageaccounttype": "x"},
    )
    before = trouble.at_rest()
    for playbook in ("preflight", "deploy"):
        ended = trouble.try_playbook(*given, playbook=playbook)
        assert ended.returncode != 0
        output = said(ended.stdout)
        assert [sentence for sentence in EXPECTED if sentence not in output] == []
        assert "Traceback" not in output
    assert trouble.fingerprint() == before


APART = {"labelSelector": {"matchLabels": {"app.kubernetes.io/instance": "orbit-rs"}}, "topologyKey": HOSTNAME}
PENDING = {
    "even an empty one is too small": {
        "orbitServer": {"resources": {"requests": {"cpu": "64"}, "limits": {"cpu": "64"}}}
    },
    "can take a pod of this release": {"orbitServer": {"nodeSelector": {"disk": "no-such"}}},
    "StorageClass no-such-class does not exist": {"persistence": {"storageClass": "no-such-class"}},
    "of 4 would stay Pending": {
        "orbitServer": {"replicaCount": 4},
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [APART]}},
    },
}


def test_pods_that_would_stay_pending_are_predicted(namespace, variables):
    before = namespace.fingerprint()
    for sentence, changes in PENDING.items():
        ended = namespace.try_playbook(*variables(changes), playbook="preflight")
        assert sentence in said(ended.stdout), ended.stdout
        # Where some ordinals find a place, the release comes up in part: that is a warning.
        assert (ended.returncode == 0) == sentence.startswith("of 4")
    assert namespace.fingerprint() == before


def test_a_snapshot_class_that_the_cluster_cannot_hold_is_left_out(namespace, variables):
    served = "volumesnapshotclasses" in namespace.kubectl("api-resources --output name")
    given = variables(
        orbit_rs_storage_provider="eks",
        orbit_rs_storage_class="molecule-preflight",
        orbit_rs_storage_snapshot_class="molecule-preflight",
    )
    output = said(namespace.playbook(*given, playbook="preflight"))
    assert ("VolumeSnapshotClass molecule-preflight is left out" in output) != served


ALLOWED = (
    ("get,list,watch", "*.*"),
    ("create,update,delete", "secrets"),
    ("create,update,patch", "leases.coordination.k8s.io"),
    ("create", "pods/portforward"),
    ("delete", "pods"),
    ("create,patch", "services,configmaps,serviceaccounts,poddisruptionbudgets.policy"),
)


def test_every_verb_that_an_account_lacks_is_named(namespace, variables, tmp_path):
    namespace.kubectl("create serviceaccount limited")
    for number, (verbs, resources) in enumerate(ALLOWED):
        namespace.kubectl(f"create role limited-{number} --verb {verbs} --resource '{resources}'")
        account = f"{namespace.namespace}:limited"
        namespace.kubectl(f"create rolebinding limited-{number} --role limited-{number} --serviceaccount {account}")
    config = json.loads(namespace.kubectl("config view --raw --minify --output json"))
    config["users"][0]["user"] = {"token": namespace.kubectl("create token limited").strip()}
    path = tmp_path / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    before = namespace.fingerprint()
    given = variables(orbit_rs_kubeconfig=str(path), orbit_rs_storage_class="molecule-preflight")
    ended = namespace.try_playbook(*given, playbook="preflight")
    assert ended.returncode != 0
    output = said(ended.stdout)
    assert f"may not patch and create statefulsets.apps in namespace {namespace.namespace}" in output
    assert f"kubectl auth can-i patch statefulsets.apps -n {namespace.namespace}" in output
    assert "may not create and patch storageclasses.storage.k8s.io;" in output
    assert "may not patch namespaces;" in output, "its labels are not yet there"
    assert "list nodes; " in output, "what cannot be checked is named, too"
    assert not any(f"may not {verb}" in output for verb in ("create services", "delete pods", "update secrets"))
    assert namespace.fingerprint() == before
