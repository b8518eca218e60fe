"""Cuts text into segments to be spoken, while it is still being written."""

from __future__ import annotations

import re

_STOP = r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s)"  # tried once for a run of dots: else its time grows with the square
_CLAUSE = re.compile(rf"[,;:—–](?=\s)|{_STOP}|[。！？、，]|\n")
_SENTENCE = re.compile(rf"{_STOP}|[。！？]|\n")
_ABBREVIATION = re.compile(r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e))\.$")

LONGEST = 240  # characters: a sentence without an end is cut all the same
_WINDOW = 2 * LONGEST  # in which an end is looked for: else the time would grow with the square of the text
SHORTEST = 12  # characters: a voice needs a few words to find its melody, and “Well,” ends before more is spoken


class Segmenter:
    """Feed text as it comes; get segments back. The first ends with a clause, later ones with sentences."""

    def __init__(self) -> None:
        self._text = ""
        self._first = True

    def feed(self, text: str) -> list[str]:
        """Add text; returns the segments that are complete now."""
        self._text += text
        segments: list[str] = []
        while (end := self._end()) is not None:
            segment, self._text = self._text[:end].strip(), self._text[end:]
            if segment:
                segments.append(segment)
                self._first = False
        return segments

    def rest(self) -> list[str]:
        """What is left when nothing more comes."""
        segment, self._text = self._text.strip(), ""
        return [segment] if segment else []

    def _end(self) -> int | None:
        """Where the text can be cut, or None while its end is not in sight."""
        for match in (_CLAUSE if self._first else _SENTENCE).finditer(self._text, 0, _WINDOW):
            end = match.end()
            if len(self._text[:end].strip()) > SHORTEST and not _ABBREVIATION.search(self._text[max(0, end - 8) : end]):
                return end
        if len(self._text) > LONGEST:
            clauses = [match.end() for match in _CLAUSE.finditer(self._text, 0, LONGEST)]
            space = self._text.rfind(" ", 0, LONGEST)
            return clauses[-1] if clauses else space + 1 if space > 0 else LONGEST
        return None
