"""A video of a speaking face that was made elsewhere, as frames for our own video."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import av
import cv2
import numpy as np

from shared.core.errors import ProviderFailed
from shared.lipsync.engine import SETTLE
from shared.lipsync.idle import Paced
from shared.media import image
from shared.media.nv12 import nv12
from shared.media.types import FPS, Pixels


class Clip:
    """Prepared for any number of sessions; see shared/lipsync/engine.py. Its sound is not used: we have the voice."""

    waits = False

    def __init__(self, data: bytes, size: int, neutral: bytes) -> None:
        """neutral: the picture that it begins and ends with. Raises ProviderFailed when it is no video."""
        self.size, self._data = size, data
        self.neutral = self._frame(image.decode(neutral))
        try:
            self._first = next(self.frames())
        except (av.FFmpegError, StopIteration, IndexError) as error:
            raise ProviderFailed("replicate", "Its output is not a video.") from error

    def session(self) -> Paced:
        return Paced(_Player(self).show)

    def frames(self) -> Iterator[tuple[float, Pixels]]:
        """Second and NV12 frame, cut square and at our size."""
        with av.open(BytesIO(self._data), "r") as file:
            for frame in file.decode(file.streams.video[0]):
                yield frame.time or 0.0, self._frame(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8))

    def loop(self, count: int) -> Iterator[Pixels]:
        """So many frames, out of the neutral picture and back into it."""
        show = _Player(self).show
        return (show(number, min(1.0, (count - 1 - number) / SETTLE)) for number in range(count))

    def _frame(self, bgr: Pixels) -> Pixels:
        height, width = bgr.shape[:2]
        side = min(height, width)
        x, y = (width - side) // 2, (height - side) // 4
        luma, chroma = nv12(cv2.resize(bgr[y : y + side, x : x + side], (self.size, self.size)))
        return np.concatenate([luma, chroma.reshape(self.size // 2, self.size)])


class _Player:
    """At each moment the frame that the video shows then; its last one after its end.

    It comes out of the neutral picture and goes back into it: other models' people move from first to last.
    """

    def __init__(self, clip: Clip) -> None:
        self._neutral = clip.neutral
        self._frames = clip.frames()
        self._shown = self._next = next(self._frames)

    def show(self, number: int, ease: float) -> Pixels:
        while self._next[0] <= number / FPS + 1e-3:
            self._shown = self._next
            self._next = next(self._frames, (float("inf"), self._shown[1]))
        weight = min(ease, number / SETTLE)
        if weight >= 1:
            return self._shown[1].copy()
        return np.asarray(cv2.addWeighted(self._shown[1], weight, self._neutral, 1 - weight, 0), np.uint8)
