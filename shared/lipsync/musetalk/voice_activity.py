"""Whether somebody speaks: so that a mouth rests in silence."""

from __future__ import annotations

import numpy as np

from shared.lipsync.arrays import floats
from shared.media.types import PER_FRAME, Floats, Samples

QUIETEST = 120.0  # root mean square of a frame, of 32768: below it nobody speaks
SHARE = 0.06  # of the loudest frame so far
REACH = 3  # frames before and after speech that belong to it
FADE = 4  # frames from resting to speaking and back


class VoiceActivity:
    """By the loudness of each frame; voices of text-to-speech have no background. One for each talk."""

    def __init__(self) -> None:
        self._loudest, self._open = 0.0, 0.0

    def openness(self, samples: Samples, since: int, first: int, end: int) -> Floats:
        """How far the mouth is let go, 0..1, for the frames from `first` to `end`; call for frames in their order.

        samples: 24 kHz, from frame `since` on, beyond `end` as far as they are known.
        """
        whole = -(-len(samples) // PER_FRAME)
        framed = np.zeros(whole * PER_FRAME, np.float32)
        framed[: len(samples)] = samples
        loud = np.sqrt(np.mean(framed.reshape(whole, PER_FRAME) ** 2, axis=1))
        self._loudest = max(self._loudest, float(loud.max(initial=0)))
        speaks = loud > max(QUIETEST, SHARE * self._loudest)
        found = []
        for frame in range(first, end):
            at = frame - since
            wanted = 1.0 if speaks[max(0, at - REACH) : at + REACH + 1].any() else 0.0
            self._open += float(np.clip(wanted - self._open, -1 / FADE, 1 / FADE))
            found.append(self._open)
        return floats(found)
