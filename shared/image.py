"""The container image that the functions share: hash-pinned packages, and our own source."""

from __future__ import annotations

from pathlib import Path

import modal

_PINS = Path(__file__).parent.parent / "requirements.txt"

image = (
    modal.Image.debian_slim(python_version="3.13")
    .pip_install_from_requirements(str(_PINS), extra_options="--require-hashes --no-deps")
    .add_local_python_source("functions", "shared")
)
secrets = [modal.Secret.from_name("personaforge")]
