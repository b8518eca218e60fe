"""What a face does while it speaks and listens, besides the mouth: it sways, looks, blinks, nods.

Everything follows from a seed and from the speech, frame by frame, so that a talk cut into pieces moves as a whole one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from shared.lipsync.cpu.head import Pose
from shared.lipsync.engine import Style
from shared.media.types import FPS

# One blink at 25 frames a second, closing faster than opening.
BLINK = (0.45, 1.0, 1.0, 0.75, 0.45, 0.2)
# Seconds from blink to blink, log-normal: 26 a minute in conversation (Bentivoglio 1997: 150 people).
BLINK_MEDIAN, BLINK_SPREAD, BLINK_LEAST = 2.1, 0.45, 0.9
NOD, NOD_FRAMES = 0.018, 5  # radians; half of its length, frames
BROW_RAISE = 0.045  # eye distances, with every third nod
ACCENT_LEAST = 14  # frames between stressed words that are nodded to
ENTER = 0.8  # seconds from the neutral pose, in which every talk begins, to full motion

# (radians or eye distances, period in seconds) of each way to move; no two periods have a short common multiple.
_SWAY = {
    "yaw": ((0.028, 5.93), (0.016, 2.39), (0.014, 13.7)),
    "pitch": ((0.015, 4.17), (0.009, 1.73), (0.008, 11.3)),
    "roll": ((0.012, 7.31), (0.008, 3.07)),
    "aside": ((0.016, 6.47), (0.007, 3.61)),
    "down": ((0.008, 5.09),),
}
_BREATH, _BREATH_PERIOD = 0.016, 3.83


@dataclass(frozen=True)
class Hearing:
    """What the speech does at a frame."""

    voiced: bool = False
    accent: bool = False  # a stressed syllable is at its loudest
    phrase_end: bool = False  # the voice has just stopped


@dataclass(frozen=True)
class Look:
    """lids shut 0..1, gaze to the viewer's right and up -1..1, and the head's pose."""

    shut: float
    aside: float
    up: float
    pose: Pose


class Motion:
    """One talk. Call `step` once for each frame, in order."""

    def __init__(self, seed: int, style: Style, *, eyes: bool = True) -> None:
        """eyes: False where they cannot be seen, or are closed: they neither blink nor look."""
        self._lot = np.random.default_rng(seed)
        self._style, self._eyes = style, eyes
        self._phases = {
            name: [float(phase) for phase in self._lot.uniform(0, 2 * math.pi, len(waves))]
            for name, waves in _SWAY.items()
        }
        self._frame = 0
        self._ending = 0  # frames from which the end is known
        self._energy = 0.0  # how much of its motion speech adds, 0..1
        self._blink_at = round(self._interval() * FPS)
        self._nods: list[tuple[int, bool]] = []
        self._accents, self._last_accent = 0, -ACCENT_LEAST
        self._last_blink = -FPS
        self._gaze, self._followed = (0.0, 0.0), 0.0  # where the eyes look; how far the head has followed
        self._gaze_until = self._hold()

    def step(self, hearing: Hearing, remaining: int | None = None) -> Look:
        """The next frame. remaining: frames that follow it, where the end is known: the last one is neutral."""
        frame, t = self._frame, self._frame / FPS
        self._frame += 1
        self._energy += (0.12 if hearing.voiced else 0.05) * (float(hearing.voiced) - self._energy)
        ease = min(1.0, t / ENTER)
        ease = ease * ease * (3 - 2 * ease)
        if remaining is not None:
            self._ending = self._ending or remaining + 1
            rest = remaining / self._ending
            ease *= rest * rest * (3 - 2 * rest)
        self._look_about(frame)
        shut = self._blink(frame, hearing, begins=remaining is None)
        if remaining is not None:  # where less than a blink was left when the end became known
            shut = min(shut, remaining / 4)
        aside, up = (ease * value for value in self._gaze) if self._eyes else (0.0, 0.0)
        return Look(shut if self._eyes else 0.0, aside, up, self._pose(frame, t, ease, hearing))

    def _pose(self, frame: int, t: float, ease: float, hearing: Hearing) -> Pose:
        lively = 2 * self._style.liveliness
        much = ease * lively * (0.75 + 0.45 * self._energy)
        sway = {
            name: much * sum(
                size * math.sin(2 * math.pi * t / period + phase)
                for (size, period), phase in zip(waves, self._phases[name], strict=True)
            )
            for name, waves in _SWAY.items()
        }  # fmt: skip
        if hearing.accent and frame - self._last_accent >= ACCENT_LEAST:
            self._last_accent, self._accents = frame, self._accents + 1
            self._nods.append((frame + 2, self._accents % 3 == 0))
        self._nods = [nod for nod in self._nods if nod[0] + NOD_FRAMES >= frame]
        nod = brows = 0.0
        for at, raised in self._nods:
            bump = (
                max(0.0, math.cos(math.pi / 2 * (frame - at) / NOD_FRAMES)) ** 2
                if abs(frame - at) <= NOD_FRAMES
                else 0.0
            )
            nod += NOD * bump
            brows += BROW_RAISE * bump * raised
        sway["pitch"] += ease * lively * nod
        # The head goes along a little where the eyes look.
        sway["yaw"] += ease * 0.02 * self._followed * lively
        breath = ease * _BREATH * min(1.0, 0.5 + lively / 2) * 0.5 * (1 - math.cos(2 * math.pi * t / _BREATH_PERIOD))
        return Pose(**sway, breath=breath, brows=ease * min(1.5, lively) * brows)

    def _interval(self) -> float:
        """Seconds until the next blink that nothing calls for."""
        return max(BLINK_LEAST, float(self._lot.lognormal(math.log(BLINK_MEDIAN), BLINK_SPREAD)))

    def _blink(self, frame: int, hearing: Hearing, begins: bool) -> float:
        """begins: whether one may begin: a face that comes to rest keeps its eyes open."""
        since = frame - self._blink_at
        if since <= 0 and not begins:
            self._blink_at = frame + 1  # and in the next frame once more
            return 0.0
        if since >= len(BLINK):
            self._blink_at = frame + round(self._interval() * FPS)
        elif since < 0 and hearing.phrase_end and self._lot.random() < 0.7 and self._rested(frame):
            self._blink_at = frame
        if 0 <= frame - self._blink_at < len(BLINK):
            self._last_blink = frame
            return BLINK[frame - self._blink_at]
        return 0.0

    def _rested(self, frame: int) -> bool:
        return frame - self._last_blink >= BLINK_LEAST * FPS

    def _hold(self) -> int:
        """Frames until the gaze shifts."""
        return round(FPS * min(5.0, max(1.0, float(self._lot.lognormal(0.7, 0.4)))))

    def _look_about(self, frame: int) -> None:
        """Jumps within one frame; back to the viewer most of the time."""
        self._followed = 0.85 * self._followed + 0.15 * self._gaze[0]
        if frame < self._gaze_until or self._style.gaze == "viewer":
            return
        away = self._gaze == (0.0, 0.0) and self._lot.random() < (0.85 if self._style.gaze == "wandering" else 0.45)
        if away:
            side = self._lot.choice((-1.0, 1.0))
            self._gaze = (float(side * self._lot.uniform(0.4, 1.0)), float(self._lot.uniform(-0.6, 0.8)))
            self._gaze_until = frame + round(FPS * float(self._lot.uniform(0.5, 1.4)))
        else:
            self._gaze, self._gaze_until = (0.0, 0.0), frame + self._hold()
        if self._rested(frame) and frame < self._blink_at and self._lot.random() < 0.3:
            self._blink_at = frame
