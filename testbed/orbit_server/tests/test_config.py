# SPDX-License-Identifier: GPL-3.0-or-later
"""`--validate`: good files pass, and of a bad one the line and the key are named."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from testbed.orbit_server.config import SCHEMA, Config, ConfigError, load
from testbed.orbit_server.tests.process import Server


def make_certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """A self-signed certificate for `address` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "orbit-server")])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(address)]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "tls.crt", folder / "tls.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return files


FULL = """\
[server]
bind = "0.0.0.0"
grpc_port = 50051
http_port = 8080
metrics_port = 9090
data_dir = "/app/data"
[protocols]
redis_port = 6379
postgres_port = 5432
mysql_port = 3306
cql_port = 9042
cypher_port = 7687
aql_port = 8529
[logging]
level = "info"
[transactions]
max_connections = 20
[saga]
max_execution_time_seconds = 3600
[performance]
worker_threads = 4
max_blocking_threads = 512
[tls]
enabled = false
cert_file = "/app/certs/tls.crt"
key_file = "/app/certs/tls.key"
"""


@pytest.mark.parametrize(
    "text",
    [
        "",
        FULL,
        "# only a comment\n",
        "[protocols]\nredis_port = 0\npostgres_port = 0\n",
        'logging.level = "trace"\n',
        "[tls]\nenabled = false\ncert_file = '/nowhere'\n",
    ],
)
def test_good_files(tmp_path: Path, text: str) -> None:
    file = tmp_path / "orbit-server.toml"
    file.write_text(text)
    assert load(file).values.keys() == SCHEMA.keys()


def test_the_full_file_says_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "orbit-server.toml"
    file.write_text(FULL)
    assert load(file) == Config()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[server\n", ": not TOML: Expected ']' at the end of a table declaration (at line 1, column 8)"),
        ("[a]\nx = 1\nx = 2\n", ": not TOML: Cannot overwrite a value (at line 3, column 6)"),
        ("\n[sever]\n", ":2: sever: unknown section, did you mean server?"),
        ("[x]\n", ":1: x: unknown section, known are server, protocols, logging, transactions, saga, performance, tls"),
        ("server = 1\n", ":1: server: a section is wanted, not a value"),
        ("[logging]\n\nlevle = 'info'\n", ":3: logging.levle: unknown key, did you mean level?"),
        ("[logging]\nlevel = 'loud'\n", ":2: logging.level: 'loud' is not one of trace, debug, info, warn, error"),
        ("logging.level = 1\n", ":1: logging.level: 1 is not text"),
        ("[server]\nhttp_port = '8080'\n", ":2: server.http_port: '8080' is not a number"),
        ("[server]\nhttp_port = true\n", ":2: server.http_port: True is not a number"),
        ("[server]\nhttp_port = 8080.5\n", ":2: server.http_port: 8080.5 is not a number"),
        ("[server]\nhttp_port = 0\n", ":2: server.http_port: 0 is not in 1..65535"),
        ("[protocols]\nredis_port = 65536\n", ":2: protocols.redis_port: 65536 is not in 0..65535"),
        ("[protocols]\nredis_port = 8080\n", ":2: protocols.redis_port: port 8080 is already used by server.http_port"),
        ("[server]\ndata_dir = ''\n", ":2: server.data_dir: must not be empty"),
        ("[tls]\nenabled = 'yes'\n", ":2: tls.enabled: 'yes' is not true or false"),
        ("[transactions]\nmax_connections = 0\n", ":2: transactions.max_connections: 0 is not in 1..10000"),
        ("[performance]\nworker_threads = 2.097152e+06\n", ":2: performance.worker_threads: 2097152.0 is not a number"),
        (
            "[tls]\nenabled = true\ncert_file = '/nowhere.crt'\nkey_file = '/etc/hostname'\n",
            ":3: tls.cert_file: TLS is enabled and /nowhere.crt does not exist",
        ),
        (
            "[tls]\nenabled = true\ncert_file = '/etc/hostname'\nkey_file = '/etc/hostname'\n",
            ":3: tls.cert_file: certificate and key cannot be loaded",
        ),
    ],
)
def test_bad_files(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "orbit-server.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"{file}{problem}")


def test_validate_names_all_mistakes_and_exits_1(server: Server) -> None:
    server.config.write_text("[server]\nhttp_port = 0\n[logging]\nlevel = 'loud'\n")
    result = server.run("--validate")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"configuration error: {server.config}:2: server.http_port: 0 is not in 1..65535",
        f"configuration error: {server.config}:4: logging.level: 'loud' is not one of trace, debug, info, warn, error",
    ]
    assert not result.stdout


def test_validate_exits_0(server: Server) -> None:
    result = server.run("--validate")
    assert (result.returncode, result.stdout) == (0, f"{server.config}: configuration is valid\n")


def test_a_file_that_is_not_there_is_refused(server: Server) -> None:
    server.config.unlink()
    result = server.run()
    assert (result.returncode, "No such file or directory" in result.stderr) == (1, True)


def test_version(server: Server) -> None:
    assert server.run("--version").stdout == "orbit-server v0.1.0\n"


def test_tls(server: Server, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "orbit-server")
    tls = {"enabled": True, "cert_file": str(certificate), "key_file": str(key)}
    server.write_config({"tls": tls})
    assert server.run("--validate").returncode == 0
    server.start()
    options = {"ssl": True, "ssl_ca_certs": str(certificate), "ssl_check_hostname": False}
    with server.redis(**options) as client:
        assert client.set("a", "1")
        assert client.get("a") == "1"
    assert server.get("/health/ready")[0] == 200
    assert server.stop() == 0
