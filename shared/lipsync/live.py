"""A face for a voice agent in its own process (integrations/): sound in, pictures with their sound out."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from shared.lipsync.cpu.engine import CpuEngine
from shared.lipsync.engine import SETTLE, Session, Style
from shared.lipsync.idle import Idle
from shared.lipsync.picture import read_picture
from shared.media.types import FPS, PER_FRAME, RATE, Pixels, Speech

Pair = tuple[Pixels, bytes]  # NV12 (size * 3 / 2, size), and the 40 ms of sound that it shows
FRAME_BYTES = 2 * PER_FRAME
# Frames heard at once: loudness is judged within such a stretch. Against hearing all of it, mouths correlate by 0.79 at
# one frame, 0.93 at five, 0.97 at ten, 0.99 at twenty-five.
_STRETCH = 10
_FADE = 4  # frames from one way of moving to another


class LiveFace:
    """One persona in one conversation. One thread at a time feeds, flushes or idles; `reset` may come from another."""

    fps, sample_rate = FPS, RATE

    def __init__(
        self, portrait: bytes, size: int = 512, style: Style | None = None, *, generated: bool = False
    ) -> None:
        """portrait: a PNG, JPEG or WebP. size: of the square picture, even. generated: made by a model, not a photo.

        Takes 0.1 to 0.5 s. Raises PictureUnusable; FaceModelsMissing, which says how they are fetched.
        """
        picture, style = read_picture(portrait, generated=generated), style or Style()
        self.size = size
        self._portrait = CpuEngine().prepare(picture, size, style)
        self._idle = Idle(picture.bgr, picture.face, size, style)
        self._utterance = _Utterance(self._portrait.session())
        self._settling: Iterator[Pixels] = iter(())
        self._idled = 0
        self._fade = _Fade()

    def feed(self, pcm: bytes) -> list[Pair]:
        """Take mono 16-bit sound at `sample_rate`, of any length; gives the pairs that no later sound can change."""
        utterance = self._utterance  # a reset puts another one in its place
        self._settling, self._idled = iter(()), 0
        return [(self._fade.to("talk", frame), sound) for frame, sound in utterance.feed(pcm)]

    def flush(self) -> list[Pair]:
        """An utterance is over: the rest of it, the last pair filled up with silence. `idle` brings it to rest then."""
        utterance, self._utterance = self._utterance, _Utterance(self._portrait.session())
        pairs, self._settling = utterance.flush()
        return [(self._fade.to("talk", frame), sound) for frame, sound in pairs]

    def reset(self) -> None:
        """Forget what was fed and not given back: somebody interrupted."""
        self._utterance, self._settling, self._idled = _Utterance(self._portrait.session()), iter(()), 0
        self._fade.cut()

    def idle(self) -> Pixels:
        """The next frame of a persona that listens."""
        if (frame := next(self._settling, None)) is not None:
            return self._fade.to("talk", frame)
        self._idled += 1
        return self._fade.to("idle", self._idle.frame(self._idled - 1))


class _Utterance:
    """What one utterance has of the engine."""

    def __init__(self, session: Session) -> None:
        self._session, self._new, self._unshown = session, bytearray(), bytearray()

    def feed(self, pcm: bytes) -> list[Pair]:
        self._new += pcm
        whole = len(self._new) // (_STRETCH * FRAME_BYTES) * _STRETCH * FRAME_BYTES
        return self._paired(self._rendered(whole)) if whole else []

    def flush(self) -> tuple[list[Pair], Iterator[Pixels]]:
        """The last pairs, and the frames in which it comes to rest."""
        if not (self._new or self._unshown):
            return [], iter(())
        self._new += bytes(-len(self._new) % FRAME_BYTES)
        frames = [*self._rendered(len(self._new))]
        rest = self._session.finish(SETTLE)
        while len(frames) * FRAME_BYTES < len(self._unshown):
            frames.append(next(rest))
        return self._paired(iter(frames)), rest

    def _rendered(self, size: int) -> Iterator[Pixels]:
        stretch, self._new = bytes(self._new[:size]), self._new[size:]
        self._unshown += stretch
        return self._session.render(Speech(np.frombuffer(stretch, np.int16)))

    def _paired(self, frames: Iterator[Pixels]) -> list[Pair]:
        pairs = []
        for frame in frames:
            pairs.append((frame, bytes(self._unshown[:FRAME_BYTES])))
            del self._unshown[:FRAME_BYTES]
        return pairs


class _Fade:
    """Blends the first frames after a change of what moves the face with the last frame before it."""

    def __init__(self) -> None:
        self._source, self._step = "", _FADE
        self._from: Pixels | None = None
        self._last: Pixels | None = None

    def cut(self) -> None:
        """What comes next follows the last frame, whatever it is."""
        self._source = "cut"

    def to(self, source: str, frame: Pixels) -> Pixels:
        if source != self._source:
            self._source, self._from, self._step = source, self._last, 0
        self._step += 1
        if self._from is not None and self._step <= _FADE:
            share = self._step / (_FADE + 1)
            frame = np.asarray(cv2.addWeighted(frame, share, self._from, 1 - share, 0), np.uint8)
        self._last = frame
        return frame
