# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes objects as plain data: read, named, compared, condensed to a digest."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import yaml
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Difference, Object, OrbitError

# Set on the headless Service from the value planDigest. It says which plan was applied, not what is wanted.
PLAN_DIGEST = "orbit.rs/plan-digest"

# Value of a Difference that is about a whole object, with an empty path.
PRESENT = "present"

HIDDEN = "(hidden)"

# One step into an object: a key, the position in a list, or what identifies an item of a list of named things.
_Identity = tuple[tuple[str, Any], ...]
_Path = tuple[str | int | _Identity, ...]

_CLUSTER_SCOPED = frozenset(
    {
        "APIService",
        "CSIDriver",
        "ClusterExternalSecret",
        "ClusterIssuer",
        "ClusterRole",
        "ClusterRoleBinding",
        "ClusterSecretStore",
        "CustomResourceDefinition",
        "GatewayClass",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttributesClass",
        "VolumeSnapshotClass",
        "VolumeSnapshotContent",
    }
)

# What identifies the items of a list, by the name of the list. Other lists count by position.
_IDENTITY: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "env": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ports": ("containerPort", "port", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeClaimTemplates": ("metadata.name",),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}

# Maps whose values are quantities, and single fields that are.
_QUANTITY_MAPS = frozenset({"requests", "limits", "capacity", "hard"})
_QUANTITIES = frozenset({"sizeLimit", "divisor"})

# Maps of free text: an empty text in them is a value.
_TEXT_MAPS = frozenset({"annotations", "binaryData", "data", "labels", "matchLabels", "nodeSelector", "parameters"})

# Here {} means something else than nothing at all.
_EMPTY_COUNTS = frozenset({"emptyDir", "namespaceSelector", "podSelector"})

# The API server leaves these out when they are false or 0.
_ZERO_IS_ABSENT = frozenset(
    {
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "initialDelaySeconds",
        "minReadySeconds",
        "paused",
        "publishNotReadyAddresses",
        "readOnly",
        "stdin",
        "stdinOnce",
        "tty",
    }
)

_SUFFIXES: Mapping[str, Decimal] = {
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("n", "u", "m", "", *"kMGTPE"), -3)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([a-zA-Z]{0,2}))")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as Kubernetes' own tools read it: 12:30 and 2026-01-01 are text, 1e3 is a number."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":int", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"
    ),
    list("-+.0123456789"),
)


def key(obj: Object) -> str:
    """Name of an object in plans and snapshots: Kind/namespace/name, or Kind/name where there is no namespace."""
    metadata = obj.get("metadata") or {}
    return "/".join(part for part in (obj.get("kind"), metadata.get("namespace"), metadata.get("name")) if part)


def parse(text: str, namespace: str) -> tuple[Object, ...]:
    """Read a manifest of any number of documents; namespaced objects without a namespace get `namespace`.

    Raises OrbitError when the text is not a manifest.
    """
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise OrbitError(f"The manifest is not YAML: {error}", "See it with `helm template --debug`.") from error
    found: list[Object] = []
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict) or not document.get("kind"):
            raise OrbitError(
                f"The manifest holds something that is no Kubernetes object: {str(document)[:80]!r}",
                "See where it comes from with `helm template --debug`.",
            )
        found.extend((document.get("items") or []) if document["kind"] == "List" else [document])
    for obj in found:
        if obj["kind"] not in _CLUSTER_SCOPED and not obj.setdefault("metadata", {}).get("namespace"):
            obj["metadata"]["namespace"] = namespace
    return tuple(found)


def find(objects: Iterable[Object], kind: str) -> Object | None:
    """First object of a kind."""
    return next((obj for obj in objects if obj.get("kind") == kind), None)


def quantity(value: object) -> Decimal:
    """A Kubernetes quantity in base units (cores, bytes): "500m" is 0.5, "1Ki" is 1024. Raises ValueError."""
    match = _QUANTITY.fullmatch(str(value).strip())
    if match is None or (match[3] or "") not in _SUFFIXES:
        raise ValueError(f"not a quantity: {value!r}")
    return Decimal(match[1]) * (Decimal(10) ** int(match[2]) if match[2] else _SUFFIXES[match[3] or ""])


def requests(pod: Mapping[str, Any]) -> dict[str, float]:
    """What the scheduler counts for a pod spec, in base units: containers in sum, or the biggest init container."""
    total: dict[str, float] = {}
    for container in pod.get("containers") or ():
        for resource, value in _requests(container).items():
            total[resource] = total.get(resource, 0.0) + value
    for container in pod.get("initContainers") or ():
        for resource, value in _requests(container).items():
            sidecar = container.get("restartPolicy") == "Always"
            so_far = total.get(resource, 0.0)
            total[resource] = so_far + value if sidecar else max(so_far, value)
    for resource, overhead in (pod.get("overhead") or {}).items():
        total[resource] = total.get(resource, 0.0) + float(quantity(overhead))
    return total


def _requests(container: Mapping[str, Any]) -> dict[str, float]:
    resources = container.get("resources") or {}
    # A limit without a request is the request.
    stated = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {resource: float(quantity(value)) for resource, value in stated.items()}


