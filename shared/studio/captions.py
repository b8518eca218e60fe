"""Captions drawn into a film: a line or two at a time, the spoken word highlighted, within what no player covers."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from shared.media.types import Pixels
from shared.studio import fonts
from shared.studio.voiceover import Word

# Characters a caption, and its place from the top: buttons cover the lower quarter of tall videos.
LONGEST = {"wide": 64, "tall": 40, "square": 44}
PLACE = {"wide": 0.84, "tall": 0.70, "square": 0.82}
SIZE = {"wide": 0.050, "tall": 0.036, "square": 0.048}  # of the height
KEPT = 8  # drawn captions: a film asks for one after the other
LONGEST_GAP = 1.2  # seconds without a word, after which a caption goes
SPOKEN, OTHERS = (255, 214, 92), (255, 255, 255)


@dataclass(frozen=True)
class Line:
    """Words that are seen together."""

    words: tuple[Word, ...]

    @property
    def start(self) -> float:
        return self.words[0].start

    @property
    def end(self) -> float:
        return self.words[-1].end


@dataclass(frozen=True)
class Band:
    """A drawn caption: planes of NV12 and how far they cover, for rows `top` and below."""

    top: int
    luma: Pixels
    chroma: Pixels
    cover: Pixels  # of luma, 0 to 255
    cover_chroma: Pixels

    def onto(self, luma: Pixels, chroma: Pixels) -> None:
        """Draw it into planes of a frame, in place."""
        rows = slice(self.top, self.top + len(self.luma))
        luma[rows] = _mix(luma[rows], self.luma, self.cover)
        half = slice(self.top // 2, self.top // 2 + len(self.chroma))
        chroma[half] = _mix(chroma[half], self.chroma, self.cover_chroma)


@dataclass(frozen=True)
class Fit:
    """The box in pixels that all captions of a film together need, and the fastest of them."""

    top: int
    bottom: int
    left: int
    right: int
    characters_a_second: float


def lines(words: Sequence[Word], shape: str) -> list[Line]:
    """Every word once, in order: cut at sentences, at pauses, and where a caption is full."""
    found: list[list[Word]] = []
    for word in words:
        current = found[-1] if found else []
        length = sum(map(_length, current)) + _length(word)
        full = length > LONGEST[shape]
        if not current or full or word.sentence != current[-1].sentence or word.start - current[-1].end > LONGEST_GAP:
            found.append([])
        found[-1].append(word)
    return [Line(tuple(one)) for one in found]


class Lettering:
    """Words in fonts that have their letters: one for all of them where there is one, as lines of two look patched."""

    def __init__(self, words: Sequence[Word]) -> None:
        whole = fonts.font("".join(word.text for word in words), 40)
        self._family = str(whole.path) if whole else None

    def font(self, word: Word, size: int) -> ImageFont.FreeTypeFont:
        if self._family:
            return fonts.opened(self._family, size)
        return fonts.font(word.text, size) or fonts.opened(fonts.OWN, size)

    def width(self, words: Sequence[Word], size: int) -> float:
        """Of a row, in pixels."""
        spaces = sum(self._space(a, b, size) for a, b in pairwise(words))
        return spaces + sum(self.font(word, size).getlength(word.text) for word in words)

    def placed(self, words: Sequence[Word], base: str, middle: float, size: int) -> Iterator[tuple[Word, float]]:
        """A row's words from left to right, with the left end of each. base: the direction of the whole text."""
        x = middle - self.width(words, size) / 2
        before: Word | None = None
        for word in in_order(words, base):
            x += self._space(before, word, size) if before else 0.0
            yield word, x
            x += self.font(word, size).getlength(word.text)
            before = word

    def _space(self, before: Word, word: Word, size: int) -> float:
        """Between two words that are seen side by side."""
        if (word if word.start >= before.start else before).joined:
            return 0.0
        return self.font(word, size).getlength(" ") or size / 4


