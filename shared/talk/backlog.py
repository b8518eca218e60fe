"""What a listener has not taken yet."""

from __future__ import annotations

import asyncio
from tempfile import SpooledTemporaryFile

IN_MEMORY = 1 << 20  # bytes, 15 s of video; the rest waits in a file: answers are made faster than they are watched
CHUNK = 1 << 16  # bytes


class Backlog:
    """One writes, one reads, on one event loop. Memory is bounded however slow the reader is."""

    def __init__(self) -> None:
        self._file: SpooledTemporaryFile[bytes] | None = None
        self._written = self._read = 0
        self._ended = False
        self._changed = asyncio.Event()

    def put(self, data: bytes) -> None:
        """Append; what comes after `end` or `close` is dropped."""
        if self._ended:
            return
        if self._file is None:
            self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  # until the last byte is taken
        self._file.seek(self._written)
        self._written += self._file.write(data)
        self._changed.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._changed.set()

    async def get(self) -> bytes | None:
        """The next bytes, at least one and at most CHUNK; None at the end. Waits for what is still to come."""
        while self._read == self._written:
            if self._ended:
                self.close()
                return None
            self._changed.clear()
            await self._changed.wait()
        assert self._file
        self._file.seek(self._read)
        data: bytes = self._file.read(CHUNK)
        self._read += len(data)
        if self._read == self._written:  # as a listener who keeps up always has: the room is used again
            self._file.seek(0)
            self._file.truncate()
            self._read = self._written = 0
        return data

    def close(self) -> None:
        """Nobody reads any more."""
        self.end()
        if self._file:
            self._file.close()
        self._written = self._read = 0
