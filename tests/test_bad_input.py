# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad values for every argument of every role, without a cluster: the sentence that is said, and nothing touched.

One run for all: every bad value is a host of its own. The API server is ours: it holds nothing, and takes down what it
is asked.
"""

import http.server
import json
import os
import re
import subprocess
import threading

import pytest

from testbed import extras
from tests.package import ROOT
from tests.test_argument_specs import ROLES, options

# What Ansible itself refuses, by type.
BY_TYPE = {
    "int": ("soon", "we were unable to convert to int|it must be a whole number"),
    "bool": ("perhaps", "we were unable to convert to bool"),
    "dict": ("some text", "we were unable to convert to dict|it must be a map"),
    "list": ({"a": 1}, "we were unable to convert to list"),
}

LISTS = ("nodes", "pods", "persistentvolumeclaims", "secrets", "storageclasses")

# A row for every argument that is text or a path, and more for others; a misspelt variable has its rows here as well.
CASES = [
    ("orbit_rs_release", "Orders", "orbit_rs_release is 'Orders': a name has lower case letters"),
    ("orbit_rs_namespace", {"orders": None}, "orbit_rs_namespace is a map: it must be text"),
    ("orbit_rs_kubeconfig", "/nowhere/kubeconfig", "The file /nowhere/kubeconfig cannot be read"),
    ("orbit_rs_context", "nowhere", "The kubeconfig has no context nowhere"),
    ("orbit_rs_chart", "/nowhere/chart", "There is no chart /nowhere/chart"),
    ("orbit_rs_chart_version", "newest", "orbit_rs_chart_version is 'newest': a version looks like 0.1.0"),
    ("orbit_rs_chart_version", "77.0.0", r"is orbit-rs-\S+; orbit_rs_chart_version asks for 77.0.0"),
    ("orbit_rs_chart_repository", "charts.example.com", "the URL of a chart repository begins with http"),
    ("orbit_rs_values", {"orbitServer": {"replicaCuont": 3}}, "Did you mean orbitServer.replicaCount?"),
    ("orbit_rs_values", {"orbitServer": {"replicaCount": "many"}}, "it must be a whole number"),
    ("orbit_rs_values_files", ["/nowhere/values.yml"], "The values file /nowhere/values.yml cannot be read"),
    ("orbit_rs_values_files", [str(ROOT / "LICENSE")], "is not YAML"),
    ("orbit_rs_values_files", [str(ROOT / "ansible.cfg")], "is not YAML"),
    ("orbit_rs_values_files", [str(ROOT / ".gitignore")], "holds no map of keys and values"),
    ("orbit_rs_namespace_labels", {"team": True}, "the label team needs text"),
    ("orbit_rs_storage_class", "Fast", "orbit_rs_storage_class is 'Fast': a name has lower case letters"),
    (
        "orbit_rs_storage_snapshot_class",
        "Fast",
        "snapshot_class is 'Fast': a name has lower case letters",
    ),
    ("orbit_rs_storage_test_image", "an image", "an image looks like registry.example.com/name:tag"),
    ("orbit_rs_storage_parameters", {"type": {"a": 1}}, "type must be text, a number, true or false"),
    ("orbit_rs_plan_hash", "approved", "a hash has 64 hexadecimal digits"),
    ("orbit_rs_rollout_timeout", 0, "orbit_rs_rollout_timeout is 0: it must be a whole number of seconds, 1 or more"),
    ("orbit_rs_gate_timeout", -1, "orbit_rs_gate_timeout is -1: it must be a whole number of seconds, 1 or more"),
    ("orbit_rs_bin_dir", __file__, "it is a file, and must be a folder"),
    ("orbit_rs_mirror", "mirror.example.com", "a base URL begins with http:// or https://"),
    ("orbit_rs_tool_names", ["hammer"], "The tool hammer is wanted, and orbit_rs_tools does not describe it"),
    ("orbit_rs_tools", [{"name": "helm"}], "missing required arguments: version found in orbit_rs_tools"),
    (
        "orbit_rs_tools",
        [{"name": "helm", "version": "v4", "sha256": "x"}],
        r"orbit_rs_tools\.sha256\. Supported parameters include: checksums",
    ),
    ("orbit_rs_python_target", __file__, "it is a file, and must be a folder"),
    ("orbit_rs_addons", [{"name": "metric-server"}], "Did you mean metrics-server?"),
    (
        "orbit_rs_addons",
        [{"name": "mine", "char": "x"}],
        r"orbit_rs_addons\.char\. Supported parameters include: api_groups",
    ),
    ("orbit_rs_addons_timeout", 0, "orbit_rs_addons_timeout is 0: it must be a whole number of seconds, 1 or more"),
    ("orbit_rs_version", "v0.2.0 beta", "a tag has letters, digits"),
    ("orbit_rs_soak", -1, "orbit_rs_soak is -1: it must be a whole number of seconds, 0 or more"),
    ("orbit_rs_lock_timeout", -1, "orbit_rs_lock_timeout is -1: it must be a whole number of seconds, 0 or more"),
    ("orbit_rs_revision", -1, "orbit_rs_revision is -1: it must be a whole number, 0 or more"),
    ("orbit_rs_diagnose_dir", __file__, "it is a file, and must be a folder"),
    ("orbit_rs_metrics_dir", __file__, "it is a file, and must be a folder"),
    ("orbit_rs_repository", "backups", "it is an absolute folder, or begins with its kind"),
    ("orbit_rs_repository_name", "a,b", "orbit_rs_repository_name is 'a,b': a name has letters"),
    ("orbit_rs_repository_password", "two\nlines", "orbit_rs_repository_password is hidden: it must be one line"),
    ("orbit_rs_repository_password_file", "/nowhere/password", "there is no such file"),
    ("orbit_rs_repository_password_secret", "Backup", "orbit_rs_repository_password_secret is 'Backup'"),
    ("orbit_rs_repository_password_command", " pass show", "it must begin with the name of a command"),
    ("orbit_rs_repository_new_password", "two\nlines", "repository_new_password is hidden: it must be one line"),
    ("orbit_rs_repository_new_password_file", "/nowhere/password", "there is no such file"),
    ("orbit_rs_repository_new_password_secret", "Backup", "orbit_rs_repository_new_password_secret is 'Backup'"),
    ("orbit_rs_repository_new_password_command", " pass show", "it must begin with the name of a command"),
    ("orbit_rs_repository_environment", {"AWS_REGION": None}, "AWS_REGION must be text, a number, true or false"),
    ("orbit_rs_backup_parallel", 0, "orbit_rs_backup_parallel is 0: it must be a whole number, 1 or more"),
    ("orbit_rs_backup_scratch", "tmp", "it must be an absolute folder of the pods"),
    ("orbit_rs_backup_database", "/app/data/orbit.db", "it must be the name of a file, without a folder"),
    ("orbit_rs_set", "latest", "it is newest, verified or an id"),
    ("orbit_rs_restore_before", "yesterday", "a time looks like 2026-11-30T14:50"),
    ("orbit_rs_restore_from", "a,b", "orbit_rs_restore_from is 'a,b': a name has letters"),
    ("orbit_rs_restore_confirm", {"orders": None}, "orbit_rs_restore_confirm is a map: it must be text"),
    ("orbit_rs_drill_namespace", "Drill", "orbit_rs_drill_namespace is 'Drill': a name has lower case"),
    ("orbit_rs_verify_subset", "some", "a part looks like 5%, 1/10 or 500M"),
    ("orbit_rs_schedule", {"backup": "0 2 * *"}, "schedule '0 2 . .' cannot be used: it needs five fields"),
    ("orbit_rs_schedule", {"backup": "0 2 1 * mon"}, "leave one of them"),
    ("orbit_rs_schedule", {"restore": "0 2 * * *"}, "The operation restore cannot be scheduled"),
    ("orbit_rs_schedule_folder", "here", "it must be an absolute folder"),
    ("orbit_rs_drift_report", str(ROOT), "it is a folder, and must be a file"),
    ("orbit_rs_history_html", "/nowhere/history.html", "there is no folder /nowhere"),
    ("orbit_rs_destroy_data", {"orders": None}, "orbit_rs_destroy_data is a map: it must be text"),
    ("orbit_rs_replicas", -1, "orbit_rs_replicas is -1: it must be a whole number, 0 or more"),
    ("orbit_rs_min_replicas", -1, "orbit_rs_min_replicas is -1: it must be a whole number, 0 or more"),
    ("orbit_rs_max_replicas", -1, "orbit_rs_max_replicas is -1: it must be a whole number, 0 or more"),
    ("orbit_rs_namspace", "orders", "orbit_rs_namspace is not known.*Did you mean orbit_rs_namespace?"),
    ("orbit_rs_values_file", "my.yml", "orbit_rs_values_file is not known.*Did you mean orbit_rs_values_files?"),
]
SPECS = {name: (role, option) for role in ROLES for name, option in options(role).items()}
TYPED = [(name, *BY_TYPE[option["type"]]) for name, (_, option) in SPECS.items() if option["type"] in BY_TYPE]
CHOSEN = [
    (name, "floppy", f"value of {name} must be one of: .*, got: floppy")
    for name, (_, option) in SPECS.items()
    if "choices" in option
]
ROWS = [*CASES, *TYPED, *CHOSEN]


def tried_with(role):
    """Say with which role a variable is tried: its own, and for the shared ones the role that uses them all."""
    return "deploy" if role == "common" else role


@pytest.fixture(scope="module")
def asked():
    """Serve the API of a cluster that holds nothing; give its URL and the list of what it is asked."""
    requests = []

    class Nothing(http.server.BaseHTTPRequestHandler):
        def answer(self):
            requests.append((self.command, self.path))
            what = self.path.partition("?")[0].rpartition("/")[2]
            status, content = 404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
            if what == "version":
                status, content = 200, {"major": "1", "minor": "37", "gitVersion": "v1.37.2"}
            elif what in LISTS:
                status, content = 200, {"kind": "List", "apiVersion": "v1", "items": []}
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
        server.shutdown()


def say(rows, folder, **everywhere):
    """Run all rows with these variables for each; give what was said to each by its number, and the whole output."""
    hosts = {}
    for number, (name, value, _) in enumerate(rows):
        role = tried_with(SPECS[name][0] if name in SPECS else "common")
        namespace = {"orbit_rs_namespace": f"molecule-bad-input-{number}"}
        hosts.setdefault(role, {"hosts": {}})["hosts"][f"row{number}"] = {**namespace, name: value}
    (folder / "hosts.json").write_text(json.dumps({"all": {"children": hosts, "vars": everywhere}}))
    role = {"ansible.builtin.include_role": {"name": "orbit.rs.{{ group_names[0] }}"}}
    play = {"hosts": "all", "connection": "local", "gather_facts": False, "tasks": [role]}
    (folder / "play.yml").write_text(json.dumps([play]))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    env |= {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    env["PATH"] = f"{extras.restic().parent}{os.pathsep}{env['PATH']}"  # nothing is to be downloaded
    env |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_FORKS": "4"}
    ended = subprocess.run(
        ("ansible-playbook", "-i", folder / "hosts.json", folder / "play.yml"),
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode != 0 and "Traceback" not in ended.stdout, ended.stdout[-5000:]
    fatal = re.findall(r"^fatal: \[row(\d+)\]: FAILED! => (.*)$", ended.stdout, re.MULTILINE)
    return {int(number): json.loads(result)["msg"] for number, result in fatal}, ended.stdout


def expect(row, number, said):
    """See that the row was refused with its sentence."""
    name, value, expected = row
    messages, output = said
    assert number in messages, f"{name}: {value!r} is accepted:\n{output[-2000:]}"
    assert re.search(expected.replace("?", r"\?"), " ".join(messages[number].split())), messages[number]


@pytest.fixture(scope="module")
def said(asked, tmp_path_factory):
    """Run all rows; give what was said to each."""
    folder = tmp_path_factory.mktemp("bad-input")
    cluster = {"name": "nothing", "cluster": {"server": asked[0]}}
    context = {"name": "nothing", "context": {"cluster": "nothing", "user": ""}}
    kubeconfig = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context]}
    (folder / "kubeconfig").write_text(json.dumps({**kubeconfig, "current-context": "nothing"}))
    return say(ROWS, folder, orbit_rs_kubeconfig=str(folder / "kubeconfig"))


@pytest.mark.parametrize("number", range(len(ROWS)), ids=[f"{name}={value!r:.30}" for name, value, _ in ROWS])
def test_the_expected_sentence(said, number):
    expect(ROWS[number], number, said)


def test_nothing_is_touched(said, asked):
    # A review of what one may do is posted, and stored nowhere.
    questions = [path for verb, path in asked[1] if verb == "POST" and "/selfsubject" in path]
    assert [path for verb, path in asked[1] if verb != "GET"] == questions


def test_every_argument_has_a_row():
    """For text and paths the types say nothing: think of a bad value, and add a row to CASES."""
    assert set(SPECS) - {name for name, *_ in ROWS} == set()
