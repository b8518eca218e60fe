"""Certificates of one's own, with which a laptop signs what it makes: a root and a leaf, as C2PA wants them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

YEARS, RENEWED = 2, timedelta(days=30)  # before its end
ORGANIZATION = "PersonaForge on a laptop, not trusted"  # readers show it as who signed


def own(folder: Path) -> tuple[str, str]:
    """Chain (leaf first) and the leaf's key, PEM; made in `folder` when they are missing or about to expire."""
    chain, key = folder / "c2pa-chain.pem", folder / "c2pa-key.pem"
    if chain.exists() and key.exists():
        leaf = x509.load_pem_x509_certificates(chain.read_bytes())[0]
        if leaf.not_valid_after_utc - RENEWED > datetime.now(UTC):
            return chain.read_text(), key.read_text()
    made, secret = _make()
    key.touch(mode=0o600)
    key.write_text(secret)
    chain.write_text(made)
    return made, secret


def _make(now: datetime | None = None) -> tuple[str, str]:
    """A leaf that signed itself is refused, and so is one without a use for its key."""
    began = now or datetime.now(UTC)
    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, leaf_name = _name("root"), _name("leaf")

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(began - timedelta(hours=1))
            .not_valid_after(began + timedelta(days=365 * YEARS))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        )

    root = builder(root_name, root_key)
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    root = root.add_extension(_usage(certificates=True), critical=True)
    leaf = builder(leaf_name, leaf_key)
    leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    leaf = leaf.add_extension(_usage(certificates=False), critical=True)
    leaf = leaf.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    signed = [one.sign(root_key, hashes.SHA256()) for one in (leaf, root)]
    chain = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in signed)
    key = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return chain.decode(), key.decode()


def _name(what: str) -> x509.Name:
    attributes = ((NameOID.ORGANIZATION_NAME, ORGANIZATION), (NameOID.COMMON_NAME, f"{ORGANIZATION}: {what}"))
    return x509.Name([x509.NameAttribute(*one) for one in attributes])


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates, key_cert_sign=certificates, crl_sign=certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
