"""The `cpu` engine: a still picture speaks, blinks, breathes and moves its head a little. No weights, no GPU."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

from shared.lipsync import visemes
from shared.lipsync.arrays import Floats, Pixels, floats
from shared.lipsync.engine import FPS, PER_FRAME, RATE, Speech
from shared.lipsync.face import Face
from shared.lipsync.mouth import Eyelids, Lips, nv12
from shared.lipsync.picture import Picture, head
from shared.lipsync.visemes import Cue, Mouth, Timing

LOOKAHEAD = 3  # frames: a mouth already shapes the sound that comes next
_GRID = 24  # head motion is smooth: a coarse field is enough


class CpuEngine:
    """Renders on the processor. See shared/lipsync/engine.py for the protocol."""

    name = "cpu"

    def prepare(self, picture: Picture, size: int = 512) -> CpuPortrait:
        """Crop to head and shoulders and find lips and eyes. About 15 ms at 512; size is even, in pixels."""
        return CpuPortrait(picture.bgr, picture.face, size)


class CpuPortrait:
    """A prepared picture: its planes, its lips and eyelids in all shapes drawn so far, its way of moving."""

    waits = False

    def __init__(self, bgr: Pixels, face: Face, size: int) -> None:
        self.size = size
        still, placed = head(bgr, face, size)
        points = placed.pixels(size, size)
        self.lips, self.eyelids = Lips(still, points), Eyelids(still, points)
        self.luma, self.chroma = nv12(still)
        self._points = points
        self._basis = _motion_basis(points, size)
        ys, xs = np.mgrid[0:size, 0:size].astype(np.float32)
        self._grid = np.dstack([xs, ys])
        self._half_grid = np.ascontiguousarray(self._grid[: size // 2, : size // 2])

    def session(self) -> CpuSession:
        return CpuSession(self)

    def frame(self, mouth: Mouth, shut: float, pose: Floats) -> Pixels:
        """One frame: mouth and lids pasted, then the whole picture moved by `pose` (see _motion_basis)."""
        luma, chroma = self.luma.copy(), self.chroma.copy()
        self.lips.patch(mouth).paste(luma, chroma)
        for lid in self.eyelids.patches(shut):
            lid.paste(luma, chroma)
        size = self.size
        field = np.tensordot(pose, self._basis, axes=1).astype(np.float32)
        out = np.empty((size * 3 // 2, size), np.uint8)
        full = cv2.resize(field, (size, size), interpolation=cv2.INTER_LINEAR)
        cv2.add(full, self._grid, dst=full)
        cv2.remap(luma, full, None, cv2.INTER_LINEAR, dst=out[:size], borderMode=cv2.BORDER_REPLICATE)
        half = cv2.resize(field * 0.5, (size // 2, size // 2), interpolation=cv2.INTER_LINEAR)
        cv2.add(half, self._half_grid, dst=half)
        moved = cv2.remap(chroma, half, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        out[size:] = moved.reshape(size // 2, size)
        return out


class CpuSession:
    """One talk of a prepared picture. Not for use from two threads at once."""

    def __init__(self, portrait: CpuPortrait) -> None:
        self._portrait = portrait
        self._timings: list[Timing] = []
        self._written: str = "characters"
        self._heard: list[Cue] = []
        self._samples = 0
        self._done = 0
        self._blinks = _blinks(seed=int(portrait.luma[::16, ::16].sum()))
        self._lively = 0.0

    def render(self, speech: Speech) -> Iterator[Pixels]:
        """Take a stretch of speech; yields every frame whose mouth no later sound can change."""
        start = self._samples / RATE
        if speech.timings:
            self._written = speech.written
            self._timings += [Timing(t.symbol, start + t.start, start + t.end) for t in speech.timings]
        else:
            self._heard += visemes.from_sound(speech.samples, RATE, start)
        self._samples += len(speech.samples)
        yield from self._until(self._samples // PER_FRAME - LOOKAHEAD)

    def finish(self) -> Iterator[Pixels]:
        """The frames that were held back, until the last sample is covered."""
        yield from self._until(-(-self._samples // PER_FRAME))

    def _until(self, end: int) -> Iterator[Pixels]:
        count = end - self._done
        if count <= 0:
            return
        horizon = self._done / FPS - 2.0  # words further back no longer move the mouth
        self._timings = [timing for timing in self._timings if timing.end > horizon]
        self._heard = [cue for cue in self._heard if cue.end > horizon]
        read = visemes.from_phonemes if self._written == "phonemes" else visemes.from_characters
        curves = visemes.curves(sorted([*self._heard, *read(self._timings)], key=_start), self._done, count, FPS)
        for row in curves:
            mouth = Mouth(*(float(value) for value in row))
            self._lively += 0.08 * (float(mouth.open > 0.15) - self._lively)
            pose = _pose(self._done / FPS, self._lively) * (self._portrait.size / 512)
            yield self._portrait.frame(mouth, self._blinks(self._done), pose)
            self._done += 1


def _start(cue: Cue) -> float:
    return cue.start


def _motion_basis(points: Floats, size: int) -> Floats:
    """Displacement fields, shape (5, grid, grid, 2): head sideways, down, roll, turn; shoulders up (breath).

    Each is scaled so that a pose value of 1 moves its fastest part by about one pixel. All vanish at the rim.
    """
    ticks = (np.arange(_GRID, dtype=np.float32) + 0.5) * size / _GRID
    x, y = np.meshgrid(ticks, ticks)
    centre, span = points.mean(axis=0), float(np.hypot(*(points[1] - points[0])))
    dx, dy = (x - centre[0]) / span, (y - centre[1]) / span
    rim = np.clip(np.minimum.reduce([x, y, size - x, size - y * 0]) / (0.12 * size), 0, 1)
    head = np.exp(-((dx / 2.0) ** 4)) * np.exp(-((np.where(dy > 0, dy / 1.7, dy / 2.6)) ** 4)) * rim
    turn = np.exp(-(dx**2) / 0.9 - dy**2 / 1.4) * rim
    body = np.clip((y / size - 0.62) / 0.2, 0, 1) * rim
    none = np.zeros_like(head)
    fields = [(head, none), (none, head), (-head * dy / 2, head * dx / 2), (turn, none), (none, body)]
    return np.stack([np.dstack(pair) for pair in fields]).astype(np.float32)


def _pose(t: float, lively: float) -> Floats:
    """Where the head is at `t` seconds, in pixels at 512: slow, never repeating, stronger while speaking."""

    def wave(*parts: tuple[float, float, float]) -> float:
        return sum(size * math.sin(2 * math.pi * (t / period + phase)) for size, period, phase in parts)

    more = 0.6 + 0.7 * lively
    return floats(
        [
            more * wave((1.6, 5.3, 0.0), (0.7, 2.9, 0.3)),
            more * wave((1.3, 4.1, 0.2), (0.8, 1.7, 0.6)),
            more * wave((1.9, 7.1, 0.1), (0.9, 3.3, 0.7)),
            more * wave((1.2, 6.1, 0.5), (0.6, 2.3, 0.1)),
            1.5 * math.sin(2 * math.pi * t / 3.9),
        ]
    )


class _blinks:  # used as a function of the frame number
    """How far the lids are shut at a frame; a blink every two to five seconds."""

    SHAPE = (0.35, 0.85, 1.0, 0.8, 0.45, 0.15)

    def __init__(self, seed: int) -> None:
        self._lot = np.random.default_rng(seed)
        self._next = int(self._lot.integers(25, 70))

    def __call__(self, frame: int) -> float:
        if frame >= self._next + len(self.SHAPE):
            self._next = frame + int(self._lot.integers(50, 125))
        since = frame - self._next
        return self.SHAPE[since] if 0 <= since < len(self.SHAPE) else 0.0
