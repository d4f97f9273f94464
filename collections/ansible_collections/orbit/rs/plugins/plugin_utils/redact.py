# Copyright (c) 2026 the orbit.rs authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take secrets out of what people send around: objects, values, logs."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ansible_collections.orbit.rs.plugins.plugin_utils import objects
from ansible_collections.orbit.rs.plugins.plugin_utils.model import Object

_KEYS = ("api", "access", "private", "account", "master")
_WORD = rf"(?:pass(?:word|wd|phrase)|pwd|secret|token|credential|(?:{'|'.join(_KEYS)})[-_]?key)"

# Names of variables and keys whose values nobody else may see.
NAMES = re.compile(rf"{_WORD}|[-_.]key$|(?:^|[-_.])(?:auth|dsn|pat)$", re.IGNORECASE)

# What ends like this says where a secret is, not what it is.
REFERENCES = re.compile(r"(?:name|namespace|ref|path|file|dir|seconds|class|provider|kind|type)s?$", re.IGNORECASE)

# A private key in PEM, also one that the end of a log has cut off.
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<secret>.*?)(?:-----END|\Z)", re.DOTALL)

# In a line of free text. The group `secret` is hidden, the rest stays. The order counts: the special ones come first.
LINES: tuple[re.Pattern[str], ...] = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        # the user and password of a URL
        (r"[a-z0-9+.-]{2,20}://(?P<secret>[^\s/@:\"']*:[^\s/@\"']+|[^\s/@:\"']{16,})@", re.IGNORECASE),
        # HTTP
        (r"\bauthorization[\"']?\s*[:=]\s*[\"']?(?:[a-z]+\s+)?(?P<secret>[^\s\"',;]+)", re.IGNORECASE),
        (r"\b(?:bearer|basic)\s+(?P<secret>[\w.~+/=-]{8,})", re.IGNORECASE),
        (r"\bcookie[\"']?\s*[:=]\s*[\"']?(?P<secret>[^\n\"']+)", re.IGNORECASE),
        # JSON web tokens, and the tokens of well-known services
        (r"(?P<secret>\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)", 0),
        (r"(?P<secret>\b(?:AKIA|ASIA)[0-9A-Z]{16}\b)", 0),
        (r"(?P<secret>\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}))", 0),
        (r"(?P<secret>\b(?:hvs|hvb)\.[\w-]{20,})", 0),
        # password=..., "apiKey": "...", --token ...; the quoted form first, it may hold blanks
        (rf"{_WORD}[\"']?\s*[:=]\s*(?P<quote>[\"'])(?P<secret>(?:(?!(?P=quote)).)+)(?P=quote)", re.IGNORECASE),
        (rf"{_WORD}[\"']?\s*[:=]\s*(?P<secret>[^\s\"',;&}})]+)", re.IGNORECASE),
        (rf"--[\w-]*{_WORD}\s+(?P<secret>[^\s-]\S*)", re.IGNORECASE),
        # the Redis command that carries a password, and SQL's
        (r"\bAUTH\s+(?:\S+\s+)?(?P<secret>[^\s\"']+)[\"']?\s*$", 0),
        (r"\bIDENTIFIED BY\s+(?P<secret>\S+)", re.IGNORECASE),
        (r"\bPASSWORD\s+'(?P<secret>[^']+)'", re.IGNORECASE),
    )
)

# No pattern matches a line without one of these, in lower case: looking for them is a hundred times as fast.
_HINTS = (
    *(
        "://",
        "auth",
        "bearer ",
        "basic ",
        "cookie",
        "eyj",
        "akia",
        "asia",
        "github_pat",
        "glpat-",
        "xox",
        "hvs.",
        "hvb.",
    ),
    *(f"gh{letter}_" for letter in "pousr"),
    *("pass", "pwd", "secret", "token", "credential", "identified by"),
    *(f"{name}{between}key" for name in _KEYS for between in ("", "-", "_")),
)

