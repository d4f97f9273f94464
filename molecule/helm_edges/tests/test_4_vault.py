# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that Ansible Vault has encrypted: a single one in the inventory, a file of variables, and a values file."""

import subprocess

import pytest
import yaml

SECRETS = {"INLINE": "said-in-line", "VARIABLES": "said-in-variables", "VALUES": "said-in-a-values-file"}


@pytest.fixture
def vault(tmp_path):
    """Give the option with the password of the vault, and what encrypts text with it."""
    password = tmp_path / "password"
    password.write_text("only for this test\n")
    option = ("--vault-password-file", str(password))

    def encrypt(text):
        command = ("ansible-vault", "encrypt", *option, "--output", "-")
        return subprocess.run(command, input=text, text=True, check=True, capture_output=True).stdout

    return option, encrypt


def env(name):
    return [{"name": name, "value": SECRETS[name]}]


def test_encrypted_values(edge, vault, tmp_path):
    option, encrypt = vault
    inline = "".join(f"            {line}\n" for line in encrypt(SECRETS["INLINE"]).splitlines())
    (tmp_path / "inline.yml").write_text(f"edge_inline: !vault |\n{inline}")
    (tmp_path / "variables-encrypted.yml").write_text(encrypt(yaml.safe_dump({"edge_variables": SECRETS["VARIABLES"]})))
    labels = {"orbitServer": {"podAnnotations": {"edge": SECRETS["VALUES"]}}}
    (tmp_path / "values-encrypted.yml").write_text(encrypt(yaml.safe_dump(labels)))
    image = {"repository": "orbit-rs/orbit-server", "tag": "v0.1.0", "pullPolicy": "Never"}
    variables = [{"name": name, "value": f"{{{{ edge_{name.lower()} }}}}"} for name in ("INLINE", "VARIABLES")]
    given = {
        "orbit_rs_values": {"orbitServer": {"image": image, "env": variables}},
        "orbit_rs_values_files": [str(tmp_path / "values-encrypted.yml")],
    }
    files = ("--extra-vars", f"@{tmp_path}/inline.yml", "--extra-vars", f"@{tmp_path}/variables-encrypted.yml")

    # A file of variables that cannot be decrypted ends Ansible itself; a values file is ours to speak of.
    output = edge.refused(**{**given, "orbit_rs_values": {}})
    assert "values-encrypted.yml is encrypted, and cannot be decrypted" in output
    assert "--vault-password-file" in output

    assert "changed=1" in edge.deploy(*files, *option, **given)
    (pod,) = edge.pods()
    found = {item["name"]: item.get("value") for item in pod["spec"]["containers"][0]["env"]}
    assert {name: found[name] for name in ("INLINE", "VARIABLES")} == {
        name: SECRETS[name] for name in ("INLINE", "VARIABLES")
    }
    assert pod["metadata"]["annotations"]["edge"] == SECRETS["VALUES"]

    again = edge.deploy(*files, *option, "--diff", **given)
    assert "changed=0" in again
    assert not [secret for secret in SECRETS.values() if secret in again]
