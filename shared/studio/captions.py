"""Captions drawn into a film: a line or two at a time, the spoken word highlighted, within what no player covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from shared.media.types import Pixels
from shared.studio.voiceover import Word

# Characters a caption, and its place from the top: buttons cover the lower quarter of tall videos.
LONGEST = {"wide": 64, "tall": 40, "square": 44}
PLACE = {"wide": 0.84, "tall": 0.68, "square": 0.82}
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


def lines(words: Sequence[Word], shape: str) -> list[Line]:
    """Every word once, in order: cut at sentences, at pauses, and where a caption is full."""
    found: list[list[Word]] = []
    for word in words:
        current = found[-1] if found else []
        length = sum(len(one.text) + 1 for one in current) + len(word.text)
        full = length > LONGEST[shape]
        if not current or full or word.sentence != current[-1].sentence or word.start - current[-1].end > LONGEST_GAP:
            found.append([])
        found[-1].append(word)
    return [Line(tuple(one)) for one in found]


class Captions:
    """Of one film in one shape; a picture is drawn when it is first shown."""

    def __init__(self, words: Sequence[Word], shape: str, width: int, height: int, *, highlight: bool) -> None:
        self._lines, self._shape, self._highlight = lines(words, shape), shape, highlight
        self._width, self._height = width, height
        self._font = _font(round(height * SIZE[shape]))
        self._drawn: dict[tuple[int, int], Band] = {}

    def at(self, second: float) -> Band | None:
        """What is shown then; a caption stays until the next one, but not through a long pause."""
        for place, line in enumerate(self._lines):
            following = self._lines[place + 1].start if place + 1 < len(self._lines) else line.end + LONGEST_GAP
            if line.start <= second < min(following, line.end + LONGEST_GAP):
                spoken = max((n for n, word in enumerate(line.words) if word.start <= second), default=0)
                return self._band(place, spoken if self._highlight else -1)
        return None

    def _band(self, place: int, spoken: int) -> Band:
        if (place, spoken) not in self._drawn:
            if len(self._drawn) > KEPT:  # half a megabyte each
                self._drawn.clear()
            self._drawn[place, spoken] = self._draw(self._lines[place], spoken)
        return self._drawn[place, spoken]

    def _draw(self, line: Line, spoken: int) -> Band:
        rows = self._wrapped(line)
        font = self._fitting(rows)
        high = round(font.size * 1.3)
        top = min(round(self._height * PLACE[self._shape]) - high * len(rows) // 2, self._height - high * len(rows) - 8)
        top -= top % 2
        band = (high * len(rows) + 8 + 1) // 2 * 2
        picture = Image.new("RGBA", (self._width, band), (0, 0, 0, 0))
        pen = ImageDraw.Draw(picture)
        number = 0
        for row, words in enumerate(rows):
            x = (self._width - pen.textlength(_text(words), font=font)) / 2
            for word in words:
                colour = SPOKEN if number == spoken else OTHERS
                pen.text(
                    (x, row * high + 2), word.text, font=font, fill=(*colour, 255),
                    stroke_width=max(2, font.size // 14), stroke_fill=(16, 16, 16, 255),
                )  # fmt: skip
                x += pen.textlength(word.text + " ", font=font)
                number += 1
        return _band(np.asarray(picture), top)

    def _fitting(self, rows: list[list[Word]]) -> ImageFont.FreeTypeFont:
        """Smaller where a single word is wider than the picture."""
        pen, font = ImageDraw.Draw(Image.new("L", (1, 1))), self._font
        while font.size > 8 and max(pen.textlength(_text(words), font=font) for words in rows) > self._width * 0.94:
            font = _font(int(font.size * 0.9))
        return font

    def _wrapped(self, line: Line) -> list[list[Word]]:
        """One row, or two of about the same width."""
        pen = ImageDraw.Draw(Image.new("L", (1, 1)))
        whole = pen.textlength(" ".join(word.text for word in line.words), font=self._font)
        if whole <= self._width * 0.86:
            return [list(line.words)]
        lengths = [len(word.text) + 1 for word in line.words]
        best = min(
            range(1, len(line.words)),
            key=lambda at: abs(sum(lengths[:at]) - sum(lengths[at:])),
            default=len(line.words),
        )
        return [list(line.words[:best]), list(line.words[best:])] if best < len(line.words) else [list(line.words)]


def _text(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)


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


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)  # Aileron, which Pillow brings: Latin
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
