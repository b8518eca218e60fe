"""Secrets of users in rows: sealed with the deployment's key, and good only for what they were sealed for."""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.core.errors import SettingInvalid

NONCE = 12  # bytes, as AES-GCM has it


def seal(key: str, text: str, about: str) -> str:
    """key: FORGE_SIGNING_KEY. about: what it belongs to; it opens for nothing else, so that no row's secret works in
    another one."""
    nonce = os.urandom(NONCE)
    return base64.b64encode(nonce + _cipher(key).encrypt(nonce, text.encode(), about.encode())).decode()


def unseal(key: str, sealed: str, about: str) -> str:
    """Raises SettingInvalid for what was sealed with another key or for something else."""
    try:
        data = base64.b64decode(sealed, validate=True)
        return _cipher(key).decrypt(data[:NONCE], data[NONCE:], about.encode()).decode()
    except (InvalidTag, ValueError) as error:
        raise SettingInvalid(
            "A kept token cannot be opened: FORGE_SIGNING_KEY is not the one that sealed it. Connect the account anew."
        ) from error


def _cipher(key: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, None, b"personaforge sealed").derive(key.encode()))
