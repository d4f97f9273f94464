# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a manifest with a Secret that holds a new certificate: certificate.py FILE."""

import base64
import datetime
import sys
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

key = ec.generate_private_key(ec.SECP256R1())
subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "db")])
now = datetime.datetime.now(datetime.UTC)
certificate = (
    x509.CertificateBuilder()
    .subject_name(subject)
    .issuer_name(subject)
    .public_key(key.public_key())
    .serial_number(x509.random_serial_number())
    .not_valid_before(now - datetime.timedelta(hours=1))
    .not_valid_after(now + datetime.timedelta(days=1))
    .sign(key, hashes.SHA256())
)
private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
secret = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "db-tls"},
    "type": "kubernetes.io/tls",
    "data": {
        "tls.crt": base64.b64encode(certificate.public_bytes(serialization.Encoding.PEM)).decode(),
        "tls.key": base64.b64encode(private).decode(),
    },
}
file = Path(sys.argv[1])
file.parent.mkdir(exist_ok=True)
file.touch(mode=0o600)
file.write_text(yaml.safe_dump(secret))
