# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.orbit.rs.plugins.plugin_utils import action, addons, desired, tools

PLUGINS = Path(action.__file__).parents[1]
NAMES = sorted(file.stem for file in (PLUGINS / "action").glob("[a-z]*.py"))
CONNECTION = {"release", "namespace", "kubeconfig", "context", "kubectl", "helm", "helm_version"}


def test_each_action_has_its_documentation() -> None:
    assert sorted(file.stem for file in (PLUGINS / "modules").glob("[a-z]*.py")) == NAMES
    assert "plan" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_documented_options_are_a_spec(name: str) -> None:
    spec = action.argument_spec(name)
    required = {option: details for option, details in spec.items() if details.get("required")}
    some: dict[str, object] = {"list": [], "dict": {}}
    given = {option: some.get(details["type"], "x") for option, details in required.items()}
    assert ArgumentSpecValidator(spec).validate(given).error_messages == []
    assert name in {"tools", "addons"} or spec.keys() >= CONNECTION
    assert ArgumentSpecValidator(spec).validate({"nonsense": 1}).error_messages


def test_options_and_types_say_the_same() -> None:
    wish = {field.name for field in dataclasses.fields(desired.Wish)} - {"decrypted"}  # no option: the vault
    assert wish == set(action.argument_spec("preflight")) - CONNECTION
    tool = {field.name for field in dataclasses.fields(tools.Tool)}
    assert tool == set(action.argument_spec("tools")["tools"]["options"])
    addon = {field.name for field in dataclasses.fields(addons.Addon)}
    assert addon == set(action.argument_spec("addons")["addons"]["options"])


def test_commands_can_be_typed_as_they_stand() -> None:
    one = action.OrbitAction.__new__(action.OrbitAction)
    one.inventory = "-i inventories/kind "
    assert (
        one.typed("next: ansible-playbook orbit.rs.status")
        == "next: ansible-playbook -i inventories/kind orbit.rs.status"
    )
    assert action._short("inventories/kind") == "inventories/kind"
    assert action._short(str(Path.cwd() / "inventories")) == "inventories"
