"""The container images: hash-pinned packages, our own source, what finds faces, and for the GPU the weights."""

from __future__ import annotations

from pathlib import Path

import modal

from shared.core.settings import REQUIRED_KEYS

_ROOT = Path(__file__).parent.parent.parent
WEIGHTS, FACE_MODELS = "/weights", "/face-models"


def _fetched(started: modal.Image, module: str, folder: str, needs: tuple[str, ...]) -> modal.Image:
    """With the files that a module of ours fetches. needs: our files that this takes; one that changes fetches anew."""
    for name in needs:
        started = started.add_local_file(str(_ROOT / "shared" / name), f"/build/shared/{name}", copy=True)
    return started.run_commands(f"cd /build && python -m {module} {folder}")


_python = modal.Image.debian_slim(python_version="3.13")


def _pinned(started: modal.Image, packages: str) -> modal.Image:
    """With the packages of one file of `requirements`."""
    file = _ROOT / "requirements" / f"{packages}.txt"
    return started.pip_install_from_requirements(str(file), extra_options="--require-hashes --no-deps")


def _media(packages: str, started: modal.Image = _python) -> modal.Image:
    """With what decodes, draws and signs, and the networks that find faces."""
    fetched = _fetched(
        # 31 MB that only compilers of Rust read
        _pinned(started, packages).run_commands("find /usr/local -xdev -name libc2pa_c.rlib -delete"),
        "shared.lipsync.face_models",
        FACE_MODELS,
        ("core/errors.py", "lipsync/face_models.py"),
    )
    return _ours(fetched.env({"FORGE_MODELS": FACE_MODELS}))


def _ours(started: modal.Image) -> modal.Image:
    return started.add_local_python_source("functions", "shared")


# A function gets the image with what it uses: the smaller it is, the sooner it starts where no container is warm.
thin_image = _ours(_pinned(_python, "thin"))
payments_image = _ours(_pinned(_python, "payments"))
media_image = _media("media")
voices_image = _media("voices")
talk_image = _media("talk")
# Captions of films are drawn in any script: 70 MB that nobody else needs. Pillow shapes them with FriBiDi where it is.
studio_image = _media("talk", _python.apt_install("fonts-noto-core", "fonts-noto-cjk", "libfribidi0"))
gpu_image = _ours(
    _fetched(
        _pinned(_python.apt_install("build-essential"), "gpu"),  # a compiler for torch.compile
        "shared.lipsync.musetalk.weights",
        WEIGHTS,
        ("core/errors.py", "lipsync/musetalk/weights.py"),
    )
)
# Deploying is refused while a key is missing.
secrets = [modal.Secret.from_name("personaforge", required_keys=list(REQUIRED_KEYS))]
