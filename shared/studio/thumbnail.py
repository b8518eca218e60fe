"""Thumbnails composed of what the film has: the persona, a frame of its footage, a few large words. Three layouts."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
from PIL import Image, ImageDraw

from shared.media.colour import edge_hue
from shared.media.types import Pixels
from shared.studio.captions import Lettering, direction
from shared.studio.voiceover import Word, words_of

LAYOUTS = ("portrait", "split", "plate")
SIZES = {"wide": (1280, 720), "square": (1280, 720), "tall": (1080, 1920)}  # YouTube shows squares among wide ones
CONTRAST = 4.5  # of the words over their ground, as WCAG asks for text
_WHITE = 1.05 / CONTRAST - 0.05  # relative luminance of a ground on which white has it
_SMALLEST = 36  # pixels of a letter
_NEAR = 0.2  # of the shorter side
_QUALITY = 88  # of the JPEG: under 400 KB, where YouTube takes 2 MB everywhere

Box = tuple[int, int, int, int]  # left, top, right, bottom


def compose(layout: str, shape: str, words: str, persona: Pixels, footage: Pixels | None) -> bytes:
    """JPEG. persona: its square, BGR; footage: a frame, BGR, or None where the persona tells everything."""
    width, height = SIZES[shape]
    canvas, box = _DRAW[layout](width, height, persona, footage)
    _darken(canvas, box)
    picture = Image.fromarray(np.ascontiguousarray(canvas[:, :, ::-1]))
    _write(picture, words, box)
    out = BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def _portrait(width: int, height: int, persona: Pixels, footage: Pixels | None) -> tuple[Pixels, Box]:
    """The persona large; words beside it over a blurred ground, or below where the picture is upright."""
    if width < height:
        return _covered(persona, width, height), (
            int(width * 0.08),
            int(height * 0.6),
            int(width * 0.92),
            int(height * 0.8),
        )
    ground = footage if footage is not None else persona
    canvas = cv2.GaussianBlur(_covered(ground, width, height), (0, 0), 9)
    x = width - height
    soft = np.clip(np.linspace(0, 6, height), 0, 1)[None, :, None]  # its left edge fades into the ground
    canvas[:, x:] = (soft * cv2.resize(persona, (height, height)) + (1 - soft) * canvas[:, x:]).astype(np.uint8)
    return canvas, (int(width * 0.05), int(height * 0.1), x + int(height * 0.16), int(height * 0.9))


def _split(width: int, height: int, persona: Pixels, footage: Pixels | None) -> tuple[Pixels, Box]:
    """Two halves with a white line between: what it is about, and who tells it."""
    canvas = np.zeros((height, width, 3), np.uint8)
    other = footage if footage is not None else np.full((8, 8, 3), _deep(persona), np.uint8)
    if width > height and footage is None:
        canvas[:] = _deep(persona)
        canvas[:, width // 2 :] = _covered(persona, width - width // 2, height)
        canvas[:, width // 2 - 5 : width // 2 + 5] = 255
        return canvas, (int(width * 0.05), int(height * 0.12), int(width * 0.47), int(height * 0.88))
    if width > height:
        half = width // 2
        canvas[:, :half] = _covered(other, half, height)
        canvas[:, half:] = _covered(persona, width - half, height)
        canvas[:, half - 5 : half + 5] = 255
        return canvas, (int(width * 0.05), int(height * 0.68), int(width * 0.95), int(height * 0.94))
    half = height // 2  # words in the upper one: below stand names and buttons of Shorts, and in the middle the face
    canvas[:half] = _covered(other, width, half)
    canvas[half:] = _covered(persona, width, height - half)
    canvas[half - 5 : half + 5] = 255
    return canvas, (int(width * 0.07), int(height * 0.14), int(width * 0.93), int(height * 0.44))


def _plate(width: int, height: int, persona: Pixels, _: Pixels | None) -> tuple[Pixels, Box]:
    """Words on a plain ground in the persona's hue, the persona in a circle."""
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = _deep(persona)
    side = round(min(width, height) * 0.78)
    x, y = (
        (width - side - int(width * 0.04), (height - side) // 2)
        if width > height
        else ((width - side) // 2, int(height * 0.08))
    )
    mask = np.zeros((side, side), np.float32)
    cv2.circle(mask, (side // 2, side // 2), side // 2 - 2, 1.0, -1, cv2.LINE_AA)
    part = canvas[y : y + side, x : x + side]
    part[:] = (mask[:, :, None] * cv2.resize(persona, (side, side)) + (1 - mask[:, :, None]) * part).astype(np.uint8)
    cv2.circle(canvas, (x + side // 2, y + side // 2), side // 2, (255, 255, 255), 6, cv2.LINE_AA)
    if width > height:
        return canvas, (int(width * 0.05), int(height * 0.1), x - int(width * 0.03), int(height * 0.9))
    return canvas, (int(width * 0.08), y + side + int(height * 0.04), int(width * 0.92), int(height * 0.8))


_DRAW = {"portrait": _portrait, "split": _split, "plate": _plate}


def _deep(persona: Pixels) -> Pixels:
    """A colour in the hue of the persona's surroundings on which white words stand."""
    dark = np.array([[[edge_hue(persona) // 2, 150, 70]]], np.uint8)  # of HSV
    return np.asarray(cv2.cvtColor(dark, cv2.COLOR_HSV2BGR)[0, 0], np.uint8)


def _covered(picture: Pixels, width: int, height: int) -> Pixels:
    """Filling a box, its upper middle kept: where faces are."""
    high, wide = picture.shape[:2]
    scale = max(width / wide, height / high)
    sized = cv2.resize(
        picture, (max(width, round(wide * scale)), max(height, round(high * scale))), interpolation=cv2.INTER_AREA
    )
    x, y = (sized.shape[1] - width) // 2, (sized.shape[0] - height) // 4
    return np.ascontiguousarray(sized[y : y + height, x : x + width], np.uint8)


def _darken(canvas: Pixels, box: Box) -> None:
    """Where words will stand, until white has the contrast over all but the brightest hundredth."""
    left, top, right, bottom = box
    height, width = canvas.shape[:2]
    near = round(_NEAR * min(height, width))  # of an edge: shade up to it, as a patch in the middle looks like dirt
    x, y = (0 if left < near else left), (0 if top < near else top)
    beyond, below = (width if right > width - near else right), (height if bottom > height - 2 * near else bottom)
    soft = np.zeros((height, width), np.float32)
    soft[y:below, x:beyond] = 1
    soft = cv2.GaussianBlur(soft, (0, 0), height / 18, borderType=cv2.BORDER_REPLICATE)
    soft /= max(float(soft[top:bottom, left:right].min()), 0.3)
    soft = np.clip(soft, 0, 1)[:, :, None]
    for keep in np.arange(1, 0, -0.05):
        shaded = canvas * (1 - soft * (1 - keep))
        if np.percentile(luminance(shaded[top:bottom, left:right]), 99) <= _WHITE:
            break
    canvas[:] = shaded.astype(np.uint8)


def luminance(bgr: Pixels) -> np.ndarray:
    """Relative, 0 to 1, as WCAG has it."""
    linear = np.where(bgr <= 0.04045 * 255, bgr / 255 / 12.92, ((bgr / 255 + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.0722, 0.7152, 0.2126]))


def _write(picture: Image.Image, text: str, box: Box) -> None:
    """As large as the box allows, in rows."""
    left, top, right, bottom = box
    words = words_of([text], [])
    if not words:
        return
    lettering, base = Lettering(words), direction(words)
    size = (bottom - top) // 2
    while True:
        rows = _rows(words, lettering, size, right - left)
        fits = len(rows) * size * 1.15 <= bottom - top and all(
            lettering.width(row, size) <= right - left for row in rows
        )
        if fits or size <= _SMALLEST:
            break
        size -= 4
    pen = ImageDraw.Draw(picture)
    for number, row in enumerate(rows):
        y = (top + bottom) / 2 + (number - len(rows) / 2 + 0.5) * size * 1.15
        for word, x in lettering.placed(row, base, left + lettering.width(row, size) / 2, size):
            pen.text((x, y), word.text, font=lettering.font(word, size), anchor="lm", fill=(255, 255, 255))


def _rows(words: list[Word], lettering: Lettering, size: int, wide: int) -> list[list[Word]]:
    rows: list[list[Word]] = []
    for word in words:
        if rows and lettering.width([*rows[-1], word], size) <= wide:
            rows[-1].append(word)
        else:
            rows.append([word])
    return rows