# kubectl's copy of a whole object, Secrets included.
_COPIES = ("kubectl.kubernetes.io/last-applied-configuration",)

# Keys of Secrets that hold no secret, or one that would take half of every text away.
_OPEN_KEYS = re.compile(
    r"user(?:name)?|host(?:name)?|port|database|db(?:name)?|namespace|name|type|provider|region|endpoint|.*\.crt|.*\.pub",
    re.IGNORECASE,
)
_SHORTEST = 6  # characters of a value that is looked for anywhere


def values(secrets: Iterable[Object], known: Collection[str] = ()) -> list[str]:
    """Values of Secrets to look for anywhere, the longest first. `known` are names that stay readable."""
    found = set[str]()
    for secret in secrets:
        plain: Mapping[str, Any] = secret.get("stringData") or {}
        for key, value in {**(secret.get("data") or {}), **plain}.items():
            if _OPEN_KEYS.fullmatch(key):
                continue
            text = str(value) if key in plain else _decoded(str(value))
            found |= {text.strip(), str(value), *(line.strip() for line in text.splitlines())}
    return sorted((text for text in found if len(text) >= _SHORTEST and text not in known), key=len, reverse=True)


def text(content: str, secrets: Collection[str] = ()) -> str:
    """A text without what looks like a secret, and without these values."""
    if secrets:
        content = _any(tuple(secrets)).sub(objects.HIDDEN, content)
    content = _PEM.sub(_hidden, content)
    return "\n".join(map(_line, content.split("\n")))


def _line(line: str) -> str:
    lower = line.lower()
    if any(hint in lower for hint in _HINTS):
        for pattern in LINES:
            line = pattern.sub(_hidden, line)
    return line


def data(content: Any, secrets: Collection[str] = ()) -> Any:
    """A value, a map or an object without what looks like a secret by its key, by its text, or is one of `secrets`."""
    if isinstance(content, str):
        return text(content, secrets)
    if isinstance(content, list):
        return [data(item, secrets) for item in content]
    if not isinstance(content, dict):
        return content
    if isinstance(content.get("name"), str) and "value" in content and _is_secret(content["name"], content["value"]):
        content = {**content, "value": objects.HIDDEN}  # an environment variable
    return {
        key: objects.HIDDEN if _is_secret(str(key), value) or key in _COPIES else data(value, secrets)
        for key, value in content.items()
    }


def named(content: Any) -> set[str]:
    """The values that data() hides because of their key: where else they occur, they are to be hidden, too."""
    if isinstance(content, list):
        return set[str]().union(*map(named, content))
    if not isinstance(content, dict):
        return set()
    found = {str(value) for key, value in content.items() if _is_secret(str(key), value)}
    name, value = content.get("name"), content.get("value")
    if isinstance(name, str) and _is_secret(name, value):
        found.add(str(value))
    return found.union(*map(named, content.values()))


def obj(content: Object, secrets: Collection[str] = ()) -> Object:
    """A Kubernetes object as others may see it: a Secret has its keys only, and nobody's bookkeeping is in it."""
    metadata = {key: value for key, value in content.get("metadata", {}).items() if key != "managedFields"}
    result: Object = data({**objects.shown(content), "metadata": metadata}, secrets)
    return result


def _is_secret(name: str, value: Any) -> bool:
    # false, null and maps say something about a secret, and are none.
    return (
        isinstance(value, (str, int))
        and not isinstance(value, bool)
        and value not in ("", objects.HIDDEN)
        and bool(NAMES.search(name))
        and not REFERENCES.search(name)
    )


def _hidden(match: re.Match[str]) -> str:
    if match["secret"].startswith(objects.HIDDEN[:-1]):
        return match[0]
    start, end = match.start("secret") - match.start(), match.end("secret") - match.start()
    return f"{match[0][:start]}{objects.HIDDEN}{match[0][end:]}"


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value


@functools.lru_cache(maxsize=1)
def _any(secrets: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, secrets)))
