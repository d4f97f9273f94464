# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the house that no linter knows."""

import re
import subprocess

import pytest
import yaml

from tests.package import COLLECTION, ROOT

ROLES = sorted((COLLECTION / "roles").iterdir())
HEADINGS = ["Variables", "Example", "Idempotent?", "Atomic?", "Roll-back?", "Check mode?"]


def files():
    """List what git tracks or would track."""
    listed = subprocess.run(
        ("git", "ls-files", "--cached", "--others", "--exclude-standard"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [path for path in map(ROOT.joinpath, listed.splitlines()) if path.is_file()]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_readme_has_its_headings(role):
    found = re.findall(r"^## (.*)$", (role / "README.md").read_text(), re.MULTILINE)
    assert found == HEADINGS


def test_every_playbook_of_the_collection_has_its_import_in_the_checkout():
    for playbook in (COLLECTION / "playbooks").glob("*.yml"):
        (play,) = yaml.safe_load((ROOT / "playbooks" / playbook.name).read_text())
        assert play["ansible.builtin.import_playbook"] == f"orbit.rs.{playbook.stem}"


def test_the_collection_knows_nothing_of_the_rest_of_the_repository():
    foreign = re.compile(r"\btestbed\b|\bmolecule\b|inventories/")
    for path in files():
        if path.is_relative_to(COLLECTION) and "tests" not in path.relative_to(COLLECTION).parts:
            assert not foreign.search(path.read_text()), path


def test_no_path_of_a_machine():
    machine = re.compile(r"/(?:root|home/\w+|work)/")
    for path in files():
        if path.suffix in {".lock", ".png"} or path.name == "LICENSE" or path.parent.name == "tests":
            continue
        assert not machine.search(path.read_text()), path


def test_python_yaml_and_shell_files_name_their_license():
    for path in files():
        text = path.read_text() if path.suffix in {".py", ".yml", ".yaml", ".cfg", ".toml"} else ""
        generated = path.name in {"changelog.yaml"} or "charts" in path.parts
        if text.strip() and not generated:
            assert "SPDX-License-Identifier: GPL-3.0-or-later" in "\n".join(text.splitlines()[:4]), path


def test_no_task_ignores_its_errors():
    for path in files():
        if path.suffix == ".yml":
            assert "ignore_errors" not in path.read_text(), path


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    shown = subprocess.run(
        ("make", "--no-print-directory", "help"), cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert [line.split()[0] for line in shown.splitlines()] == phony.split()