def differences(wanted: Object, found: Object, was: Object | None = None) -> list[Difference]:
    """Fields of `wanted` that `found` does not have with an equal value.

    What `found` has beyond `wanted` is the API server's default or somebody else's, and no difference, unless it is
    in `was`: what was applied last time, so that a field which is no longer wanted counts while it is still there.
    These are the differences that Helm's three-way merge makes. With `was` the same as `found` the comparison is exact.
    """
    name = key(wanted)
    secret = wanted.get("kind") == "Secret"
    managed = (found.get("metadata") or {}).get("managedFields") or ()
    result = []
    for path, want, have in _walk(_normal(wanted), _normal(found), _normal(was) if was else None, ()):
        by = _manager(managed, path)
        if secret and path[0] == "data":
            want, have = (HIDDEN if want is not None else None), (HIDDEN if have is not None else None)
        result.append(Difference(name, _text(path), want, have, by=by))
    return sorted(result, key=lambda difference: difference.path)


def additions(wanted: Object, found: Object, managers: Collection[str]) -> list[Difference]:
    """Fields of `found` that `wanted` does not mention and that somebody has set who is not among these `managers`.

    The API server's defaults have no manager, and the status is not looked at. A subtree is one difference.
    """
    result: dict[str, Difference] = {}
    content = _normal(found)
    for entry in (found.get("metadata") or {}).get("managedFields") or ():
        if entry.get("manager") in managers or entry.get("subresource") == "status":
            continue
        for path, value in _added(entry.get("fieldsV1") or {}, _normal(wanted), content, ()):
            if wanted.get("kind") == "Secret" and path[0] == "data":
                value = HIDDEN
            text = _text(path)
            result[text] = Difference(key(wanted), text, None, value, "cluster", _entry_manager(entry))
    return [result[text] for text in sorted(result)]


def _added(fields: Mapping[str, Any], wanted: Any, found: Any, path: _Path) -> Iterator[tuple[_Path, Any]]:
    """Yield path and value of what managedFields name, `found` has, and `wanted` does not."""
    for name, children in fields.items():
        for step, have in _steps(name, found):
            want = next((want for dummy, want in _steps(name, wanted)), None)
            if _absent(have, (*path, step)):
                continue
            inside = any(child != "." for child in children) and isinstance(have, (dict, list))
            if inside and (not _absent(want, (*path, step)) or "." not in children):  # "." is for who has made it
                yield from _added(children, want, have, (*path, step))
            elif _absent(want, (*path, step)):
                yield (*path, step), have


def _steps(field: str, value: Any) -> Iterator[tuple[str | _Identity, Any]]:
    """Yield the step that a fieldsV1 key (f:name, k:{...}) makes into a value, and what is there."""
    kind, dummy, content = field.partition(":")
    if kind == "f" and isinstance(value, dict) and content in value:
        yield content, value[content]
    if kind == "k" and isinstance(value, list):
        identity = json.loads(content)
        for item in value:
            if isinstance(item, dict) and all(_same(item.get(name), want) for name, want in identity.items()):
                yield tuple(identity.items()), item


def _same(found: Any, wanted: Any) -> bool:
    return found == wanted or (found is None and wanted == "TCP")


def owner(obj: Object, path: str) -> str:
    """Who set a field (no lists on its way) and when, as far as the object tells: "kubectl, 2026-01-01 10:00 UTC"."""
    return _manager((obj.get("metadata") or {}).get("managedFields") or (), tuple(path.split(".")))


def shown(obj: Object) -> Object:
    """The object as people may see it: a Secret without its values."""
    if obj.get("kind") != "Secret":
        return obj
    return {**obj, **{field: dict.fromkeys(obj[field], HIDDEN) for field in ("data", "stringData") if obj.get(field)}}


