"""Pictures that people send: decoded with care, and looked at for a face without any download."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from itertools import product

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from shared.errors import PictureUnusable
from shared.lipsync.arrays import Pixels, floats
from shared.lipsync.face import PNG_KEY, Face, Point

MAX_PIXELS = 40_000_000
MIN_SIDE = 128


@dataclass(frozen=True)
class Picture:
    """A portrait: BGR pixels (height, width, 3), upright, and where the face is in them."""

    bgr: Pixels
    face: Face


def read_picture(data: bytes) -> Picture:
    """Decode a PNG, JPEG or WebP and say where its face is.

    Raises PictureUnusable with what to send instead when it is no picture, too small, too large, or shows no
    face.
    """
    try:
        picture = Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
        raise PictureUnusable("The file is not a PNG, JPEG or WebP picture. Send a portrait photo.") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise PictureUnusable(
            f"The picture has {width * height / 1e6:.0f} megapixels; at most {MAX_PIXELS // 10**6} are accepted."
        )
    if min(width, height) < MIN_SIDE:
        raise PictureUnusable(f"The picture is {width}x{height} pixels; each side must have at least {MIN_SIDE}.")
    known = picture.info.get(PNG_KEY)
    try:
        upright = ImageOps.exif_transpose(picture)
        rgb = np.asarray(_flatten(upright))
    except (OSError, SyntaxError, ValueError) as error:
        raise PictureUnusable("The picture is damaged and cannot be decoded. Save it anew and retry.") from error
    bgr: Pixels = np.ascontiguousarray(rgb[:, :, ::-1])
    if isinstance(known, str):
        try:
            return Picture(bgr, Face.load(json.loads(known)))
        except (json.JSONDecodeError, PictureUnusable):
            pass  # a foreign or damaged note: look at the picture itself
    return Picture(bgr, find_face(bgr))


def decode(data: bytes) -> Pixels:
    """Decode a picture that we kept ourselves; BGR, shape (height, width, 3)."""
    bgr: Pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return bgr


def head(bgr: Pixels, face: Face, size: int) -> tuple[Pixels, Face]:
    """Cut a square with head and shoulders; returns it at `size` pixels, and the face in it."""
    height, width = bgr.shape[:2]
    points = face.pixels(width, height)
    eyes = (points[0] + points[1]) / 2
    span = float(np.hypot(*(points[1] - points[0])))
    side = min(height, width, max(span * 5.9, min(height, width) * 0.25))
    x = float(np.clip(eyes[0] - side / 2, 0, width - side))
    y = float(np.clip(eyes[1] - side * 0.43, 0, height - side))
    zoom = size / side
    matrix = floats([[zoom, 0, -x * zoom], [0, zoom, -y * zoom]])
    smooth = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    if zoom < 1:
        x0, y0, s = round(x), round(y), round(side)
        cut = cv2.resize(bgr[y0 : y0 + s, x0 : x0 + s], (size, size), interpolation=smooth)
    else:
        cut = cv2.warpAffine(bgr, matrix, (size, size), flags=smooth, borderMode=cv2.BORDER_REPLICATE)
    placed = (points @ matrix[:, :2].T + matrix[:, 2]) / size
    return cut, Face(*((float(x), float(y)) for x, y in placed))


def _flatten(picture: Image.Image) -> Image.Image:
    """RGB, transparency laid over light grey."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        ground = Image.new("RGBA", picture.size, (225, 225, 225, 255))
        return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


@lru_cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml")


def find_face(bgr: Pixels) -> Face:
    """Find the largest frontal face by classical means, without any download.

    A Haar cascade gives the box, two more the eyes, and a lip template is fitted below them. Raises
    PictureUnusable when no face is found.
    """
    height, width = bgr.shape[:2]
    scale = 640 / max(height, width)
    small = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))
    side = min(grey.shape) // 10
    for name in ("frontalface_alt2", "frontalface_default"):
        hits = _cascade(name).detectMultiScale(grey, 1.08, 5, minSize=(side, side))
        boxes = [(int(x), int(y), int(w), int(h)) for x, y, w, h in hits]
        # A face without eyes in it is a pattern on a wall.
        found = [(box, eyes) for box in boxes if (eyes := _eyes(grey, box))]
        if found:
            (_, eyes) = max(found, key=lambda item: item[0][2])
            return _with_mouth(small, *eyes)
    raise PictureUnusable(
        "No face was found. Send a photo that shows one person from the front, eyes open, in good light."
    )


