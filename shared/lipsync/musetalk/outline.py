"""Where the speaking part of a face is: the square that MuseTalk redraws, and the mask by which it is laid over.

As upstream (github.com/TMElyralab/MuseTalk, v1.5, parsing mode "jaw"), whose face parser is replaced by the mesh: skin
is the oval, and nose and lips are cut out of it. The same kernels then work on the same 512 x 512 grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from shared.core.errors import PictureUnusable
from shared.lipsync.arrays import floats
from shared.lipsync.face import Face
from shared.lipsync.topology import LOWER_LIP, OVAL, UPPER_LIP
from shared.media.types import Floats, Pixels

SMALLEST = 96  # pixels: a narrower face has too little to redraw from
# Below the chin, of the box's height: upstream's 10 pixels where the box is as large as the network's.
MARGIN = 10 / 256
_GRID = 512  # pixels a side in which the parser's classes are worked on
_EXPAND = 1.5  # side of the parsed square over the longer side of the box
_CHEEK = 90  # pixels of that grid on either side of its middle that are kept from erosion: the chin
_SIDES = (127, 356)  # of the jaw, ear to ear
_BRIDGE = 5  # where iBUG has its point 29
_NOSE = (168, 6, 48, 64, 98, 97, 2, 326, 327, 294, 278, 129, 358, 49, 279, 217, 437)


@dataclass(frozen=True)
class Outline:
    """box: x1, y1, x2, y2 in pixels. mask: (y2 - y1, x2 - x1), 0..1: how much of the redrawn face is shown."""

    box: tuple[int, int, int, int]
    mask: Floats


def outline(bgr: Pixels, face: Face) -> Outline:
    """The outline in a picture. Raises PictureUnusable with what to send instead."""
    height, width = bgr.shape[:2]
    points = face.pixels(width, height)[:, :2]
    jaw = points[[*OVAL, *_SIDES]]
    lowest, bridge = float(jaw[:, 1].max()), float(points[_BRIDGE, 1])
    reach = lowest - bridge
    x1, x2 = int(jaw[:, 0].min()), int(jaw[:, 0].max())
    y1, y2 = max(0, int(bridge - reach)), min(int(lowest) + round(2 * reach * MARGIN), height)
    if x1 < 0 or x2 > width or lowest > height or bridge - reach < -0.25 * reach:
        raise PictureUnusable("The face is cut off at the picture's edge. Send one that shows the whole head.")
    if min(x2 - x1, y2 - y1) < SMALLEST:
        raise PictureUnusable(
            f"The face is {x2 - x1} x {y2 - y1} pixels; at least {SMALLEST} x {SMALLEST} are needed. Send a larger one."
        )
    return Outline((x1, y1, x2, y2), _mask(points, (x1, y1, x2, y2)))


def _mask(points: Floats, box: tuple[int, int, int, int]) -> Floats:
    x1, y1, x2, y2 = box
    reach = int(max(x2 - x1, y2 - y1) // 2 * _EXPAND)
    left, top, side = (x1 + x2) // 2 - reach, (y1 + y2) // 2 - reach, 2 * reach
    parsed = _speaking(points * 1.0 - (left, top), side)
    whole = np.zeros((side, side), np.uint8)
    inside = cv2.resize(parsed, (side, side), interpolation=cv2.INTER_CUBIC)
    whole[y1 - top : y2 - top, x1 - left : x2 - left] = inside[y1 - top : y2 - top, x1 - left : x2 - left]
    whole[: side // 2] = 0
    kernel = int(0.1 * side // 2 * 2) + 1
    blurred = cv2.GaussianBlur(whole, (kernel, kernel), 0)
    return floats(blurred[y1 - top : y2 - top, x1 - left : x2 - left] / 255.0)


def _speaking(points: Floats, side: int) -> Pixels:
    """What may move, 0 or 255, on the parser's grid. points: in a square of `side` pixels."""
    scaled = points * (_GRID / side)

    def filled(outline: Floats) -> Pixels:
        mask = np.zeros((_GRID, _GRID), np.uint8)
        cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 255)
        return mask

    lips = filled(np.vstack([scaled[list(UPPER_LIP[3])], scaled[list(LOWER_LIP[3])][::-1]]))
    nose = filled(cv2.convexHull(floats(scaled[list(_NOSE)]))[:, 0])
    skin = filled(scaled[list(OVAL)]) & ~nose & ~lips
    grown = cv2.dilate(skin, _cone())
    flat = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (35, 3))
    eroded = cv2.erode(grown, flat, iterations=2)
    cheeks = np.ones((_GRID, _GRID), bool)
    cheeks[:, _GRID // 2 - _CHEEK + 1 : _GRID // 2 + _CHEEK] = False
    region = np.where(cheeks, eroded, grown)
    speaking: Pixels = (region & ~nose) | lips
    return speaking


def _cone() -> Pixels:
    """The kernel by which skin grows: a triangle that widens downwards, and its base carried on."""
    height, tail = 21, 12
    kernel = np.zeros((height + tail, height + tail), np.uint8)
    middle = len(kernel) // 2
    for row in range(height // 2, len(kernel)):
        half = min(row, height - 1) - height // 2
        kernel[row, middle - half : middle + half + 1] = 1
    return kernel
