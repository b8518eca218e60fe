"""The `musetalk` engine: prepare a portrait once, then speech in, frames out, in batches of fixed size on one device.

Everything from latents and tokens to finished NV12 frames is one function of tensors with fixed shapes, so that on a
GPU it is compiled once for each batch size and output size, whoever speaks: where a face sits in its frame is a
tensor too (a grid), not a shape. A batch may mix portraits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from shared.lipsync.engine import Style
from shared.lipsync.musetalk.batching import Batcher, Frames, to_device
from shared.lipsync.musetalk.model import HEARING_RATE, SIDE, MuseTalk
from shared.lipsync.musetalk.outline import outline
from shared.lipsync.musetalk.voice_activity import VoiceActivity
from shared.lipsync.picture import Picture, head
from shared.media.nv12 import TO_YUV, nv12
from shared.media.types import FPS, PER_FRAME, Floats, Pixels, Samples, Speech

LOOKAHEAD = 3  # frames: what a frame hears ends 120 ms after its beginning
CONTEXT = 4 * FPS  # frames of sound before the new ones that the hearing is given again: no seam between pieces
BATCHES = (4, 8, 16, 32)  # the first frames leave in the smallest one; what is left over is padded to the next
_HEARD_PER_FRAME = HEARING_RATE // FPS


class MuseTalkEngine:
    """See shared/lipsync/engine.py for the protocol. Any number of talks at once: they share the device's batches."""

    name = "musetalk"

    def __init__(
        self,
        model: MuseTalk,
        *,
        batches: tuple[int, ...] = BATCHES,
        compiled: bool = False,
    ) -> None:
        """batches: their sizes, ascending. compiled: by torch.compile, with CUDA graphs."""
        self.model, self.batches = model, batches
        if model.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # shapes are few and fixed: let it choose the fastest kernels
        self.draw: Callable[..., Tensor] = _Draw(model)
        if compiled:
            self.draw = torch.compile(self.draw, mode="reduce-overhead", fullgraph=True, dynamic=False)
        self.device = Batcher(self.draw, batches)

    def prepare(self, picture: Picture, size: int = 512, style: Style | None = None) -> MusePortrait:  # noqa: ARG002
        """Crop to head and shoulders, find the outline, encode. Raises PictureUnusable with what to send instead.

        style: has no effect, as the head does not move.
        """
        return self.prepare_loop([picture], size)

    def prepare_loop(self, pictures: list[Picture], size: int = 512) -> MusePortrait:
        """The same for the frames of an idle loop, played forth and back."""
        stills = [head(one.bgr, one.face, size) for one in pictures]
        found = [outline(bgr, face) for bgr, face in stills]
        crops = []
        for (bgr, _), one in zip(stills, found, strict=True):
            x1, y1, x2, y2 = one.box
            face = cv2.resize(bgr[y1:y2, x1:x2], (SIDE, SIDE), interpolation=cv2.INTER_LANCZOS4)
            crops.append(torch.from_numpy(np.ascontiguousarray(face[:, :, ::-1].transpose(2, 0, 1))))
        latents = torch.cat([self.model.latents(torch.stack(crops[n : n + 8])) for n in range(0, len(crops), 8)])
        planes = [nv12(bgr) for bgr, _ in stills]
        return MusePortrait(
            self, size, latents,
            luma=torch.from_numpy(np.stack([luma for luma, _ in planes])).to(self.model.device),
            chroma=torch.from_numpy(np.stack([chroma for _, chroma in planes])).to(self.model.device),
            boxes=torch.tensor([one.box for one in found], dtype=torch.float32),
            mask=torch.stack([_laid(one.mask, one.box, size) for one in found]).to(self.model.device),
        )  # fmt: skip

    def warm(self, size: int = 512) -> None:
        """Run everything once in each batch size, so that the first talk of this size compiles nothing."""
        self.model.hear(np.zeros(HEARING_RATE, np.float32))
        self.model.latents(torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8))
        for count in self.batches:
            for _ in range(3):  # CUDA graphs are recorded on the second run
                list(self.device.submit(*self._blank(count, size)).result()())

    def _blank(self, count: int, size: int) -> tuple[Tensor, ...]:
        """What a batch is drawn from, all zeros."""
        device, dtype, config = self.model.device, self.model.dtype, self.model.whisper.config
        return (
            torch.zeros(count, 8, SIDE // 8, SIDE // 8, device=device, dtype=dtype),
            torch.zeros(count, 10 * (config.encoder_layers + 1), config.d_model, device=device, dtype=dtype),
            torch.zeros(count, size, size, device=device, dtype=torch.uint8),
            torch.zeros(count, size // 2, size // 2, 2, device=device, dtype=torch.uint8),
            torch.zeros(count, size, size, 2, device=device),
            torch.zeros(count, size, size, device=device),
            torch.zeros(count, device=device),
        )

    def speakers(self, size: int, rounds: int = 4) -> int:
        """How many talks this device can draw for at once, at least one: its frames a second, measured, over 25."""
        count = self.batches[-1]
        began = time.perf_counter()
        for waiting in [self.device.submit(*self._blank(count, size)) for _ in range(rounds)]:
            list(waiting.result()())
        return max(1, int(rounds * count / (time.perf_counter() - began) / FPS))


@dataclass
class MusePortrait:
    """A portrait made ready: n driving frames on the device. `dump` and `restore` carry it to another container.

    latents (n, 8, 32, 32); luma (n, size, size) and chroma (n, size/2, size/2, 2), uint8; mask (n, size, size), 0..1;
    boxes (n, 4): x1, y1, x2, y2 of the face; grid (n, size, size, 2): where in it each pixel of the frame lies, -1..1.
    """

    engine: MuseTalkEngine
    size: int
    latents: Tensor
    luma: Tensor
    chroma: Tensor
    mask: Tensor
    boxes: Tensor
    waits: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.grid = torch.stack([placed(box, self.size) for box in self.boxes.cpu()]).to(self.latents.device)

    def session(self) -> MuseSession:
        return MuseSession(self)

    def dump(self) -> bytes:
        """As safetensors; about 0.7 MB for each driving frame of 512x512. The grid is made anew."""
        from safetensors.torch import save

        kept = {name: getattr(self, name) for name in ("luma", "chroma", "boxes")}
        kept |= {"latents": self.latents.half(), "mask": (self.mask * 255).round().to(torch.uint8)}
        data: bytes = save({name: tensor.cpu().contiguous() for name, tensor in kept.items()})
        return data

    @classmethod
    def restore(cls, engine: MuseTalkEngine, data: bytes) -> MusePortrait:
        """Read what `dump` wrote."""
        from safetensors.torch import load

        found = {name: tensor.to(engine.model.device) for name, tensor in load(data).items()}
        found |= {"latents": found["latents"].to(engine.model.dtype), "mask": found["mask"].float() / 255}
        return cls(engine, found["luma"].shape[1], **found)

    def place(self, frame: int) -> int:
        """Which driving frame is shown at a frame: forth and back."""
        last = len(self.latents) - 1
        return last - abs(frame % (2 * last) - last) if last else 0


class MuseSession:
    """One talk. Not for use from two threads at once."""

    def __init__(self, portrait: MusePortrait) -> None:
        self._portrait, self._engine = portrait, portrait.engine
        self._sound: Samples = np.zeros(0, np.int16)  # from frame `_since` on
        self._since, self._done = 0, 0
        self._activity = VoiceActivity()
        self.behind, self.repeated = False, 0  # the device does the work

    def render(self, speech: Speech) -> Iterator[Pixels]:
        """Take a stretch of speech; yields every frame whose mouth no later sound can change."""
        self._sound = np.concatenate([self._sound, speech.samples])
        whole = self._since + len(self._sound) // PER_FRAME
        yield from self._until(whole - LOOKAHEAD, more=True)

    def finish(self, settle: int = 0) -> Iterator[Pixels]:
        """The frames that were held back, until the last sample is covered, and then `settle` with a closed mouth."""
        self._sound = np.concatenate([self._sound, np.zeros(settle * PER_FRAME, np.int16)])
        yield from self._until(self._since - (-len(self._sound) // PER_FRAME), more=False)

    def _until(self, end: int, *, more: bool) -> Iterator[Pixels]:
        if end <= self._done:
            return
        alphas = self._activity.openness(self._sound, self._since, self._done, end)
        model = self._engine.model
        heard = model.hear(to_hearing(self._sound))
        tokens = model.tokens(heard, self._done - self._since, end - self._done, more=more)
        first = self._done
        waiting: Future[Frames] | None = None
        while first < end or waiting:
            batch = None
            if first < end:
                count = min(self._engine.batches[0 if first == 0 else -1], end - first)
                at = first - self._done
                batch = self._ask(first, tokens[at : at + count], alphas[at : at + count], urgent=first == 0)
                first += count
            if waiting:  # while the device draws the next batch
                yield from waiting.result()()
            waiting = batch
        self._done = end
        self._forget()

    def _ask(self, first: int, tokens: Tensor, alphas: Floats, *, urgent: bool) -> Future[Frames]:
        """Have the frames from `first` on drawn."""
        portrait = self._portrait
        place = to_device(np.array([portrait.place(first + n) for n in range(len(tokens))]), tokens.device)
        return self._engine.device.submit(
            portrait.latents[place], tokens, portrait.luma[place], portrait.chroma[place],
            portrait.grid[place], portrait.mask[place], to_device(alphas, place.device), urgent=urgent,
        )  # fmt: skip

    def _forget(self) -> None:
        """Let go of sound that no later frame is rendered with."""
        keep = max(0, self._done - CONTEXT)
        if keep > self._since:
            self._sound = self._sound[(keep - self._since) * PER_FRAME :]
            self._since = keep


_TO_YUV: list[list[float]] = TO_YUV.tolist()  # numbers, which a compiled graph takes for constants


class _Draw(torch.nn.Module):
    """From latents and tokens to frames, (batch, size * 3 / 2, size), uint8 NV12 as nv12.py has it."""

    def __init__(self, model: MuseTalk) -> None:
        super().__init__()
        self._model = model

    def forward(
        self, latents: Tensor, tokens: Tensor, luma: Tensor, chroma: Tensor, grid: Tensor, mask: Tensor, alpha: Tensor
    ) -> Tensor:
        face = self._model.speak(latents, tokens)  # (batch, 3, 256, 256), 0..255
        laid = F.grid_sample(face, grid, mode="bilinear", padding_mode="border", align_corners=False)
        red, green, blue = laid.unbind(1)
        y, u, v = [of_b * blue + of_g * green + of_r * red + more for of_b, of_g, of_r, more in _TO_YUV]
        weight = mask * alpha[:, None, None]
        light = torch.lerp(luma.float(), y, weight)
        half = F.avg_pool2d(torch.stack([u, v, weight], dim=1), 2)  # (batch, 3, size/2, size/2)
        colour = torch.lerp(chroma.permute(0, 3, 1, 2).float(), half[:, :2], half[:, 2:])
        colour = colour.permute(0, 2, 3, 1).flatten(2)  # (batch, size/2, size): u and v side by side
        return torch.cat([light, colour], dim=1).round().clamp(0, 255).to(torch.uint8)


def placed(box: Tensor, size: int) -> Tensor:
    """Where the centre of each pixel lies in the box, -1..1 from edge to edge: (size, size, 2)."""
    at = torch.arange(size, dtype=torch.float32) + 0.5
    x = (at - box[0]) / (box[2] - box[0]) * 2 - 1
    y = (at - box[1]) / (box[3] - box[1]) * 2 - 1
    return torch.stack([x[None].expand(size, size), y[:, None].expand(size, size)], dim=-1).contiguous()


def _laid(mask: Floats, box: tuple[int, int, int, int], size: int) -> Tensor:
    """The mask in its place in a whole frame."""
    x1, y1, x2, y2 = box
    found = torch.zeros(size, size)
    found[y1:y2, x1:x2] = torch.from_numpy(mask)
    return found


def to_hearing(samples: Samples) -> np.ndarray[Any, np.dtype[np.float32]]:
    """24 kHz 16-bit to 16 kHz floats of -1..1: up by two, a low pass at 7.6 kHz, down by three."""
    doubled = np.zeros(2 * len(samples), np.float32)
    doubled[::2] = samples.astype(np.float32) / 32768
    reach = len(_LOW_PASS) // 2
    filtered = np.convolve(doubled, _LOW_PASS)[reach : reach + len(doubled)]
    return np.ascontiguousarray(filtered[::3], dtype=np.float32)


def _low_pass(taps: int = 97, cut: float = 7600 / 48_000) -> np.ndarray[Any, np.dtype[np.float32]]:
    at = np.arange(taps) - (taps - 1) / 2
    window: np.ndarray[Any, np.dtype[np.float32]] = np.hamming(taps).astype(np.float32)
    return np.asarray(4 * cut * np.sinc(2 * cut * at) * window, np.float32)


_LOW_PASS = _low_pass()
