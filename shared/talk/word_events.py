"""The words of a talk in its stream: `emsg` boxes between the fragments, which players pass over."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence

from shared.media.types import Timing

SCHEME = "urn:personaforge:words"
_MILLISECONDS = 1000


class Words:
    """Letters and phonemes joined to words, as they come."""

    def __init__(self) -> None:
        self._place = 0
        self._symbols: list[Timing] = []

    def take(self, timings: Sequence[Timing], *, last: bool = False) -> list[Timing]:
        """The words that have become whole in a list that only grows. last: also the one that no blank follows."""
        found = []
        for timing in timings[self._place :]:
            if not timing.symbol.isspace():
                self._symbols.append(timing)
            elif self._symbols:
                found.append(self._joined())
        self._place = len(timings)
        if last and self._symbols:
            found.append(self._joined())
        return found

    def _joined(self) -> Timing:
        symbols, self._symbols = self._symbols, []
        return Timing("".join(one.symbol for one in symbols), symbols[0].start, symbols[-1].end)


class Boxes:
    """Follows an MP4 that comes in arbitrary parts: between which of its boxes is room for another?"""

    def __init__(self) -> None:
        self._left, self._head = 0, b""

    def add(self, data: bytes) -> bool:
        """Whether a box ends where this part ends."""
        while data:
            if self._left:
                passed = min(self._left, len(data))
                self._left, data = self._left - passed, data[passed:]
                continue
            missing = 8 - len(self._head)
            self._head, data = self._head + data[:missing], data[missing:]
            if len(self._head) == 8:
                self._left, self._head = int.from_bytes(self._head[:4]) - 8, b""
        return not self._left and not self._head


def box(words: Sequence[Timing]) -> bytes:
    """An event message (ISO/IEC 23009-1, 5.10.3.3) whose data are JSON: [[word, start, end], ...], in seconds."""
    message = json.dumps([[word.symbol, round(word.start, 3), round(word.end, 3)] for word in words])
    start = round(words[0].start * _MILLISECONDS)
    length = round((words[-1].end - words[0].start) * _MILLISECONDS)
    times = struct.pack(">IQII", _MILLISECONDS, start, length, start & 0xFFFFFFFF)
    body = b"\x01\x00\x00\x00" + times + f"{SCHEME}\0\0{message}".encode()
    return struct.pack(">I", len(body) + 8) + b"emsg" + body
