"""The container images: hash-pinned packages, our own source, what finds faces, and for the GPU the weights."""

from __future__ import annotations

from pathlib import Path

import modal

from shared.core.settings import REQUIRED_KEYS

_ROOT = Path(__file__).parent.parent.parent
_OPTIONS = "--require-hashes --no-deps"
WEIGHTS, FACE_MODELS = "/weights", "/face-models"


def _fetched(started: modal.Image, module: str, folder: str, needs: tuple[str, ...]) -> modal.Image:
    """With the files that a module of ours fetches. needs: our files that this takes; one that changes fetches anew."""
    for name in needs:
        started = started.add_local_file(str(_ROOT / "shared" / name), f"/build/shared/{name}", copy=True)
    return started.run_commands(f"cd /build && python -m {module} {folder}")


_python = modal.Image.debian_slim(python_version="3.13")


def _backend(started: modal.Image) -> modal.Image:
    """With what all functions share."""
    fetched = _fetched(
        started.pip_install_from_requirements(str(_ROOT / "requirements.txt"), extra_options=_OPTIONS).run_commands(
            "find / -name libc2pa_c.rlib -delete"
        ),  # 31 MB that only compilers of Rust read
        "shared.lipsync.face_models",
        FACE_MODELS,
        ("core/errors.py", "lipsync/face_models.py"),
    )
    return fetched.env({"FORGE_MODELS": FACE_MODELS}).add_local_python_source("functions", "shared")


image = _backend(_python)
# Of functions that touch no media, a third of the size: they start sooner where no container is warm.
thin_image = _python.pip_install_from_requirements(
    str(_ROOT / "requirements-thin.txt"), extra_options=_OPTIONS
).add_local_python_source("functions", "shared")
# Captions of films are drawn in any script: 70 MB that nobody else needs. Pillow shapes them with FriBiDi where it is.
studio_image = _backend(_python.apt_install("fonts-noto-core", "fonts-noto-cjk", "libfribidi0"))
gpu_image = _fetched(
    _python.apt_install("build-essential").pip_install_from_requirements(  # a compiler for torch.compile
        str(_ROOT / "requirements-gpu.txt"), extra_options=_OPTIONS
    ),
    "shared.lipsync.musetalk.weights",
    WEIGHTS,
    ("core/errors.py", "lipsync/musetalk/weights.py"),
).add_local_python_source("functions", "shared")
# Deploying is refused while a key is missing.
secrets = [modal.Secret.from_name("personaforge", required_keys=list(REQUIRED_KEYS))]
