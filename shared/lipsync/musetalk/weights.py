"""Where MuseTalk's weights come from, and how they are kept: python -m shared.lipsync.musetalk.weights FOLDER

Fetched while an image is built, never while it runs: pinned revisions, checked sums, then half-precision safetensors
of only what is used. Licences: MuseTalk's use restrictions (CreativeML OpenRAIL-M) are passed on; the others are MIT.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from shared.core.errors import WeightsUnusable


@dataclass(frozen=True)
class Source:
    """A file on the hub."""

    repository: str
    revision: str
    file: str
    sha256: str


UNET = Source(
    "TMElyralab/MuseTalk", "2bcb936e2fddb4d86db4c62fd45b387d0c061571", "musetalkV15/unet.pth",
    "7ebf6c98c181e20838e4c0054e96e944ac60d5d692cc01db42839fe11b787007",
)  # fmt: skip
VAE = Source(
    "stabilityai/sd-vae-ft-mse", "31f26fdeee1355a5c34592e401dd41e45d25a493", "diffusion_pytorch_model.safetensors",
    "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
)  # fmt: skip
WHISPER = Source(
    "openai/whisper-tiny", "169d4a4341b33bc18d8881c4b69c2e104e1cc0af", "pytorch_model.bin",
    "9607f98a2b22d9e229ae43c52ecea79dcede9e0c5cfae67e8da6eda86d8aac1d",
)  # fmt: skip
TAESD = Source(
    "madebyollin/taesd", "614f76814bbe30edbe2e627ace1c2234c81a2c0e", "diffusion_pytorch_model.safetensors",
    "db169d69145ec4ff064e49d99c95fa05d3eb04ee453de35824a6d0f325513549",
)  # fmt: skip
TIMEOUT = 60  # seconds without a byte

# The hub's VAE is older than these names.
_RENAMED = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def fetch(folder: Path) -> None:
    """Fetch and convert everything into `folder`. Raises WeightsUnusable when a file is not the expected one."""
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", str(TIMEOUT))  # read when the hub's client is imported
    from huggingface_hub import hf_hub_download

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as cache:
        for source, convert in ((UNET, unet), (VAE, vae), (WHISPER, whisper), (TAESD, taesd)):
            found = hf_hub_download(
                source.repository, source.file, revision=source.revision, cache_dir=cache, etag_timeout=TIMEOUT
            )
            check(Path(found), source.sha256)
            convert(Path(found), folder)


def check(file: Path, sha256: str) -> None:
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != sha256:
        raise WeightsUnusable(f"{file.name} is not the file that was expected: its SHA-256 is {found}.")


def unet(source: Path, folder: Path) -> None:
    """The UNet's pickle, read as tensors only."""
    _save(_tensors(source), folder / "unet.safetensors")


def vae(source: Path, folder: Path) -> None:
    """The autoencoder, its attention under today's names; projections that were convolutions become matrices."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in _tensors(source).items():
        for old, new in _RENAMED.items():
            name = name.replace(old, new) if ".attentions." in name else name  # noqa: PLW2901
        projection = ".attentions." in name and tensor.ndim == 4
        renamed[name] = tensor[:, :, 0, 0] if projection else tensor
    _save(renamed, folder / "vae.safetensors")


def whisper(source: Path, folder: Path) -> None:
    """The encoder's half of Whisper."""
    prefix = "model.encoder."
    found = _tensors(source)
    _save({name.removeprefix(prefix): one for name, one in found.items() if name.startswith(prefix)},
          folder / "whisper.safetensors")  # fmt: skip


def taesd(source: Path, folder: Path) -> None:
    """The small autoencoder, as it is."""
    _save(_tensors(source), folder / "taesd.safetensors")


def _tensors(source: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor]
    if source.suffix == ".safetensors":
        found = load_file(source)
    else:
        found = torch.load(source, map_location="cpu", weights_only=True)
    return found


def _save(tensors: dict[str, Tensor], target: Path) -> None:
    if not tensors:
        raise WeightsUnusable(f"There is nothing for {target.name} in the file that was fetched.")
    unfinished = target.with_suffix(".unfinished")
    save_file({name: tensor.half().contiguous() for name, tensor in tensors.items()}, unfinished)
    unfinished.replace(target)  # whole or not there


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