def digest(objects: Iterable[Object]) -> str:
    """SHA-256, in hex, of what the objects say, whatever their order; the plan digest annotation does not count."""
    content = sorted(
        json.dumps({**_normal(obj), "apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}, sort_keys=True)
        for obj in objects
    )
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def _normal(obj: Object) -> Object:
    """The part of an object that is compared, in one spelling."""
    result = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind", "status")}
    metadata = dict(result.get("metadata") or {})
    metadata.pop("managedFields", None)
    metadata["annotations"] = {
        name: value for name, value in (metadata.get("annotations") or {}).items() if name != PLAN_DIGEST
    }
    result["metadata"] = metadata
    if obj.get("kind") == "Secret" and (text := result.pop("stringData", None)):
        encoded = {name: base64.b64encode(str(value).encode()).decode() for name, value in text.items()}
        result["data"] = {**(result.get("data") or {}), **encoded}
    return result


def _walk(wanted: Any, found: Any, was: Any, path: _Path) -> Iterator[tuple[_Path, Any, Any]]:
    """Yield path, wanted and found value of every difference; None stands for a value that is not there."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        was = was if isinstance(was, dict) else {}
        for name in {**wanted, **was}:
            yield from _walk(wanted.get(name), found.get(name), was.get(name), (*path, name))
    elif isinstance(wanted, list) and isinstance(found, list):
        yield from _walk_list(wanted, found, was if isinstance(was, list) else [], path)
    elif _absent(wanted, path):
        explicit = isinstance(wanted, (bool, int))  # false and 0 are said on purpose
        if not _absent(found, path) and (explicit or not _absent(was, path)):
            yield path, wanted if explicit else None, found
    elif not _equal(wanted, found, path):
        yield path, wanted, None if _absent(found, path) else found


def _walk_list(wanted: list[Any], found: list[Any], was: list[Any], path: _Path) -> Iterator[tuple[_Path, Any, Any]]:
    if not wanted and not was:
        return
    wanted_items, found_items, was_items = (_identified(items, path) for items in (wanted, found, was))
    if wanted_items is not None and found_items is not None and was_items is not None:
        for identity in {**wanted_items, **was_items}:
            want, have = wanted_items.get(identity), found_items.get(identity)
            if want is not None and have is not None:
                yield from _walk(want, have, was_items.get(identity), (*path, identity))
            elif want is not None or have is not None:
                yield (*path, identity), want, have
        # The order is part of the pod template: environment variables refer to earlier ones, and it restarts pods.
        order = [identity for identity in wanted_items if identity in found_items]
        found_order = [identity for identity in found_items if identity in wanted_items]
        if order != found_order:
            yield (*path, "(order)"), [_label(item) for item in order], [_label(item) for item in found_order]
    elif len(wanted) == len(found) and all(isinstance(item, dict) for item in (*wanted, *found)):
        was = was if len(was) == len(wanted) else [None] * len(wanted)
        for index, (want, have, had) in enumerate(zip(wanted, found, was, strict=True)):
            yield from _walk(want, have, had, (*path, index))
    elif wanted != found:
        yield path, wanted, found


def _identified(items: list[Any], path: _Path) -> dict[_Identity, Any] | None:
    """The items by what identifies them; None when nothing does, or not uniquely."""
    fields = _IDENTITY.get(str(path[-1]))
    if fields is None or not all(isinstance(item, dict) for item in items):
        return None
    result: dict[_Identity, Any] = {}
    for item in items:
        values = {field: _get(item, field) for field in fields}
        if "protocol" in values:
            values["protocol"] = values["protocol"] or "TCP"
        result[tuple((field, value) for field, value in values.items() if value is not None)] = item
    return result if len(result) == len(items) and () not in result else None


def _get(item: Mapping[str, Any], field: str) -> Any:
    for name in field.split("."):
        item = item.get(name) or {}
    return item or None


def _absent(value: Any, path: _Path) -> bool:
    """True for a value that the API server treats like no value at all."""
    name = path[-1] if path else ""
    if value is None:
        return True
    if value == "":
        return len(path) < 2 or path[-2] not in _TEXT_MAPS
    if isinstance(value, (dict, list)) and not value:
        return name not in _EMPTY_COUNTS
    if isinstance(value, dict):
        return all(_absent(item, (*path, child)) for child, item in value.items())
    return value in (False, 0) and isinstance(value, (bool, int)) and name in _ZERO_IS_ABSENT


def _equal(wanted: Any, found: Any, path: _Path) -> bool:
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if wanted == found:
        return True
    if found is not None and (path[-1] in _QUANTITIES or (len(path) > 1 and path[-2] in _QUANTITY_MAPS)):
        try:
            return quantity(wanted) == quantity(found)
        except ValueError:
            return False
    return False


def _label(identity: _Identity) -> str:
    return str(identity[0][1])


def _text(path: _Path) -> str:
    """A path for people: spec.template.spec.containers[orbit-server].image."""
    text = ""
    for part in path:
        if isinstance(part, tuple):
            text += f"[{_label(part)}]"
        elif isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z0-9_()-]+", part):
            text += f".{part}" if text else part
        else:
            text += f"[{part}]"
    return text


def _manager(managed: Iterable[Mapping[str, Any]], path: _Path) -> str:
    """Who owns a field according to metadata.managedFields: manager and time of the latest entry that names it."""
    owners = []
    for entry in managed:
        node: Any = entry.get("fieldsV1") or {}
        for part in path:
            if isinstance(part, int):  # a list without identities is owned as a whole
                break
            node = next((child for name, child in node.items() if _names(name, part)), None)
            if node is None:
                break
        if node is not None:
            owners.append((str(entry.get("time", "")), str(entry.get("manager", "")), _entry_manager(entry)))
    return max(owners)[2] if owners else ""


def _entry_manager(entry: Mapping[str, Any]) -> str:
    """Who an entry of managedFields is about: manager and time."""
    who, time = str(entry.get("manager", "")), str(entry.get("time", ""))
    if subresource := entry.get("subresource"):
        who += f" ({subresource})"
    return f"{who}, {time.replace('T', ' ').replace('Z', ' UTC')}" if time else who


def _names(field: str, part: str | _Identity) -> bool:
    """True when a fieldsV1 key (f:name or k:{...}) means this step of a path."""
    kind, dummy, content = field.partition(":")
    if isinstance(part, str):
        return kind == "f" and content == part
    return kind == "k" and dict(part).items() >= json.loads(content).items()
