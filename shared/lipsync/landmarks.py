"""Where the speaking part of a face is: the square that MuseTalk redraws, and the mask by which it is laid over.

By MediaPipe's FaceLandmarker where its file is there (Apache-2.0, fetched by weights.py), else from the six points
that the cpu engine works with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from shared.errors import PictureUnusable
from shared.lipsync.arrays import Floats, Pixels, floats
from shared.lipsync.face import Face

LANDMARKER = "face_landmarker.task"
SMALLEST = 96  # pixels: a narrower face has too little to redraw from
WIDEST_TURN = 35.0  # degrees

# Points of MediaPipe's mesh: the jaw from ear to ear, and the one where iBUG has its point 29.
_JAW = (
    127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356,
)  # fmt: skip
_BRIDGE = 5


@dataclass(frozen=True)
class Outline:
    """box: x1, y1, x2, y2 in pixels. mask: (y2 - y1, x2 - x1), 0..1, 0 at its rim and in its upper half."""

    box: tuple[int, int, int, int]
    mask: Floats


def outline(bgr: Pixels, face: Face, landmarker: Path | None = None) -> Outline:
    """Find the outline in a picture. Raises PictureUnusable with what to send instead."""
    jaw, bridge = _meshed(bgr, landmarker) if landmarker and landmarker.exists() else _estimated(bgr, face)
    return _outline(bgr.shape[0], bgr.shape[1], jaw, bridge)


def _meshed(bgr: Pixels, landmarker: Path) -> tuple[Floats, float]:
    """Jaw points (n, 2) and the height of the nose's bridge, in pixels, by MediaPipe."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(landmarker)),
        num_faces=2,
        output_facial_transformation_matrixes=True,
    )
    with vision.FaceLandmarker.create_from_options(options) as finder:
        rgb = np.ascontiguousarray(bgr[:, :, ::-1])
        found = finder.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb))
    if not found.face_landmarks:
        raise PictureUnusable("No face was found. Send a portrait of one person from the front, in good light.")
    if len(found.face_landmarks) > 1:
        raise PictureUnusable("There are several faces. Send a portrait of one person.")
    turn = np.asarray(found.facial_transformation_matrixes[0])[:3, :3]
    _refuse_profile(float(np.degrees(np.arcsin(np.clip(turn[0, 2], -1, 1)))))
    size = bgr.shape[1], bgr.shape[0]
    points = floats([[one.x * size[0], one.y * size[1]] for one in found.face_landmarks[0]])
    return points[list(_JAW)], float(points[_BRIDGE, 1])


def _estimated(bgr: Pixels, face: Face) -> tuple[Floats, float]:
    """The same from eyes and mouth, by the proportions of faces: widths in distances between the pupils."""
    points = face.pixels(bgr.shape[1], bgr.shape[0])
    left, right, corner_left, corner_right = points[:4]
    eyes, mouth = (left + right) / 2, (corner_left + corner_right) / 2
    span = float(np.hypot(*(right - left)))
    down = mouth - eyes
    across = (right - left) / max(span, 1e-6)
    _refuse_profile(float(np.degrees(np.arctan2(float(np.dot(down, across)), float(np.hypot(*down))))) * 2)
    chin = mouth + 0.72 * down
    middle, wide, tall = eyes + 0.15 * down, 1.1 * span, float(np.hypot(*(chin - eyes - 0.15 * down)))
    angles = np.linspace(0, np.pi, 23)
    below = down / max(float(np.hypot(*down)), 1e-6)
    jaw = middle - np.outer(np.cos(angles) * wide, across) + np.outer(np.sin(angles) * tall, below)
    return floats(jaw), float((eyes + 0.42 * down)[1])


def _refuse_profile(degrees: float) -> None:
    if abs(degrees) > WIDEST_TURN:
        raise PictureUnusable(f"The face is turned by about {abs(degrees):.0f} degrees. Send one seen from the front.")


def _outline(height: int, width: int, jaw: Floats, bridge: float) -> Outline:
    lowest = float(jaw[:, 1].max())
    reach = lowest - bridge
    x1, x2 = round(float(jaw[:, 0].min())), round(float(jaw[:, 0].max()))
    y1, y2 = max(0, round(bridge - reach)), min(round(lowest) + 10, height)
    if x1 < 0 or x2 > width or lowest > height or bridge - reach < -0.25 * reach:
        raise PictureUnusable("The face is cut off at the picture's edge. Send one that shows the whole head.")
    if min(x2 - x1, y2 - y1) < SMALLEST:
        raise PictureUnusable(
            f"The face is {x2 - x1} x {y2 - y1} pixels; at least {SMALLEST} x {SMALLEST} are needed. Send a larger one."
        )
    mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
    cv2.fillPoly(mask, [np.round(jaw - (x1, y1)).astype(np.int32)], 255)
    mask[: len(mask) // 2] = 0
    rim = round(0.05 * (x2 - x1))
    mask[:, :rim] = mask[:, -rim:] = mask[-rim:] = 0
    blur = int(0.1 * (x2 - x1)) // 2 * 2 + 1
    return Outline((x1, y1, x2, y2), floats(cv2.GaussianBlur(mask, (blur, blur), 0) / 255.0))
