# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
from typing import Any

import pytest
from ansible_collections.orbit.rs.plugins.plugin_utils import redact

HIDDEN = "(hidden)"
COPY = "kubectl.kubernetes.io/last-applied-configuration"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("password=hunter2", "password=(hidden)"),
        ("db_password = hunter2, user = bob", "db_password = (hidden), user = bob"),
        ('{"apiKey": "a b c", "n": 1}', '{"apiKey": "(hidden)", "n": 1}'),
        ("secret: 'it is, here'", "secret: '(hidden)'"),
        ("AWS_SECRET_ACCESS_KEY=abc/def+x", "AWS_SECRET_ACCESS_KEY=(hidden)"),
        ("restic --password hunter2 backup", "restic --password (hidden) backup"),
        ("GET /?token=abc&page=2", "GET /?token=(hidden)&page=2"),
        ("postgres://bob:hunter2@db:5432/x", "postgres://(hidden)@db:5432/x"),
        ("s3:https://key0123456789abcdef@host/x", "s3:https://(hidden)@host/x"),
        ("Authorization: Bearer abcdefghij", "Authorization: Bearer (hidden)"),
        ('"authorization": "Basic dXNlcjpwYXNz"', '"authorization": "Basic (hidden)"'),
        ("sent bearer abcdefghij.klm", "sent bearer (hidden)"),
        ("Set-Cookie: session=abc; path=/", "Set-Cookie: (hidden)"),
        (f"got {JWT} from it", "got (hidden) from it"),
        ("key AKIAIOSFODNN7EXAMPLE is used", "key (hidden) is used"),
        (f"ghp_{'a' * 36}", HIDDEN),
        (f"hvs.{'A' * 24} was revoked", "(hidden) was revoked"),
        ("AUTH hunter2", "AUTH (hidden)"),
        ("AUTH default hunter2", "AUTH default (hidden)"),
        ("ALTER USER a IDENTIFIED BY x9", "ALTER USER a IDENTIFIED BY (hidden)"),
        ("CREATE ROLE a PASSWORD 'x 9'", "CREATE ROLE a PASSWORD '(hidden)'"),
    ],
)
def test_a_secret_in_a_line_is_hidden(line: str, expected: str) -> None:
    assert redact.text(line) == expected
    assert redact.text(f"before\n{line}\nafter") == f"before\n{expected}\nafter"
    assert redact.text(expected) == expected, "once more changes nothing"


@pytest.mark.parametrize(
    "line",
    [
        'MountVolume.SetUp failed for volume "certs" : secret "orbit-tls" not found',
        "max_tokens_total 42",
        "http://10.0.0.1:8080/health answered 200",
        "2026-01-01T10:00:00Z INFO a key was written in 4 ms",
        "password file /run/secrets/db is read",
        "image registry.example:5000/orbit-server:v1@sha256:0123",
    ],
)
def test_what_a_diagnosis_needs_stays(line: str) -> None:
    assert redact.text(line) == line


@pytest.mark.parametrize("end", ["-----END RSA PRIVATE KEY-----\nafter", ""])
def test_a_private_key_is_hidden_to_its_end(end: str) -> None:
    assert redact.text(f"before\n{PEM}{end}") == f"before\n-----BEGIN RSA PRIVATE KEY-----(hidden){end}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"name": "DB_PASSWORD", "value": "x"}, {"name": "DB_PASSWORD", "value": HIDDEN}),
        ({"name": "RUST_LOG", "value": "info"}, {"name": "RUST_LOG", "value": "info"}),
        ({"name": "DB_PASSWORD_FILE", "value": "/run/x"}, {"name": "DB_PASSWORD_FILE", "value": "/run/x"}),
        ({"adminPassword": "x", "port": 1}, {"adminPassword": HIDDEN, "port": 1}),
        ({"pin-token": 1234}, {"pin-token": HIDDEN}),
        ({"secretName": "tls", "secretKeyRef": {"name": "a", "key": "b"}},) * 2,
        ({"automountServiceAccountToken": False, "imagePullSecrets": [{"name": "regcred"}]},) * 2,
        ({"tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]},) * 2,
        (
            {"data": {"orbit.toml": 'password = "x"\nport = 1'}},
            {"data": {"orbit.toml": 'password = "(hidden)"\nport = 1'}},
        ),
        ({COPY: "{}"}, {COPY: HIDDEN}),
        ([{"token": "abc"}, "password=abc"], [{"token": HIDDEN}, "password=(hidden)"]),
    ],
)
def test_a_secret_in_an_object_is_hidden(content: Any, expected: Any) -> None:
    assert redact.data(content) == expected


def test_values_of_secrets_are_hidden_wherever_they_are() -> None:
    def b64(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    secret = {
        "kind": "Secret",
        "data": {"password": b64("correct horse"), "username": b64("bobby-tables"), "tls.crt": b64("certificate")},
        "stringData": {"host": "database.example", "short": "abc", "other": "orders-db"},
    }
    values = redact.values([secret], known={"orders-db"})
    assert values == [b64("correct horse"), "correct horse"]
    said = f"it tried correct horse as bobby-tables, {b64('correct horse')} in the end"
    assert redact.text(said, values) == "it tried (hidden) as bobby-tables, (hidden) in the end"
    assert redact.data({"x": ["a correct horse"]}, values) == {"x": ["a (hidden)"]}


def test_what_is_hidden_by_its_name_is_known_by_its_value() -> None:
    content = {
        "env": [{"name": "API_TOKEN", "value": "abcdef1"}, {"name": "A", "value": "b"}],
        "auth": {"password": "p"},
    }
    assert redact.named(content) == {"abcdef1", "p"}


def test_of_a_secret_only_the_keys_are_shown() -> None:
    secret = {
        "kind": "Secret",
        "metadata": {"name": "a", "managedFields": [{}], "annotations": {"x": "y"}},
        "data": {"username": "Ym9i"},
    }
    assert redact.obj(secret) == {
        "kind": "Secret",
        "metadata": {"name": "a", "annotations": {"x": "y"}},
        "data": {"username": HIDDEN},
    }
