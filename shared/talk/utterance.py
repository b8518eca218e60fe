"""What has been spoken so far, for any number of readers, each from the beginning."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np

from shared.media.types import PER_FRAME, Samples, Speech
from shared.media.video import LEAD_IN

QUIET = 300  # of 32768: what is not louder is not heard


class Utterance:
    """The speech of one talk. Iterating waits for what is still to come."""

    def __init__(self) -> None:
        self._parts: list[Speech] = []
        self._changed = asyncio.Event()
        self._ended = False
        self.lost: Exception | None = None  # why the rest of it will never come

    def add(self, speech: Speech) -> None:
        """Append speech; it follows what came before without a gap."""
        self._parts.append(speech)
        self._notify()

    def end(self, lost: Exception | None = None) -> None:
        """Nothing more will come; `lost` when more should have."""
        self._ended, self.lost = True, lost
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[Speech]:
        place = 0
        while True:
            while place < len(self._parts):
                yield self._parts[place]
                place += 1
            if self._ended:
                break
            await self._changed.wait()
        if self.lost:
            raise self.lost

    def silence(self) -> int:
        """Samples of silence at the end of what has been spoken so far."""
        count = 0
        for part in reversed(self._parts):
            loud = np.flatnonzero(np.abs(part.samples.astype(np.int32)) > QUIET)
            if len(loud):
                return count + len(part.samples) - int(loud[-1]) - 1
            count += len(part.samples)
        return count

    async def whole(self) -> Samples:
        """All of its samples, silence in front as in every video, once the last is there."""
        async for _ in self:
            pass
        return np.concatenate([np.zeros(LEAD_IN * PER_FRAME, np.int16), *(part.samples for part in self._parts)])
