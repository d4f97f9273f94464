# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions of the collection have in common: options, progress, errors."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.orbit.rs.plugins.plugin_utils import packages
from ansible_collections.orbit.rs.plugins.plugin_utils.cluster import Cluster, explain
from ansible_collections.orbit.rs.plugins.plugin_utils.desired import Wish
from ansible_collections.orbit.rs.plugins.plugin_utils.helm import EXPLANATIONS, Helm
from ansible_collections.orbit.rs.plugins.plugin_utils.model import OrbitError, Release

_PLUGINS = "ansible_collections.orbit.rs.plugins"
_SPEC_KEYS = ("type", "elements", "required", "default", "choices")

Options = Mapping[str, Any]


class OrbitAction(ActionBase):  # type: ignore[misc]
    """An action that runs on the control host. Its options are those that the module of the same name documents."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check the options, act, and turn an error into a sentence."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        dummy, options = self.validate_argument_spec(argument_spec(type(self).__module__.rpartition(".")[2]))
        self.facts = task_vars or {}
        self.host = self.facts.get("inventory_hostname", "localhost")
        self.inventory = "".join(f"-i {_short(path)} " for path in self.facts.get("ansible_inventory_sources") or ())
        result["changed"] = False
        packages.use(self._templar.template(self.facts.get("orbit_rs_python_target") or ""))
        try:
            # Plain data: Ansible's own strings and maps carry tags that YAML writers do not know.
            result |= self.act(json.loads(json.dumps(options)) | {"decrypted": self._decrypted})
        except OrbitError as error:
            result |= {"failed": True, "msg": self.typed(str(error))}
        return result

    def act(self, options: Options) -> dict[str, Any]:
        """Do the work and return the result. Raises OrbitError."""
        raise NotImplementedError

    def _decrypted(self, path: str) -> str:
        """Text of a file that Ansible Vault has encrypted. Raises OrbitError."""
        try:
            return str(self._loader.get_text_file_contents(str(Path(path).absolute())))
        except AnsibleError as error:
            raise OrbitError(
                f"The values file {path} is encrypted, and cannot be decrypted: {error.message}",
                "Give the password of the vault: --ask-vault-pass, or --vault-password-file FILE",
            ) from error

    def helm(self, options: Options, command: str, release: Release, **more: Any) -> None:
        """Call kubernetes.core.helm for a release; what is None is left out. Raises OrbitError."""
        arguments = {
            "binary_path": command,
            "kubeconfig": options["kubeconfig"] or None,
            "context": options["context"] or None,
            "release_name": release.name,
            "release_namespace": release.namespace,
            **more,
        }
        done = self._execute_module(
            module_name="kubernetes.core.helm",
            module_args={name: value for name, value in arguments.items() if value is not None},
            task_vars=self.facts,
        )
        if done.get("failed"):
            raise explain(str(done.get("stderr") or done.get("msg")), EXPLANATIONS)

    @property
    def check(self) -> bool:
        """Whether nothing may be touched."""
        return bool(self._task.check_mode)

    def say(self, text: str) -> None:
        """Show something at once. A line carries the host, a block of lines has it above."""
        text = self.typed(text)
        block = "\n" in text
        Display().display(f"{self.host}:\n{textwrap.indent(text, '  ')}" if block else f"{self.host}: {text}")

    def typed(self, text: str) -> str:
        """The text with the inventory of this run in its commands, so that they can be typed as they stand."""
        return text.replace("ansible-playbook orbit.rs.", f"ansible-playbook {self.inventory}orbit.rs.")


def _short(path: str) -> str:
    """The path from here, when that is shorter."""
    return min(path, os.path.relpath(path), key=len) if path.startswith("/") else path


def connect(options: Options) -> tuple[Cluster, Helm, Release]:
    """Cluster, Helm and release of the options of the fragment `connection`."""
    where = {"kubeconfig": options["kubeconfig"], "context": options["context"]}
    helm = Helm(options["helm"], **where, version=options["helm_version"])
    return Cluster(options["kubectl"], **where), helm, Release(options["release"], options["namespace"])


def wish_of(options: Options) -> Wish:
    """What is wanted, of the options of the fragment `desired`."""
    return Wish(**{field.name: options[field.name] for field in dataclasses.fields(Wish)})


def argument_spec(name: str) -> dict[str, Any]:
    """Argument spec of a module, out of its documentation."""
    documentation = _read(importlib.import_module(f"{_PLUGINS}.modules.{name}").DOCUMENTATION)
    options = dict(documentation.get("options") or {})
    for fragment in documentation.get("extends_documentation_fragment") or ():
        if fragment.startswith("orbit.rs."):
            module = importlib.import_module(f"{_PLUGINS}.doc_fragments.{fragment.rpartition('.')[2]}")
            options |= _read(module.ModuleDocFragment.DOCUMENTATION).get("options") or {}
    return _spec(options)


def _read(text: str) -> Any:
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # ten times as fast, in every task


def _spec(options: Mapping[str, Any]) -> dict[str, Any]:
    result = {}
    for name, option in options.items():
        result[name] = {key: option[key] for key in _SPEC_KEYS if key in option}
        if "suboptions" in option:
            result[name]["options"] = _spec(option["suboptions"])
    return result
