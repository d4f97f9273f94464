# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specs are the documentation of record: they say what the defaults say, about every variable."""

import re

import pytest
import yaml

from tests.package import COLLECTION

ROLES = sorted(path.name for path in (COLLECTION / "roles").iterdir())


def load(path):
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def options(role):
    return load(COLLECTION / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]


def defaults(role):
    return load(COLLECTION / "roles" / role / "defaults" / "main.yml")


@pytest.mark.parametrize("role", ROLES)
def test_defaults_are_as_specified(role):
    assert {name: option.get("default") for name, option in options(role).items()} == defaults(role)


@pytest.mark.parametrize("role", ROLES)
def test_every_description_is_a_sentence(role):
    for name, option in options(role).items():
        text = option["description"]
        for sentence in [text] if isinstance(text, str) else text:
            assert sentence[0].isupper() and sentence.endswith("."), f"{name}: {sentence}"


def test_a_variable_has_one_home():
    homes = [name for role in ROLES for name in options(role)]
    assert sorted(homes) == sorted(set(homes))


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_that_a_role_reads_is_specified(role):
    known = {name for each in ROLES for name in options(each)}
    for path in (COLLECTION / "roles" / role / "tasks").glob("*.yml"):
        assert set(re.findall(r"\borbit_rs_\w+", path.read_text())) - known == set(), path


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_names_every_variable_with_its_default(role):
    readme = (COLLECTION / "roles" / role / "README.md").read_text()
    named = re.findall(r"^\| `(orbit_rs_\w+)` \|", readme, re.MULTILINE)
    assert sorted(named) == sorted(options(role))
