"""A face whose pairs carry their number: in the picture as blocks of luma, in the sound as the first sample."""

from __future__ import annotations

import numpy as np

from shared.lipsync.live import LiveFace, Pair
from shared.media.types import Pixels

BLOCK, BITS = 32, 14  # pixels of a bit; of a number


class Numbered(LiveFace):
    """Pictures of somebody who listens carry 0."""

    number = 0

    def feed(self, pcm: bytes) -> list[Pair]:
        return [self._mark(*pair) for pair in super().feed(pcm)]

    def flush(self) -> list[Pair]:
        return [self._mark(*pair) for pair in super().flush()]

    def idle(self) -> Pixels:
        return _written(super().idle(), 0)

    def _mark(self, frame: Pixels, sound: bytes) -> Pair:
        self.number += 1
        return _written(frame, self.number), self.number.to_bytes(2, "little") + sound[2:]


def _written(frame: Pixels, number: int) -> Pixels:
    frame = frame.copy()
    for bit in range(BITS):
        frame[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 200 if number >> bit & 1 else 40
    return frame


def read(luma: Pixels) -> int:
    """luma: (height, width), or the green of RGB."""
    row = luma[BLOCK // 2, BLOCK // 2 :: BLOCK]
    return sum(1 << bit for bit in range(BITS) if row[bit] > 120)


def read_sound(pcm: bytes) -> int:
    return int.from_bytes(pcm[:2], "little")


def syllables(seconds: float, rate: int) -> bytes:
    """Sound that rises and falls twice a second."""
    at = np.arange(round(seconds * rate)) / rate
    sound = np.sin(2 * np.pi * 180 * at) * 9000 * np.clip(np.sin(4 * np.pi * at), 0, 1)
    return bytes(sound.astype(np.int16).tobytes())