class Captions:
    """Of one film in one shape; a picture is drawn when it is first shown."""

    def __init__(self, words: Sequence[Word], shape: str, width: int, height: int, *, highlight: bool) -> None:
        self.lines, self._shape, self._highlight = lines(words, shape), shape, highlight
        self._width, self._height = width, height
        self._size = round(height * SIZE[shape])
        self._lettering = Lettering(words)
        self._drawn: dict[tuple[int, int], Band] = {}

    def at(self, second: float) -> Band | None:
        """What is shown then; a caption stays until the next one, but not through a long pause."""
        for place, line in enumerate(self.lines):
            following = self.lines[place + 1].start if place + 1 < len(self.lines) else line.end + LONGEST_GAP
            if line.start <= second < min(following, line.end + LONGEST_GAP):
                spoken = max((n for n, word in enumerate(line.words) if word.start <= second), default=0)
                return self._band(place, spoken if self._highlight else -1)
        return None

    def seen(self) -> list[Word]:
        """The words of the captions that stay for a frame at least."""
        ends = [*(line.start for line in self.lines[1:]), float("inf")]
        shown = [
            line for line, end in zip(self.lines, ends, strict=True)
            if min(end, line.end + LONGEST_GAP) - line.start > 1 / 30
        ]  # fmt: skip
        return [word for line in shown for word in line.words]

    def report(self) -> Fit:
        """Where all captions stand, and how fast they are to be read."""
        bands = [self._band(place, -1) for place in range(len(self.lines))]
        covered = [np.argwhere(band.cover > 127) for band in bands]
        bands = [band for band, at in zip(bands, covered, strict=True) if len(at)]
        covered = [at for at in covered if len(at)]
        ends = [*(line.start for line in self.lines[1:]), self.lines[-1].end + LONGEST_GAP] if self.lines else []
        speeds = [
            sum(map(_length, line.words)) / max(0.04, min(end, line.end + LONGEST_GAP) - line.start)
            for line, end in zip(self.lines, ends, strict=True)
        ]
        return Fit(
            top=min((band.top + int(at[:, 0].min()) for band, at in zip(bands, covered, strict=True)), default=0),
            bottom=max((band.top + int(at[:, 0].max()) for band, at in zip(bands, covered, strict=True)), default=0),
            left=min((int(at[:, 1].min()) for at in covered), default=0),
            right=max((int(at[:, 1].max()) for at in covered), default=0),
            characters_a_second=max(speeds, default=0.0),
        )

    def _band(self, place: int, spoken: int) -> Band:
        if (place, spoken) not in self._drawn:
            if len(self._drawn) > KEPT:  # half a megabyte each
                self._drawn.clear()
            self._drawn[place, spoken] = self._draw(self.lines[place], spoken)
        return self._drawn[place, spoken]

    def _draw(self, line: Line, spoken: int) -> Band:
        rows = self._wrapped(line)
        size = self._fitting(rows)
        high = round(size * 1.3)
        top = min(round(self._height * PLACE[self._shape]) - high * len(rows) // 2, self._height - high * len(rows) - 8)
        top -= top % 2
        band = (high * len(rows) + 8 + 1) // 2 * 2
        picture = Image.new("RGBA", (self._width, band), (0, 0, 0, 0))
        pen = ImageDraw.Draw(picture)
        current = line.words[spoken] if spoken >= 0 else None
        base = direction(line.words)
        for row, words in enumerate(rows):
            for word, x in self._lettering.placed(words, base, self._width / 2, size):
                pen.text(
                    (x, row * high + size), word.text, font=self._lettering.font(word, size), anchor="ls",
                    fill=(*(SPOKEN if word is current else OTHERS), 255),
                    stroke_width=max(2, size // 14), stroke_fill=(16, 16, 16, 255),
                )  # fmt: skip
        return _band(np.asarray(picture), top)

    def _fitting(self, rows: list[list[Word]]) -> int:
        """Smaller where a single word is wider than the picture."""
        size = self._size
        while size > 8 and max(self._lettering.width(words, size) for words in rows) > self._width * 0.94:
            size = int(size * 0.9)
        return size

    def _wrapped(self, line: Line) -> list[list[Word]]:
        """One row, or two of about the same width."""
        if self._lettering.width(line.words, self._size) <= self._width * 0.86:
            return [list(line.words)]
        lengths = list(map(_length, line.words))
        best = min(
            range(1, len(line.words)),
            key=lambda at: abs(sum(lengths[:at]) - sum(lengths[at:])),
            default=len(line.words),
        )
        return [list(line.words[:best]), list(line.words[best:])] if best < len(line.words) else [list(line.words)]


def _length(word: Word) -> int:
    """In characters of Latin: those of Chinese, Japanese and Korean are about twice as wide."""
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in word.text)
    return len(word.text) + wide + (not word.joined)


def in_order(words: Sequence[Word], base: str) -> list[Word]:
    """From left to right as they are seen: of a line in Arabic or Hebrew the first word is at the right.

    Words of the other direction keep their order among each other, as in UAX 9; within a word the shaper sees to it.
    """
    leans = [_direction(word.text) for word in words]
    seen = []
    for lean, run in groupby(zip(words, leans, strict=True), lambda one: one[1] or base):
        found = [word for word, _ in run]
        seen.append(found[::-1] if lean == "R" else found)
    return [word for run in (seen[::-1] if base == "R" else seen) for word in run]


def direction(words: Sequence[Word]) -> str:
    """The direction of a caption: that of its first letter."""
    return _direction("".join(word.text for word in words)) or "L"


def _direction(text: str) -> str:
    """L, R, or empty for digits and marks alone, which follow their neighbours."""
    for one in text:
        if (kind := unicodedata.bidirectional(one)) in ("L", "R", "AL"):
            return "L" if kind == "L" else "R"
    return ""


def _band(rgba: Pixels, top: int) -> Band:
    cover = np.ascontiguousarray(rgba[..., 3])
    yuv = cv2.cvtColor(np.ascontiguousarray(rgba[..., :3]), cv2.COLOR_RGB2YCrCb)  # BT.601: of white, black and yellow
    luma = (16 + yuv[..., 0].astype(np.float32) * 219 / 255).astype(np.uint8)
    chroma = np.stack([yuv[::2, ::2, 2], yuv[::2, ::2, 1]], axis=-1).reshape(len(yuv) // 2, -1)
    small = cv2.resize(cover, (cover.shape[1] // 2, cover.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return Band(top, luma, np.ascontiguousarray(chroma), cover, np.repeat(small, 2, axis=1))


def _mix(under: Pixels, over: Pixels, cover: Pixels) -> Pixels:
    share = cover.astype(np.uint16)
    mixed: Pixels = ((under * (255 - share) + over * share) // 255).astype(np.uint8)
    return mixed
