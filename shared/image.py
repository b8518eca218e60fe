"""The container images: hash-pinned packages, our own source, and for the GPU the weights."""

from __future__ import annotations

from pathlib import Path

import modal

_HERE = Path(__file__).parent.parent
_OPTIONS = "--require-hashes --no-deps"
WEIGHTS = "/weights"

image = (
    modal.Image.debian_slim(python_version="3.13")
    .pip_install_from_requirements(str(_HERE / "requirements.txt"), extra_options=_OPTIONS)
    .add_local_python_source("functions", "shared")
)
# What fetching the weights needs, and no more: gigabytes are fetched again when one of these files changes.
_FETCHING = ("errors.py", "lipsync/weights.py", "lipsync/landmarks.py", "lipsync/arrays.py", "lipsync/face.py")


def _with_weights(started: modal.Image) -> modal.Image:
    for name in _FETCHING:
        started = started.add_local_file(str(_HERE / "shared" / name), f"/build/shared/{name}", copy=True)
    return started.run_commands(f"cd /build && python -m shared.lipsync.weights {WEIGHTS}")


gpu_image = _with_weights(
    modal.Image.debian_slim(python_version="3.13")
    .apt_install("build-essential", "libgl1", "libegl1", "libgles2")  # a compiler for torch.compile; mediapipe's GL
    .pip_install_from_requirements(str(_HERE / "requirements-gpu.txt"), extra_options=_OPTIONS)
).add_local_python_source("functions", "shared")
secrets = [modal.Secret.from_name("personaforge")]
