# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of the chart: merged, translated from what the guide says, checked against the chart's schema."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils.model import Finding


@dataclasses.dataclass(frozen=True)
class Rule:
    """A value that is outdated or has no effect.

    `old` is a dotted path from the top, or with a leading `*.` a name anywhere: a key, the name of an environment
    variable, or a whole text. `new` takes its place; None: it is left out. `mode` is the value of
    orbitServer.compatibility that the rule is about; "": all.
    """

    old: str
    new: str | None
    why: str
    remedy: str = ""
    mode: str = ""


_LABEL = "no node carries this label any more"
SNAPSHOT = "snapshot-2025-11"
_NO_FILE = f"the server of orbitServer.compatibility {SNAPSHOT} reads no configuration file"

RULES = (
    Rule("*.failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone", _LABEL),
    Rule("*.failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region", _LABEL),
    Rule("*.beta.kubernetes.io/arch", "kubernetes.io/arch", _LABEL),
    Rule("*.beta.kubernetes.io/os", "kubernetes.io/os", _LABEL),
    Rule("*.beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type", _LABEL),
    Rule("*.storageaccounttype", "skuName", "the Azure disk driver calls this parameter skuName"),
    Rule(
        "*.RUST_LOG_MAX_SIZE",
        None,
        "the server does not read it, and setting it would restart every pod",
        "Remove it. The kubelet rotates the logs: containerLogMaxSize and containerLogMaxFiles in its configuration.",
    ),
    Rule(
        "strategy.rollingUpdate.maxSurge",
        None,
        "a StatefulSet has no such field: an ordinal stops before it starts anew",
        "Remove it.",
    ),
    Rule("strategy.rollingUpdate.maxUnavailable", None, "ordinals restart one at a time, always", "Remove it."),
    Rule(
        "strategy.rollingUpdate.partition",
        None,
        "the partition belongs to the upgrade, not to the values",
        "Remove it.",
    ),
    Rule(
        "*.external-secrets.io/v1beta1",
        "external-secrets.io/v1",
        "the External Secrets Operator does not serve this version any more",
    ),
    Rule(
        "*.kubernetes.io/ingress.class",
        None,
        "a field of the Ingress has taken its place, and the API server refuses both together",
        "Set ingress.className.",
    ),
    Rule("*.nginx.ingress.kubernetes.io/grpc-backend", None, "no controller reads this annotation", "Remove it."),
    Rule(
        "config.server",
        None,
        "the chart writes addresses and ports itself",
        "Remove it. orbitServer.service has the ports of the Service.",
    ),
    Rule("dependencies", None, "the server uses neither etcd nor another database", "Remove it."),
    Rule(
        "monitoring.prometheus",
        None,
        "the chart brings no Prometheus along",
        "Install it by itself; monitoring.serviceMonitor has it scrape the servers.",
    ),
    Rule(
        "monitoring.grafana",
        None,
        "the chart brings no Grafana along",
        "Install it by itself; monitoring.grafanaDashboard gives it dashboards.",
    ),
    Rule("tests", None, "there is no test pod: the playbooks gate every ordinal themselves", "Remove it."),
    Rule("config.transactions", None, _NO_FILE, "Remove it.", SNAPSHOT),
    Rule("config.saga", None, _NO_FILE, "Remove it.", SNAPSHOT),
    Rule("config.performance.maxBlockingThreads", None, _NO_FILE, "Remove it.", SNAPSHOT),
    Rule("config.extra", None, _NO_FILE, "Remove it.", SNAPSHOT),
)

# Where the product's own chart has a value, and where the guide and our chart have it.
MOVES: Mapping[str, str] = {
    "global.imagePullSecrets": "imagePullSecrets",
    "global.imageRegistry": "orbitServer.image.registry",
    "global.storageClass": "persistence.storageClass",
    **{
        f"orbitServer.{name}": name
        for name in (
            "affinity",
            "extraVolumeMounts",
            "extraVolumes",
            "ingress",
            "livenessProbe",
            "persistence",
            "readinessProbe",
            "startupProbe",
        )
    },
    **{
        name: f"orbitServer.{name}" for name in ("nodeSelector", "podSecurityContext", "securityContext", "tolerations")
    },
    **{
        f"config.{old}": f"config.extra.{new}"
        for old, new in {
            "cluster.discoveryMode": "cluster.discovery_mode",
            "cluster.leaseDurationSeconds": "cluster.lease_duration_seconds",
            "cluster.leaseRenewIntervalSeconds": "cluster.lease_renew_interval_seconds",
            "logging.format": "logging.format",
            "performance.threadStackSize": "performance.thread_stack_size",
            "saga.defaultStepTimeoutSeconds": "saga.default_step_timeout_seconds",
            "saga.enableAutomaticFailover": "saga.enable_automatic_failover",
            "saga.maxRetryAttempts": "saga.max_retry_attempts",
            "tls.caFile": "tls.ca_file",
            "transactions.databasePath": "transactions.database_path",
            "transactions.enableWal": "transactions.enable_wal",
            "transactions.maxRecoveryAttempts": "transactions.max_recovery_attempts",
            "transactions.recoveryTimeoutSeconds": "transactions.recovery_timeout_seconds",
        }.items()
    },
}

