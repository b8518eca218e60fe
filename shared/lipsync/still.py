"""A still picture that breathes: what is shown with a voice when no lips can be moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from shared.media.nv12 import nv12
from shared.media.types import FPS, PER_FRAME, Pixels, Speech


class Still:
    """A prepared picture; see shared/lipsync/engine.py for the protocol. Needs no face."""

    waits = False

    def __init__(self, bgr: Pixels, size: int) -> None:
        self.size = size
        height, width = bgr.shape[:2]
        side = min(height, width)
        x, y = (width - side) // 2, (height - side) // 4  # heads are in the upper part
        self._square = cv2.resize(bgr[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_AREA)

    def session(self) -> Paced:
        return Paced(self.frame)

    def frame(self, number: int) -> Pixels:
        """NV12. Grows and shrinks by a hundredth every four seconds."""
        size = self.size
        zoom = 1.015 + 0.01 * math.sin(2 * math.pi * number / (4 * FPS))
        shift = (1 - zoom) * size / 2
        matrix = np.array([[zoom, 0, shift], [0, zoom, shift]], np.float32)
        luma, chroma = nv12(cv2.warpAffine(self._square, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE))
        return np.concatenate([luma, chroma.reshape(size // 2, size)])


class Paced:
    """One talk in which nothing follows the speech but how long it lasts: `show` gives the frame of each number."""

    def __init__(self, show: Callable[[int], Pixels]) -> None:
        self._show, self._samples, self._done = show, 0, 0
        self.behind, self.repeated = False, 0

    def render(self, speech: Speech) -> Iterator[Pixels]:
        self._samples += len(speech.samples)
        yield from self._until(self._samples // PER_FRAME)

    def finish(self) -> Iterator[Pixels]:
        yield from self._until(-(-self._samples // PER_FRAME))

    def _until(self, end: int) -> Iterator[Pixels]:
        while self._done < end:
            yield self._show(self._done)
            self._done += 1