def _eyes(grey: Pixels, box: tuple[int, int, int, int]) -> tuple[Point, Point] | None:
    x, y, w, h = box
    eyes: list[Point] = []
    for left in (True, False):
        x0 = x + (int(0.08 * w) if left else int(0.5 * w))
        y0, dx, dy = y + int(0.18 * h), int(0.42 * w), int(0.38 * h)
        part = grey[y0 : y0 + dy, x0 : x0 + dx]
        least = max(8, w // 8)
        for name in ("eye", "eye_tree_eyeglasses"):
            hits, _, weights = _cascade(name).detectMultiScale3(
                part, 1.05, 3, minSize=(least, least), outputRejectLevels=True
            )
            if len(hits):
                ex, ey, ew, eh = (int(v) for v in hits[int(np.argmax(weights))])
                eyes.append((x0 + ex + ew / 2, y0 + ey + eh * 0.52))
                break
        else:
            return None
    (lx, ly), (rx, ry) = eyes
    span, slope = (rx - lx) / w, abs(ry - ly) / max(rx - lx, 1)
    return (eyes[0], eyes[1]) if 0.25 < span < 0.65 and slope < 0.45 else None


def _with_mouth(bgr: Pixels, left_eye: Point, right_eye: Point) -> Face:
    """Fit a lip template below the eyes, in a copy of the face that stands upright with eyes 80 px apart."""
    span = 80.0
    middle = np.add(left_eye, right_eye) / 2
    across = np.subtract(right_eye, left_eye)
    zoom, angle = span / float(np.hypot(*across)), float(np.degrees(np.arctan2(across[1], across[0])))
    turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), angle, zoom)
    turn[:, 2] += (100 - middle[0], 60 - middle[1])
    upright = cv2.warpAffine(bgr, turn, (200, 220), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)

    lab = cv2.cvtColor(cv2.GaussianBlur(upright, (0, 0), 1.5), cv2.COLOR_BGR2LAB).astype(np.float32)
    cheeks = np.concatenate([lab[90:115, 45:70].reshape(-1, 3), lab[90:115, 130:155].reshape(-1, 3)])
    tone = np.median(cheeks, axis=0)
    red, dark = lab[:, :, 1] - tone[1], tone[0] - lab[:, :, 0]
    pale = np.clip(-red - 2, 0, 12) * (lab[:, :, 0] > tone[0] - 25)  # teeth between smiling lips
    lipness = np.clip(red, -12, 25) + 0.25 * np.clip(dark, -10, 40) + 1.2 * pale

    ys, xs = np.mgrid[110:190, 30:170].astype(np.float32)
    lipness = lipness[110:190, 30:170]

    def score(cx: float, cy: float, half: float, tall: float, bend: float) -> float:
        dx = (xs - cx) / half
        radius = dx**2 + ((ys - cy + bend * half * 0.5 * dx**2) / tall) ** 2
        inner, ring = radius < 1, (radius >= 1.15) & (radius < 2.2)
        return float((lipness[inner].mean() - lipness[ring].mean()) * np.sqrt(half * tall))

    smile = (0.0, 0.25, 0.5)  # how far the corners stand above the middle
    coarse = product((100.0,), range(122, 166, 3), (24, 29, 34, 39, 44), (8, 11, 14, 18), smile)
    cx, cy, half, tall, bend = max(coarse, key=lambda shape: score(*shape))
    fine = product(range(92, 110, 2), (cy - 1, cy, cy + 1), (half - 3, half, half + 3), (tall,), (bend,))
    cx, cy, half, tall, bend = max(fine, key=lambda shape: score(*shape))
    lift = bend * half * 0.5

    def corner(side: int) -> list[float]:
        # The corner of a mouth is a small shadow: go to the darkest spot near the template's end.
        x = round(cx + side * 0.92 * half)
        rows = np.arange(round(cy - tall), round(cy + tall * 0.5))
        shade = lab[rows, x - 2 : x + 3, 0].mean(axis=1)
        return [cx + side * half, float(rows[np.argmin(shade)]) if np.ptp(shade) > 12 else cy - lift]

    canon = floats([corner(-1), corner(1), [cx, cy - tall * 0.95], [cx, cy + tall * 0.95]])
    back = cv2.invertAffineTransform(turn)
    mouth = canon @ back[:, :2].T + back[:, 2]
    size = floats(bgr.shape[1::-1])
    points = np.clip(np.vstack([left_eye, right_eye, mouth]) / size, 0, 1)
    return Face(*((float(x), float(y)) for x, y in points))
