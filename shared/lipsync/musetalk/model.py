"""MuseTalk v1.5: a voice, and a face whose lower half is hidden, become the whole face. The model and its weights.

    speech (16 kHz) -> hear -> (steps, layers, width) -> tokens -> (frames, 50, width)
    faces (256x256) -> latents -> (faces, 8, 32, 32)
    latents + tokens -> speak -> faces (frames, 3, 256, 256), RGB, 0..255

One pass of a Stable Diffusion 1.5 UNet per frame: the prediction is the result, there is no noise and no scheduler.
Stock classes of diffusers and transformers; nothing here knows where it runs. See weights.py for where the files come
from, engine.py for the engine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from shared.core.errors import WeightsUnusable
from shared.lipsync.musetalk.batching import to_device

HEARING_RATE = 16_000  # samples/s
STEPS = 50  # of the hearing, a second
SIDE = 256  # pixels of a face
SEGMENT = 30 * HEARING_RATE  # samples that the hearing takes at once
BEFORE, AFTER, WINDOW = 4, 12, 10  # steps: silence put in front and behind, and what one frame hears
SCALE = 0.18215  # of the latents


@dataclass(frozen=True)
class Config:
    """Shapes of the three networks; the defaults are those of the published weights."""

    unet: dict[str, Any] = field(
        default_factory=lambda: {
            "in_channels": 8,
            "out_channels": 4,
            "sample_size": 64,
            "block_out_channels": (320, 640, 1280, 1280),
            "layers_per_block": 2,
            "cross_attention_dim": 384,
            "attention_head_dim": 8,
            "norm_num_groups": 32,
            "flip_sin_to_cos": True,
            "freq_shift": 0,
            "down_block_types": (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
            "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
        }
    )
    vae: dict[str, Any] = field(
        default_factory=lambda: {
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 4,
            "sample_size": SIDE,
            "block_out_channels": (128, 256, 512, 512),
            "layers_per_block": 2,
            "norm_num_groups": 32,
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
        }
    )
    whisper: dict[str, Any] = field(
        default_factory=lambda: {
            "d_model": 384,
            "encoder_layers": 4,
            "encoder_attention_heads": 6,
            "encoder_ffn_dim": 1536,
            "num_mel_bins": 80,
            "max_source_positions": 1500,
        }
    )


class MuseTalk(nn.Module):
    """The three networks. Tensors in, tensors out; no gradients."""

    def __init__(self, config: Config, *, tiny: bool = False) -> None:
        """tiny: decode with TAESD, 18 times less arithmetic than the VAE's decoder."""
        super().__init__()
        self.unet = UNet2DConditionModel(**config.unet)
        self.vae = AutoencoderKL(**config.vae)
        self.whisper = WhisperEncoder(WhisperConfig(**config.whisper))
        self.taesd = AutoencoderTiny() if tiny else None
        self._mel = WhisperFeatureExtractor(feature_size=config.whisper["num_mel_bins"])
        with torch.device("cpu"):  # also while the networks are only outlined
            self._filters = torch.from_numpy(self._mel.mel_filters).float()  # (201, bands)
        self._place: Tensor | None = None

    @classmethod
    def load(
        cls, folder: Path, config: Config | None = None, *, device: str = "cpu", dtype: torch.dtype = torch.float32,
        tiny: bool = False,
    ) -> MuseTalk:  # fmt: skip
        """Read the converted files of weights.py. Raises WeightsUnusable that names the file and what does not fit."""
        with torch.device("meta"):
            model = cls(config or Config(), tiny=tiny)
        for name in ("unet", "vae", "whisper", *(["taesd"] if tiny else [])):
            fill(getattr(model, name), folder / f"{name}.safetensors")
        model.to(device, dtype).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        return model

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    @torch.inference_mode()
    def hear(self, samples: np.ndarray[Any, np.dtype[np.float32]]) -> Tensor:
        """What the encoder makes of a sound: (steps, layers, width), 50 steps a second.

        samples: 16 kHz, mono, -1..1, of any length; taken in segments of 30 s.
        """
        found = []
        for start in range(0, len(samples), SEGMENT):
            part = samples[start : start + SEGMENT]
            mel = self._log_mel(part).to(self.dtype)  # (1, 80, 3000)
            layers = self.whisper(mel, output_hidden_states=True).hidden_states
            found.append(torch.stack(layers, dim=2)[0])  # (1500, layers, width)
        return torch.cat(found)[: len(samples) * STEPS // HEARING_RATE]

    def _log_mel(self, samples: np.ndarray[Any, np.dtype[np.float32]]) -> Tensor:
        """What WhisperFeatureExtractor makes of up to 30 s, without leaving the device: (1, bands, 3000)."""
        sound = torch.zeros(SEGMENT, device=self.device)
        sound[: len(samples)] = to_device(np.ascontiguousarray(samples, np.float32), self.device)
        window = torch.hann_window(self._mel.n_fft, device=self.device)
        spectrum = torch.stft(sound, self._mel.n_fft, self._mel.hop_length, window=window, return_complex=True)
        bands = self._filters.to(self.device).T @ spectrum[:, :-1].abs() ** 2
        loud = bands.clamp(min=1e-10).log10()
        return ((torch.maximum(loud, loud.max() - 8) + 4) / 4)[None]

    @torch.inference_mode()
    def tokens(self, heard: Tensor, first: int = 0, count: int | None = None, *, more: bool = False) -> Tensor:
        """What each frame hears: (frames, 10 steps x layers, width), in the order of time.

        first, count: which frames, 25 a second, counted from the beginning of `heard`; all by default. more: the
        sound goes on, so nothing is put behind it, and frames that would need that are refused.
        """
        width = heard.shape[-1]
        silence = heard.new_zeros(1, *heard.shape[1:])
        padded = torch.cat([silence.expand(BEFORE, -1, -1), heard, silence.expand(0 if more else AFTER, -1, -1)])
        count = math.ceil(len(heard) / 2) - first if count is None else count
        if 2 * (first + count - 1) + WINDOW > len(padded):
            raise ValueError(f"frames {first} to {first + count} need more sound than there is")
        windows = padded.unfold(0, WINDOW, 2)[first : first + count]  # (frames, layers, width, 10)
        found = windows.permute(0, 3, 1, 2).reshape(count, WINDOW * heard.shape[1], width)
        return found + self._places(found.shape[1], width)

    def _places(self, length: int, width: int) -> Tensor:
        """Sinusoids: sine in even columns, cosine in odd ones."""
        place = self._place
        if place is None or place.shape != (length, width) or place.device != self.device:
            at = torch.arange(length, dtype=torch.float32)[:, None]
            speed = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
            table = torch.zeros(length, width)
            table[:, 0::2], table[:, 1::2] = torch.sin(at * speed), torch.cos(at * speed)
            self._place = place = table.to(self.device, self.dtype)  # assigned whole: talks may begin at once
        return place

    @torch.inference_mode()
    def latents(self, faces: Tensor) -> Tensor:
        """What the UNet is given of faces: the one with its lower half hidden, then the whole one.

        faces: (n, 3, 256, 256), RGB, uint8. Returns (n, 8, 32, 32).
        """
        whole = (faces.to(self.device, torch.float32) / 127.5 - 1).to(self.dtype)
        hidden = whole.clone()
        hidden[:, :, SIDE // 2 :] = -1
        halves = [self.vae.encode(one).latent_dist.mode() * SCALE for one in (hidden, whole)]
        return torch.cat(halves, dim=1)

    def speak(self, latents: Tensor, tokens: Tensor) -> Tensor:
        """Faces, (frames, 3, 256, 256), RGB, whole numbers 0..255 as floats. Has no state: may be compiled."""
        predicted = self.unet(latents, torch.zeros((), device=latents.device), tokens, return_dict=False)[0]
        if self.taesd is not None:
            pixels = self.taesd.decode(predicted, return_dict=False)[0]
        else:
            pixels = self.vae.decode(predicted / SCALE, return_dict=False)[0]
        return ((pixels.float() / 2 + 0.5).clamp(0, 1) * 255).round()


def fill(module: nn.Module, file: Path) -> None:
    """Give a module the weights of a safetensors file, all of them and no others. Raises WeightsUnusable."""
    if not file.exists():
        raise WeightsUnusable(
            f"{file} is not there. Fetch the weights: python -m shared.lipsync.musetalk.weights {file.parent}"
        )
    try:
        weights = load_file(file)
    except Exception as error:  # safetensors raises its own kind, not exported
        raise WeightsUnusable(f"{file} is damaged: {type(error).__name__}. Fetch the weights anew.") from error
    wanted = module.state_dict()
    missing, surplus = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    bent = [name for name in wanted.keys() & weights.keys() if wanted[name].shape != weights[name].shape]
    for what, names in (("lacks", missing), ("has too much", surplus), ("has of another shape", sorted(bent))):
        if names:
            raise WeightsUnusable(f"{file} {what} {len(names)} of {len(wanted)} tensors, the first: {names[0]}.")
    module.load_state_dict(weights, strict=True, assign=True)
