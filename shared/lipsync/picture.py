"""Uploaded pictures: decoded within limits, set upright, looked at for a face, cropped to head and shoulders."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from shared.core.errors import PictureUnusable
from shared.lipsync.arrays import floats
from shared.lipsync.face import PNG_KEY, Face
from shared.media.image import decode, jpeg, png
from shared.media.types import Floats, Pixels

MAX_PIXELS = 40_000_000  # that are decoded: a larger JPEG is at half its size
LARGEST_JPEG = 100_000_000
MAX_SCANS = 100  # of a progressive JPEG, each decoded over the whole picture; encoders write about ten
MIN_SIDE = 96
LONGEST = 4  # times as long as wide
KEPT_SIDE = 1600  # pixels: larger pictures are reduced, around the face where it would become small
_ROOMY = 9  # eye distances: side of the square that is cut around a small face in a large picture
_ORIENTATION = 0x0112
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_FINE = 110  # pixels between the eyes, from which a face fills a video of 512


@dataclass(frozen=True)
class Picture:
    """A portrait: BGR pixels (height, width, 3), upright, and where the face is in them."""

    bgr: Pixels
    face: Face


def read_picture(data: bytes, *, generated: bool = False) -> Picture:
    """Decode a PNG, JPEG or WebP and find the face in it.

    generated: the picture comes from a portrait model and not from a user, so that a face written in it is believed.
    Raises PictureUnusable with what to send instead when it is no picture, too small, too large, or shows no face that
    can speak; FaceModelsMissing when it cannot be looked at here.
    """
    from shared.lipsync.finder import find_faces
    from shared.lipsync.portrait_check import check_portrait, refuse_rivals, tilt

    bgr, note = _decode(data)
    if generated and note is not None:
        return Picture(_reduced(bgr), Face.load(note))
    whole, reduced = bgr, _reduced(bgr)
    faces = find_faces(reduced)
    if faces and 45 < abs(tilt(faces[0])) <= 135:  # lies on its side: turn it by a quarter
        turns = 1 if tilt(faces[0]) > 0 else 3
        whole, reduced = (np.ascontiguousarray(np.rot90(one, turns)) for one in (whole, reduced))
        faces = find_faces(reduced)
    refuse_rivals(faces)  # before the others are cut away
    if faces and len(whole) > len(reduced) and faces[0].eye_distance < _FINE:
        reduced = _closer(whole, floats(faces[0].points[:, :2] * len(whole) / len(reduced)))
        faces = find_faces(reduced)
    warnings = check_portrait(reduced, faces)
    height, width = reduced.shape[:2]
    return Picture(reduced, Face.of_pixels(faces[0].points, width, height, tuple(warnings)))


def still(data: bytes) -> bytes:
    """An uploaded PNG, JPEG or WebP as a JPEG: upright, at most 1600 pixels a side, without what its file says of the
    camera and the place. Raises PictureUnusable."""
    return jpeg(_reduced(_decode(data)[0]))


def _decode(data: bytes) -> tuple[Pixels, object]:
    """BGR pixels, upright by EXIF, the first frame of several; and the face that is written in it, if there is one."""
    try:
        picture = Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
        raise PictureUnusable("The file is not a PNG, JPEG or WebP picture. Send a portrait photo.") from error
    width, height = picture.size
    most = LARGEST_JPEG if picture.format == "JPEG" else MAX_PIXELS
    if width * height > most:
        raise PictureUnusable(
            f"The picture has {width * height / 1e6:.0f} megapixels; at most {most // 10**6} are accepted."
        )
    if picture.format == "JPEG" and data.count(b"\xff\xda") > MAX_SCANS:  # in compressed data FF is followed by 00
        raise PictureUnusable("The picture is a progressive JPEG of very many scans. Save it anew.")
    if min(width, height) < MIN_SIDE:
        raise PictureUnusable(f"The picture is {width}x{height} pixels; each side must have at least {MIN_SIDE}.")
    if max(width, height) > LONGEST * min(width, height):
        raise PictureUnusable(f"The picture is {width}x{height} pixels. Send one that is less of a strip.")
    try:
        if width * height > MAX_PIXELS:
            picture.draft("RGB", (width // 2, height // 2))
        turned = _ORIENTATIONS.get(_orientation(picture))
        rgb = np.asarray(_flatten(picture.transpose(turned) if turned is not None else picture))
        note = picture.info.get(PNG_KEY)
        found = json.loads(note) if isinstance(note, str) else None
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        raise PictureUnusable("The picture is damaged and cannot be decoded. Save it anew and retry.") from error
    return np.ascontiguousarray(rgb[:, :, ::-1]), found


def _orientation(picture: Image.Image) -> int:
    """How the camera was held, by EXIF; 1 where that cannot be read. Other fields are not looked at."""
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # Pillow's parser raises whatever a damaged field leads it to
        return 1


def _flatten(picture: Image.Image) -> Image.Image:
    """8-bit RGB, transparency laid over light grey."""
    if picture.mode.startswith(("I", "F")):  # 16 bits of grey: Pillow would clip them
        values = np.asarray(picture, np.float64)
        return Image.fromarray(np.clip(values / 257, 0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        ground = Image.new("RGBA", picture.size, (225, 225, 225, 255))
        return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def _reduced(bgr: Pixels) -> Pixels:
    scale = KEPT_SIDE / max(bgr.shape[:2])
    if scale >= 1:
        return bgr
    size = (max(1, round(bgr.shape[1] * scale)), max(1, round(bgr.shape[0] * scale)))
    reduced: Pixels = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    return reduced


def _closer(bgr: Pixels, points: Floats) -> Pixels:
    """A square of a large picture around a small face."""
    span = float(np.hypot(*(points[473] - points[468])))
    side = min(*bgr.shape[:2], round(_ROOMY * span))
    x, y = (points[468] + points[473]) / 2 - (side / 2, side * 0.45)
    left = int(np.clip(x, 0, bgr.shape[1] - side))
    top = int(np.clip(y, 0, bgr.shape[0] - side))
    return _reduced(np.ascontiguousarray(bgr[top : top + side, left : left + side]))


def head_png(portrait: bytes, face: Face | None, size: int) -> bytes:
    """Head and shoulders of a kept portrait, as our engines show them; all of it where no face is known."""
    return png(head(decode(portrait), face, size)[0]) if face else portrait


def head(bgr: Pixels, face: Face, size: int) -> tuple[Pixels, Face]:
    """Cut a square with head and shoulders; returns it at `size` pixels, and the face in it."""
    height, width = bgr.shape[:2]
    points = face.pixels(width, height)
    eyes = (points[468, :2] + points[473, :2]) / 2
    span = float(np.hypot(*(points[473, :2] - points[468, :2])))
    side = max(min(height, width, max(span * 5.9, min(height, width) * 0.25)), span * 3.9)
    beyond = max(0, -(-round(side - min(height, width)) // 2))
    if beyond:  # a narrow picture goes on as its mirror image, so that the whole head has room
        bgr = cv2.copyMakeBorder(bgr, beyond, beyond, beyond, beyond, cv2.BORDER_REFLECT_101)
        points, eyes = points + floats([beyond, beyond, 0]), eyes + beyond
        height, width = bgr.shape[:2]
    x = float(np.clip(eyes[0] - side / 2, 0, width - side))
    y = float(np.clip(eyes[1] - side * 0.43, 0, height - side))
    zoom = size / side
    if zoom < 1:
        x0, y0, s = round(x), round(y), round(side)
        x, y, zoom = x0, y0, size / s
        cut = cv2.resize(bgr[y0 : y0 + s, x0 : x0 + s], (size, size), interpolation=cv2.INTER_AREA)
    else:
        # Pixels are squares: a place p of the cut shows (p + 0.5) / zoom - 0.5.
        matrix = floats([[zoom, 0, (0.5 - x) * zoom - 0.5], [0, zoom, (0.5 - y) * zoom - 0.5]])
        cut = cv2.warpAffine(bgr, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    placed = points.copy()
    placed[:, :2] = (points[:, :2] - floats([x, y])) * zoom
    placed[:, 2] *= zoom
    return cut, Face.of_pixels(placed, size, size, face.warnings)
