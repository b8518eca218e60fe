"""The `cpu` engine: a still picture speaks, blinks, looks and moves its head. No GPU; two processor cores do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shared.lipsync import visemes
from shared.lipsync.cpu.eyes import EyeRig
from shared.lipsync.cpu.head import HeadField
from shared.lipsync.cpu.motion import Hearing, Look, Motion
from shared.lipsync.cpu.mouth import MouthRig
from shared.lipsync.engine import Style
from shared.lipsync.face import Face
from shared.lipsync.picture import Picture, head
from shared.lipsync.visemes import Cue, Mouth
from shared.media.nv12 import nv12
from shared.media.types import FPS, PER_FRAME, RATE, Floats, Pixels, Samples, Speech, Timing

LOOKAHEAD = 3  # frames: a mouth already shapes the sound that comes next
CHIN = 0.68  # of a gap, by which the chin goes down with it: see mouth.py
_HISTORY = 2.0  # seconds of words and loudness that still matter


class CpuEngine:
    """Renders on the processor. See shared/lipsync/engine.py for the protocol."""

    name = "cpu"

    def prepare(self, picture: Picture, size: int = 512, style: Style | None = None) -> CpuPortrait:
        """Crop to head and shoulders and build the rig: about 50 ms at 512. size: even, in pixels."""
        return CpuPortrait(picture.bgr, picture.face, size, style or Style())


class CpuPortrait:
    """A prepared picture: its planes, its mouth and eyes in all shapes drawn so far, its ways to move."""

    waits = False

    def __init__(self, bgr: Pixels, face: Face, size: int, style: Style) -> None:
        self.size, self.style = size, style
        still, placed = head(bgr, face, size)
        points = placed.pixels(size, size)
        self.mouth, self._field = MouthRig(still, points), HeadField(points, size)
        self.eyes = EyeRig(still, points, glasses="glasses" in face.warnings)
        self.sees = not {"sunglasses", "closed_eyes"} & set(face.warnings)
        self.chin = CHIN * self.mouth.unit / self._field.span
        self.luma, self.chroma = nv12(still)

    def session(self) -> CpuSession:
        return CpuSession(self)

    @property
    def kept_bytes(self) -> int:
        """Memory of what was drawn ahead and is kept."""
        return self.mouth.kept_bytes + self.eyes.kept_bytes

    def frame(self, mouth: Mouth, speaking: float, look: Look) -> Pixels:
        """One frame: mouth and eyes pasted, then the whole picture moved by the pose."""
        luma, chroma = self.luma.copy(), self.chroma.copy()
        if shape := self.mouth.patch(mouth, speaking):
            shape.paste(luma, chroma)
        for eye in self.eyes.patches(look.shut, look.aside, look.up):
            eye.paste(luma, chroma)
        size = self.size
        out = np.empty((size * 3 // 2, size), np.uint8)
        places = self._field.places(look.pose)
        self._field.warped(luma, places, out[:size])
        self._field.warped(chroma, places, out[size:].reshape(size // 2, size // 2, 2))
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
        self._loudness = _Loudness()
        self._motion = Motion(int(portrait.luma[::16, ::16].sum()), portrait.style, eyes=portrait.sees)
        self._speaking, self._voiced = 0.0, False
        self.behind, self.repeated = False, 0
        self._last: Pixels | None = None  # drawn, and not shown twice yet

    def render(self, speech: Speech) -> Iterator[Pixels]:
        """Take a stretch of speech; yields every frame whose mouth no later sound can change."""
        start = self._samples / RATE
        if speech.timings:
            self._written = speech.written
            self._timings += [Timing(t.symbol, start + t.start, start + t.end) for t in speech.timings]
        else:
            self._heard += visemes.from_sound(speech.samples, RATE, start)
        self._samples += len(speech.samples)
        self._loudness.add(speech.samples)
        yield from self._until(self._samples // PER_FRAME - LOOKAHEAD)

    def finish(self, settle: int = 0) -> Iterator[Pixels]:
        """The frames that were held back, until the last sample is covered, and then `settle` more."""
        yield from self._until(-(-self._samples // PER_FRAME) + settle, last=True)

    def _until(self, end: int, *, last: bool = False) -> Iterator[Pixels]:
        count = end - self._done
        if count <= 0:
            return
        horizon = self._done / FPS - _HISTORY
        self._timings = [timing for timing in self._timings if timing.end > horizon]
        self._heard = [cue for cue in self._heard if cue.end > horizon]
        read = visemes.from_phonemes if self._written == "phonemes" else visemes.from_characters
        cues = sorted([*self._heard, *read(self._timings)], key=_start)
        shapes, jaws = visemes.curves(cues, self._done, count, FPS)
        for row, jaw in zip(shapes, jaws, strict=True):
            remaining = end - self._done - 1 if last else None
            yield self._frame(Mouth(*(float(value) for value in row)), float(jaw), _voiced(cues, self._done), remaining)
            self._done += 1

    def _frame(self, mouth: Mouth, jaw: float, voiced: bool, remaining: int | None) -> Pixels:
        # The mouth is let go quickly before a word and slowly after it.
        self._speaking += float(np.clip(float(voiced) - self._speaking, -1 / 6, 1 / 2))
        speaking = self._speaking if remaining is None else min(self._speaking, remaining / 3)
        if remaining is not None:
            mouth = mouth._replace(gap=mouth.gap * min(1.0, remaining / 2))
        hearing = Hearing(voiced, self._loudness.accent(self._done), self._voiced and not voiced)
        self._voiced = voiced
        look = self._motion.step(hearing, remaining)
        last, self._last = self._last, None
        if self.behind and last is not None and remaining is None:
            self.repeated += 1
            return last
        look_jaw = self._portrait.chin * (jaw - mouth.gap) * speaking
        moved_look = Look(look.shut, look.aside, look.up, look.pose._replace(jaw=look_jaw))
        frame = self._last = self._portrait.frame(mouth, speaking, moved_look)
        return frame


class _Loudness:
    """Loudness of each frame, to tell stressed syllables by."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.int16)
        self._first, self._frames = 0, np.zeros(0, np.float32)

    def add(self, samples: Samples) -> None:
        joined = np.concatenate([self._rest, samples])
        whole = len(joined) // PER_FRAME * PER_FRAME
        loud = np.sqrt((joined[:whole].reshape(-1, PER_FRAME).astype(np.float32) ** 2).mean(axis=1))
        self._frames, self._rest = np.concatenate([self._frames, loud]), joined[whole:]

    def accent(self, frame: int) -> bool:
        """Whether a frame is the loudest around it and louder than the words before."""
        if frame - self._first > 20 * FPS:  # what no later frame is compared with is forgotten
            cut = frame - self._first - 10 * FPS
            self._first, self._frames = self._first + cut, self._frames[cut:]
        at = frame - self._first
        near = self._frames[max(0, at - LOOKAHEAD) : at + LOOKAHEAD + 1]
        before: Floats = self._frames[max(0, at - 2 * FPS) : at + 1]
        if at >= len(self._frames) or len(before) < 5:
            return False
        level = float(self._frames[at])
        return level > 300 and level >= float(near.max()) and level > 1.2 * float(before.mean())


def _start(cue: Cue) -> float:
    return cue.start


def _voiced(cues: list[Cue], frame: int) -> bool:
    """Whether a sound is made from four frames before to two after."""
    first, last = (frame - 4) / FPS, (frame + 3) / FPS
    return any(cue.start < last and cue.end > first for cue in cues)
