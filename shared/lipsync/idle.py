"""A persona that listens or thinks: a seamless loop, and what is shown with a voice when no lips can be moved.

Every movement is a sum of sines with whole periods, or lies inside the loop: its first and its last frame are the
neutral pose, in which every talk begins and ends.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from typing import Literal

import cv2
import numpy as np

from shared.lipsync.arrays import smoothstep
from shared.lipsync.cpu.engine import CpuPortrait
from shared.lipsync.cpu.head import Pose
from shared.lipsync.cpu.motion import BLINK, Look
from shared.lipsync.engine import Style
from shared.lipsync.face import Face
from shared.lipsync.picture import head
from shared.lipsync.visemes import Mouth
from shared.media.nv12 import nv12
from shared.media.types import FPS, PER_FRAME, Pixels, Speech

log = logging.getLogger("personaforge.idle")
Mood = Literal["listening", "thinking"]
# Frames. Longer than most people watch before they speak, so that the loop is not noticed; breaths of about 4 s, as at
# rest (12 to 16 a minute), go into both.
FRAMES: dict[Mood, int] = {"listening": 320, "thinking": 160}
_BREATH_FRAMES = 107
_BREATH = 0.026  # eye distances
_REACH = 2.0  # at a liveliness of 1, of the sway below, which is of 0.5
# (radians or eye distances, periods in a loop of 320 frames): half of what a speaker moves, and slower.
_SWAY = {
    "yaw": ((0.020, 2), (0.010, 4)),
    "pitch": ((0.011, 2), (0.006, 6)),
    "roll": ((0.008, 2), (0.004, 4)),
    "aside": ((0.012, 2), (0.005, 6)),
}
_BLINKS = {"listening": 4, "thinking": 1}  # about 19 a minute: people who listen blink less than who speak
_GLANCES = {"viewer": 0, "natural": 1, "wandering": 3}


class Idle:
    """A prepared picture; see shared/lipsync/engine.py for the protocol. Also without a face that can be moved."""

    waits = False

    def __init__(self, bgr: Pixels, face: Face | None, size: int, style: Style, mood: Mood = "listening") -> None:
        """bgr: the portrait. face: None when it is not known: all of it breathes then. size: even, in pixels."""
        self.size, self.frames = size, FRAMES[mood]
        self._still = head(bgr, face, size)[0] if face else _square(bgr, size)
        self._portrait: CpuPortrait | None = None
        self._motion = _Motion(int(self._still[::16, ::16].sum()), style, mood)
        if face:
            try:
                self._portrait = CpuPortrait(bgr, face, size, style)
                self._portrait.frame(Mouth(), 0.0, self._motion.look(self.frames // 2, 1.0))
            except Exception:
                log.exception("a face cannot be moved; the whole picture breathes instead")
                self._portrait = None

    def session(self) -> Paced:
        return Paced(self.frame)

    def loop(self) -> Iterator[Pixels]:
        """Every frame once."""
        return (self.frame(number) for number in range(self.frames))

    def frame(self, number: int, ease: float = 1.0) -> Pixels:
        """NV12, (size * 3 / 2, size). number: counted on from loop to loop. ease: 0 for the neutral pose."""
        if self._portrait is None:
            return self._breathing(number, ease)
        look = self._motion.look(number % self.frames, ease)
        if not self._portrait.sees:
            look = Look(0.0, 0.0, 0.0, look.pose)
        return self._portrait.frame(Mouth(), 0.0, look)

    def _breathing(self, number: int, ease: float) -> Pixels:
        """The picture grows by a fiftieth and shrinks again, about its lower edge."""
        size = self.size
        zoom = 1 + 0.02 * ease * self._motion.breath(number % self.frames)
        matrix = np.array([[zoom, 0, (1 - zoom) * size / 2], [0, zoom, (1 - zoom) * size]], np.float32)
        luma, chroma = nv12(cv2.warpAffine(self._still, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE))
        return np.concatenate([luma, chroma.reshape(size // 2, size)])


class Paced:
    """One talk in which nothing follows the speech but how long it lasts: `show` gives the frame of each number.

    Its second argument eases from 1 to 0 while it comes to rest.
    """

    def __init__(self, show: Callable[[int, float], Pixels]) -> None:
        self._show, self._samples, self._done = show, 0, 0
        self.behind, self.repeated = False, 0

    def render(self, speech: Speech) -> Iterator[Pixels]:
        self._samples += len(speech.samples)
        yield from self._until(self._samples // PER_FRAME)

    def finish(self, settle: int = 0) -> Iterator[Pixels]:
        end = -(-self._samples // PER_FRAME)
        yield from self._until(end)
        for frame in range(1, settle + 1):
            yield self._show(self._done, float(smoothstep(np.float32(1 - frame / settle))))
            self._done += 1

    def _until(self, end: int) -> Iterator[Pixels]:
        while self._done < end:
            yield self._show(self._done, 1.0)
            self._done += 1


class _Motion:
    """How a face that does not speak moves, frame by frame, from a seed."""

    def __init__(self, seed: int, style: Style, mood: Mood) -> None:
        lot = np.random.default_rng(seed)
        self._frames, self._much = FRAMES[mood], _REACH * style.liveliness
        self._signs = {name: [float(lot.choice((-1, 1))) for _ in waves] for name, waves in _SWAY.items()}
        shares = (np.arange(_BLINKS[mood]) + lot.uniform(0.25, 0.75, _BLINKS[mood])) / _BLINKS[mood]
        self._blinks = [round(float(share) * (self._frames - 2 * len(BLINK))) + len(BLINK) // 2 for share in shares]
        side = float(lot.choice((-1, 1)))
        if mood == "thinking":  # up and aside, and a second place further up, until shortly before the end
            middle = round(self._frames * float(lot.uniform(0.45, 0.6)))
            self._glances = [(6, middle, 0.8 * side, 0.5), (middle, self._frames - 10, 0.5 * side, 0.9)]
            self._blinks = [middle - 2]
        else:
            count = _GLANCES[style.gaze]
            starts = (np.arange(count) + lot.uniform(0.2, 0.6, count)) / max(1, count) * (self._frames - 60)
            self._glances = [
                (round(float(at)) + 10, round(float(at)) + 10 + round(FPS * float(lot.uniform(0.6, 1.3))),
                 float(lot.choice((-1, 1)) * lot.uniform(0.4, 0.9)), float(lot.uniform(-0.5, 0.5)))
                for at in starts
            ]  # fmt: skip
        self._tilt = 0.03 * side if mood == "thinking" else 0.0

    def breath(self, frame: int) -> float:
        """0 at both ends of the loop, 1 when full."""
        breaths = max(1, round(self._frames / _BREATH_FRAMES))
        return 0.5 - 0.5 * math.cos(breaths * self._turn(frame))

    def look(self, frame: int, ease: float) -> Look:
        """frame: of the loop. ease: 0 for the neutral pose."""
        turn, scale = self._turn(frame), self._frames / FRAMES["listening"]
        sway = {
            name: ease * self._much * sum(
                sign * size * math.sin(max(1, round(periods * scale)) * turn)
                for sign, (size, periods) in zip(self._signs[name], waves, strict=True)
            )
            for name, waves in _SWAY.items()
        }  # fmt: skip
        aside, up, followed = self._gaze(frame)
        away = 0.5 - 0.5 * math.cos(turn)
        sway["roll"] += ease * self._tilt * away
        sway["yaw"] += ease * 0.03 * followed
        breath = ease * _BREATH * (0.5 + self._much / 2) * self.breath(frame)
        return Look(min(self._shut(frame), ease), ease * aside, ease * up, Pose(**sway, breath=breath))

    def _turn(self, frame: int) -> float:
        """2 pi at the last frame, which shows what the first one does."""
        return 2 * math.pi * frame / (self._frames - 1)

    def _shut(self, frame: int) -> float:
        for blink in self._blinks:
            if 0 <= frame - blink < len(BLINK):
                return BLINK[frame - blink]
        return 0.0

    def _gaze(self, frame: int) -> tuple[float, float, float]:
        """Aside and up, jumping within one frame as eyes do; and how far the head follows, which takes its time."""
        aside = up = followed = 0.0
        for first, last, x, y in self._glances:
            if first <= frame < last:
                aside, up = x, y
            rise = smoothstep(np.float32((frame - first) / 12)) * smoothstep(np.float32((last + 8 - frame) / 12))
            followed += x * float(rise)
        return aside, up, followed


def _square(bgr: Pixels, size: int) -> Pixels:
    height, width = bgr.shape[:2]
    side = min(height, width)
    x, y = (width - side) // 2, (height - side) // 4  # heads are in the upper part
    return np.asarray(cv2.resize(bgr[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_AREA), np.uint8)
