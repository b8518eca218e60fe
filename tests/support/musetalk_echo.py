"""MuseTalk with networks that return what they are given, so that a frame shows which face and which sound it got.

Faces come out as they went in, in blocks of 8 x 8 pixels, but for the red of their lowest quarter: that is as strong as
the sound was at the frame's own time. A sound made by `counting` says there which frame it is of.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.lipsync.musetalk.model import BEFORE, SCALE, MuseTalk
from shared.media.types import PER_FRAME

LAYERS, WIDTH = 2, 4


class Echo(MuseTalk):
    """The same methods, around networks that return their inputs."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.unet, self.vae = _Unet(), _Vae()
        self.whisper = nn.Module()
        self.whisper.config = SimpleNamespace(d_model=WIDTH, encoder_layers=LAYERS - 1)
        self.taesd, self._place = None, None
        self.still = nn.Parameter(torch.zeros(1), requires_grad=False)

    def hear(self, samples: Any) -> Tensor:
        """Each step, 20 ms, as loud as it is on average: (steps, layers, width)."""
        steps = len(samples) * 50 // 16_000
        with torch.inference_mode():
            loud = torch.from_numpy(np.abs(samples[: steps * 320])).reshape(steps, 320).mean(dim=1)
            return loud[:, None, None].expand(steps, LAYERS, WIDTH).contiguous()

    def _places(self, length: int, width: int) -> Tensor:
        return torch.zeros(length, width)  # what is heard stays readable


class _Unet(nn.Module):  # type: ignore[misc]
    def forward(self, latents: Tensor, _: Tensor, tokens: Tensor, *, return_dict: bool) -> tuple[Tensor]:
        assert not return_dict
        found = latents[:, 4:].clone()  # of the whole face
        found[:, 3] = tokens[:, BEFORE * LAYERS, 0][:, None, None]  # heard in the frame's own step
        return (found,)


class _Vae(nn.Module):  # type: ignore[misc]
    def encode(self, faces: Tensor) -> Any:
        """(n, 3, 256, 256) in -1..1 to (n, 4, 32, 32): means of blocks, and an empty channel for what is heard."""
        blocks = nn.functional.avg_pool2d(faces, 8)
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: torch.cat([blocks, blocks[:, :1] * 0], 1)))

    def decode(self, latents: Tensor, *, return_dict: bool) -> tuple[Tensor]:
        """(n, 4, 32, 32) to (n, 3, 256, 256), RGB in -1..1."""
        assert not return_dict
        rgb = latents[:, :3].clone()
        rgb[:, 0, 24:] = latents[:, 3, 24:] * SCALE * 2 - 1
        return (nn.functional.interpolate(rgb, scale_factor=8, mode="bilinear", align_corners=False),)


def counting(frames: int) -> Any:
    """A sound, 24 kHz, that is louder in each frame: frame k has (k + 1) / 32 of full scale."""
    levels = (1 + np.arange(frames)) / 32 * 32767
    return np.repeat(levels, PER_FRAME).astype(np.int16)
