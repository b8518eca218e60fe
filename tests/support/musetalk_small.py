"""MuseTalk at small width with random weights, in files laid out as the published ones are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import WhisperConfig, WhisperModel

from bench.lipsync import SMALL
from shared.lipsync.musetalk import weights
from shared.lipsync.musetalk.model import Config, MuseTalk
from shared.media.types import RATE

# Fewer and narrower layers than SMALL: for tests of what is around the networks, five times as fast.
QUICK = Config(
    unet={**SMALL.unet, "layers_per_block": 1, "block_out_channels": (8,) * 4, "norm_num_groups": 4,
          "attention_head_dim": 2},
    vae={**SMALL.vae, "layers_per_block": 1, "block_out_channels": (4,) * 4},
    whisper=SMALL.whisper,
)  # fmt: skip
_OLD = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}


def published(folder: Path, config: Config = SMALL) -> tuple[Path, Path, Path]:
    """Random weights as they lie on the hub: a pickled UNet, a VAE with old names, all of Whisper."""
    torch.manual_seed(7)
    model = MuseTalk(config)
    unet, vae, whisper = (
        folder / "unet.pth",
        folder / "diffusion_pytorch_model.safetensors",
        folder / "pytorch_model.bin",
    )
    torch.save(model.unet.state_dict(), unet)
    old = {}
    for name, tensor in model.vae.state_dict().items():
        for new, before in _OLD.items():
            name = name.replace(new, before)  # noqa: PLW2901
        old[name] = tensor.contiguous()
    from safetensors.torch import save_file

    save_file(old, vae)
    decoder = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "vocab_size": 64}
    marks = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    whole = WhisperModel(WhisperConfig(**config.whisper, **decoder, **marks))
    torch.save({f"model.{name}": tensor for name, tensor in whole.state_dict().items()}, whisper)
    return unet, vae, whisper


def converted(folder: Path, config: Config = SMALL) -> Path:
    """The files that `MuseTalk.load` reads, made by the real conversion."""
    unet, vae, whisper = published(folder, config)
    weights.unet(unet, folder)
    weights.vae(vae, folder)
    weights.whisper(whisper, folder)
    return folder


def speech(seconds: float, seed: int = 0) -> Any:
    """Something that swells and falls like syllables, 24 kHz."""
    lot = np.random.default_rng(seed)
    at = np.arange(round(seconds * RATE)) / RATE
    voice = lot.normal(size=len(at)) * np.abs(np.sin(2 * np.pi * 2.5 * at)) * 5000
    return voice.astype(np.int16)