_ANYWHERE = {rule.old[2:].lower(): rule for rule in RULES if rule.old.startswith("*.")}
_AT_PATH = {rule.old: rule for rule in RULES if not rule.old.startswith("*.")}

_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "nothing",
    "number": "a number",
    "object": "a map",
    "string": "text",
}

# A wrong type is shown without the value: it could be a secret in the wrong place.
_SAID = {
    "type": "{where} is {kind}; it must be {types}.",
    "enum": "{where}: {value} is not allowed; allowed are: {limit}.",
    "const": "{where}: {value} is not allowed; it must be {limit}.",
    "minimum": "{where}: {value} is too small; the least is {limit}.",
    "maximum": "{where}: {value} is too big; the most is {limit}.",
    "exclusiveMinimum": "{where}: {value} is too small; it must be more than {limit}.",
    "exclusiveMaximum": "{where}: {value} is too big; it must be less than {limit}.",
    "pattern": "{where}: {value} does not have the form {limit}",
    "minLength": "{where}: {value} is too short; it needs {limit} characters.",
    "minProperties": "{where} has too few keys; the least is {limit}.",
    "maxLength": "{where}: {value} is too long; the most is {limit} characters.",
}


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge layers of values, the last one wins. Maps are merged key by key; lists and null replace what was there."""
    result: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            below = result.get(name)
            if isinstance(value, Mapping):
                value = merge(below if isinstance(below, Mapping) else {}, value)
            result[name] = value
    return result


def translate(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """Move what stands elsewhere (MOVES), replace what is outdated, leave out what has no effect (RULES).

    Each of them is named in a warning.

    Works on any map of settings: the chart's values, and the parameters of a StorageClass.
    """
    hits: dict[str, list[str]] = {}
    moved, findings = _moved(values)
    mode = str(_at(moved, ("orbitServer", "compatibility")) or "")
    result = _translate(moved, "", hits, mode)
    rules = {rule.old: rule for rule in RULES}
    return result, [*findings, *(_warning(rules[old], places) for old, places in hits.items())]


def nearest(key: str, known: Iterable[str]) -> str:
    """The known name that is most like `key`, "" when none is. Upper and lower case do not count."""
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(key.lower(), names, n=1)
    return names[close[0]] if close else ""


def check(values: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Finding]:
    """What the chart's schema has against these values, in sentences: where, what is wrong, what is allowed.

    Keys that are missing are not looked at: the chart's own values.yaml fills them. Without the Python package
    jsonschema nothing is found here; Helm then refuses the same values when it renders, in its own words.
    """
    try:
        from jsonschema.validators import validator_for
    except ImportError:
        return []
    result: list[Finding] = []
    for error in validator_for(schema)(schema).iter_errors(_without_null(values)):
        result.extend(_sentences(error, schema))
    return sorted(set(result), key=lambda finding: finding.seen)


def _warning(rule: Rule, places: list[str]) -> Finding:
    places = list(dict.fromkeys(places))
    name = rule.old.removeprefix("*.")
    where = "" if places == [name] else f" at {', '.join(places)}"
    if rule.new is None:
        return Finding("warning", "values", f"{name}{where} has no effect: {rule.why}; it is left out.", rule.remedy)
    seen = f"{name}{where} is outdated: {rule.why}; {rule.new} is used instead."
    return Finding("warning", "values", seen, rule.remedy or f"Write {rule.new} there.")


_NOTHING: tuple[Any, ...] = (None, "", {}, [])


def _moved(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """The values with everything at its own place; what is already there wins."""
    result = merge(values)  # a copy
    findings = []
    for old, new in MOVES.items():
        value = _take(result, old.split("."))
        if value in _NOTHING:
            continue
        there = _at(result, new.split("."))
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            value = merge(value, there)
        elif there not in _NOTHING:
            value = there
        for name in reversed(new.split(".")):
            value = {name: value}
        result = merge(result, value)
        seen = f"{old} is not where the guide and this chart have it; it is taken as {new}."
        findings.append(Finding("warning", "values", seen, f"Write {new} instead."))
    return result, findings


def _at(values: Mapping[str, Any], path: Iterable[str]) -> Any:
    value: Any = values
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _take(values: dict[str, Any], path: list[str]) -> Any:
    """Take a value out, and the maps that are empty then."""
    name, *below = path
    if not below:
        return values.pop(name, None)
    inner = values.get(name)
    if not isinstance(inner, dict):
        return None
    value = _take(inner, below)
    if value is not None and not inner:
        del values[name]
    return value


def _translate(value: Any, path: str, hits: dict[str, list[str]], mode: str) -> Any:
    if isinstance(value, Mapping):
        result = {}
        for name, item in value.items():
            below = f"{path}.{name}" if path else str(name)
            rule = _AT_PATH.get(below) or _ANYWHERE.get(str(name).lower())
            if rule and rule.mode not in ("", mode):
                rule = None
            if rule:
                hits.setdefault(rule.old, []).append(below)
            if rule is None or rule.new is not None:
                result[rule.new if rule and rule.new else name] = _translate(item, below, hits, mode)
        return result
    if isinstance(value, (list, tuple)):
        result_list = []
        for index, item in enumerate(value):
            below = f"{path}[{index}]"
            rule = _ANYWHERE.get(str(item.get("name", "")).lower()) if isinstance(item, Mapping) else None
            if rule and rule.new is None:
                hits.setdefault(rule.old, []).append(below)
            else:
                result_list.append(_translate(item, below, hits, mode))
        return result_list
    rule = _ANYWHERE.get(value.lower()) if isinstance(value, str) else None
    if rule and rule.new:
        hits.setdefault(rule.old, []).append(path)
        return rule.new
    return value


def _without_null(value: Any) -> Any:
    """Helm takes null for `remove this key`."""
    if isinstance(value, Mapping):
        return {name: _without_null(item) for name, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_without_null(item) for item in value]
    return value


def _where(path: Iterable[str | int]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _sentences(error: Any, schema: Mapping[str, Any]) -> Iterator[Finding]:
    """Turn one error of jsonschema into findings."""
    path = list(error.absolute_path)
    where = _where(path) or "the values"
    rule, limit, value = error.validator, error.validator_value, error.instance
    about = str(error.schema.get("description", "")) if isinstance(error.schema, Mapping) else ""
    if rule == "additionalProperties" and limit is False:
        known = list(error.schema.get("properties", {}))
        allowed = [*known, *(f"names like {pattern}" for pattern in error.schema.get("patternProperties", {}))]
        for name in _unknown(value, error.schema):
            yield Finding(
                "error", "values", f"{_where([*path, name])} is not known.", _advice(name, path, allowed, schema)
            )
        return
    if rule == "required":
        if any(isinstance(part, int) for part in path):  # only what stands in a list has no default
            missing = ", ".join(name for name in limit if name not in value)
            yield Finding("error", "values", f"{where} lacks {missing}.", f"Add it to {where}.")
        return
    if rule in ("anyOf", "oneOf") and error.context:
        kinds = [branch.get("type") for branch in limit if isinstance(branch, Mapping)]
        fitting = [sub for sub in error.context if sub.validator != "type"]
        if fitting:
            for sub in fitting[:1]:
                yield from _sentences(sub, schema)
            return
        expected = " or ".join(_TYPES.get(str(name), str(name)) for name in kinds if name)
        yield Finding("error", "values", f"{where} is {_kind(value)}; it must be {expected}.", about)
        return
    said = _SAID.get(rule, "{where}: {message}.").format(
        where=where,
        value=repr(str(value)[:60]),
        kind=_kind(value),
        limit=_words(limit),
        types=" or ".join(_TYPES.get(name, name) for name in _words(limit).split(", ")),
        message=error.message,
    )
    yield Finding("error", "values", said, about or f"Correct {where}.")


def _unknown(value: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    patterns = [re.compile(pattern) for pattern in schema.get("patternProperties", {})]
    for name in value:
        if name not in schema.get("properties", {}) and not any(pattern.search(name) for pattern in patterns):
            yield name


def _advice(name: str, path: list[str | int], allowed: list[str], schema: Mapping[str, Any]) -> str:
    """Where the key could belong: the same one elsewhere, a like one here or elsewhere, or all that is allowed here."""
    places = list(_places(schema, (), schema))
    leaves = {place[-1]: place for place in reversed(places)}
    same = [place for place in places if place[-1] == name]
    if same and name.lower() not in map(str.lower, allowed):
        return f"Did you mean {' or '.join(map(_where, same[:3]))}?"
    if close := nearest(name, allowed):
        return f"Did you mean {_where([*path, close])}?"
    if close := nearest(name, leaves):
        return f"Did you mean {_where(leaves[close])}?"
    return f"Allowed here: {', '.join(allowed) or 'nothing'}."


def _places(schema: Mapping[str, Any], path: tuple[str, ...], root: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Paths of all keys that a schema names."""
    for name, below in schema.get("properties", {}).items():
        yield (*path, name)
        if isinstance(below, Mapping) and len(path) < 8:
            reference = str(below.get("$ref", ""))
            target: Any = root
            for part in reference.removeprefix("#/").split("/") if reference.startswith("#/") else ():
                target = target.get(part, {})
            yield from _places(target if reference else below, (*path, name), root)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    for types, words in (((int, float), "a number"), (str, "text"), ((list, tuple), "a list"), (Mapping, "a map")):
        if isinstance(value, types):
            return words
    return "nothing"


def _words(limit: Any) -> str:
    return ", ".join(map(str, limit)) if isinstance(limit, list) else str(limit)
