# SPDX-License-Identifier: GPL-3.0-or-later
"""The role prerequisites, with the real tools of this machine behind a mirror on loopback, laid out as upstream."""

import bz2
import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import threading
import venv
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.package import COLLECTION, ROOT

KNOWN = {
    tool["name"]: tool
    for tool in yaml.safe_load((COLLECTION / "roles/prerequisites/defaults/main.yml").read_text())["orbit_rs_tools"]
}
HERE = {"x86_64": "linux-amd64", "aarch64": "linux-arm64"}[os.uname().machine]
SYSTEM, ARCH = HERE.split("-")
NAMES = [name for name in KNOWN if shutil.which(name)]


def filled(tool, text):
    return text.format(version=tool["version"], number=tool["version"].removeprefix("v"), os=SYSTEM, arch=ARCH)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """Serve the tools at the paths of their publishers; give the base URL and our tools with these checksums."""
    root = tmp_path_factory.mktemp("mirror")
    tools = []
    for name in NAMES:
        tool, binary = KNOWN[name], Path(shutil.which(name)).resolve()
        path = root / urlsplit(filled(tool, tool["url"])).path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if tool["member"]:
            with tarfile.open(path, "w:gz", compresslevel=1) as archive:
                archive.add(binary, filled(tool, tool["member"]))
        else:
            content = binary.read_bytes()
            path.write_bytes(bz2.compress(content, 1) if path.suffix == ".bz2" else content)
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        tools.append({**tool, "checksums": {**tool["checksums"], HERE: checksum}})

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", tools
        server.shutdown()


@pytest.fixture
def run(mirror, tmp_path):
    """Run the role for two hosts at once, with no tool on the PATH; give the exit code and the output."""
    base, tools = mirror
    playbook = tmp_path / "play.yml"
    role = {
        "role": "orbit.rs.prerequisites",
        "orbit_rs_bin_dir": str(tmp_path / "bin"),
        "orbit_rs_mirror": base,
        "orbit_rs_tools": tools,
        "orbit_rs_tool_names": NAMES,
    }
    play = {"hosts": "all", "connection": "local", "gather_facts": False, "roles": [role]}
    play["tasks"] = [{"ansible.builtin.debug": {"var": "__orbit_rs_tools['paths']"}}]
    playbook.write_text(json.dumps([play]))
    (tmp_path / "path").mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    env |= {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    env |= {"PATH": str(tmp_path / "path"), "XDG_CACHE_HOME": str(tmp_path / "cache"), "ANSIBLE_NOCOLOR": "1"}

    def run(*arguments, python=sys.executable):
        ended = subprocess.run(
            (python, "-m", "ansible", "playbook", "-i", "one,two,", playbook, *arguments),
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stdout

    return run


def test_tools_are_fetched_once_and_run(run, tmp_path):
    assert "helm" in NAMES, "the chart tests need it too"
    bin_dir = tmp_path / "bin"

    code, output = run("--check", "--diff")
    assert code == 0 and f"helm {KNOWN['helm']['version']} would be downloaded to {bin_dir}" in output
    assert not bin_dir.exists()

    code, output = run()
    assert code == 0, output
    assert output.count("changed=1") == 1, "one host fetches, the other one finds"
    assert sorted(path.name for path in bin_dir.iterdir()) == sorted(NAMES)
    for name in NAMES:
        assert (bin_dir / name).read_bytes() == Path(shutil.which(name)).read_bytes()
        assert output.count("downloading http://127.0.0.1") == len(NAMES)
    assert subprocess.run((bin_dir / "helm", "version"), capture_output=True, check=True).stdout

    code, output = run()
    assert code == 0 and output.count("changed=0") == 2, output
    assert "downloading" not in output


@pytest.fixture
def other_python(tmp_path):
    """Make an environment that has all packages of this one but websocket-client."""
    venv.create(tmp_path / "venv")
    (there,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith("websocket"):
            (there / path.name).symlink_to(path)
    return tmp_path / "venv" / "bin" / "python"


def test_packages_are_named_or_installed(run, other_python, tmp_path):
    code, output = run(python=other_python)
    assert code != 0
    assert "The Python of this playbook lacks websocket-client 1." in output, output
    assert output.count("failed=1") == 2 and not (tmp_path / "bin").exists(), "nothing is fetched for a run that fails"
    assert f"{other_python} -m pip install --require-hashes" in output

    folder = tmp_path / "python"
    given = {"orbit_rs_python_install": True, "orbit_rs_python_target": str(folder), "orbit_rs_tool_names": []}
    wanted = ("--extra-vars", json.dumps(given))
    code, output = run(*wanted, "--check", python=other_python)
    assert code == 0 and "would be installed: websocket-client 1." in output, output
    assert not folder.exists()

    code, output = run(*wanted, python=other_python)
    if "Does the index of Python packages answer?" in output:
        pytest.skip("no index of Python packages answers")
    assert code == 0 and output.count("changed=1") == 1, output
    assert "Installing collected packages" in output and (folder / "websocket").is_dir()

    code, output = run(*wanted, python=other_python)
    assert code == 0 and output.count("changed=0") == 2, output
    assert "nstalling" not in output
