"""Whether a found face can be made to speak: refused with what to send instead, or accepted with warnings.

Each threshold separates what was tried: some fifty photos and paintings of faces, and changed copies of them (smaller,
blurred, turned, darkened, cut, with things painted over mouth and eyes).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from shared.core.errors import PictureUnusable
from shared.lipsync.arrays import floats
from shared.lipsync.face import WARNINGS
from shared.lipsync.finder import LIKELY, Found
from shared.lipsync.topology import LEFT_EYE, LEFT_IRIS, LOWER_LIP, OVAL, RIGHT_EYE, RIGHT_IRIS, UPPER_LIP
from shared.media.types import Floats, Pixels

UNLIKELY = 0.72  # score below which nothing is a face, not even a covered or blurred one
SMALLEST, SMALL = 16.0, 30.0  # pixels between the eyes: points are off by 0.04 of it at 16, by 0.02 at 25
WIDEST_TURN, WIDE_TURN = 50.0, 30.0  # degrees: at 46 the far corner of the mouth smears
MOST_TILT = 60.0  # degrees, after the picture was set upright
BLURRED, SOFT = 0.84, 0.66  # share of the steepest edges that a blur of 0.08 eye distances leaves (sharp: 0.2 to 0.45)
RIVAL = 0.6  # a second face of this share of the first one's size leaves open who is meant
INSIDE = 0.75  # least share of the points that must lie in the picture
DARK_LENSES = 0.12  # contrast within the eyes over the light of the cheeks; eyes have 0.23 and more
SHUT = 0.12  # height of an eye over its width; open eyes 0.20 and more
SPECTACLES = 0.8  # steepest step down the bridge of the nose; bare noses reach 0.6
_NO_FACE = "No face was found. Send a sharp photo of one person from the front, in good light."
CHIN = 152
_EYE_DISTANCE = 64  # pixels in the levelled copy that everything is measured in


def check_portrait(bgr: Pixels, faces: Sequence[Found]) -> list[str]:
    """Codes of WARNINGS that hold for the first face. Raises PictureUnusable: one sentence, what to send instead."""
    if not faces or faces[0].score < UNLIKELY:
        raise PictureUnusable(_NO_FACE)
    face = faces[0]
    refuse_rivals(faces)
    levelled = _Levelled(bgr, face)
    blur = levelled.blur()
    if face.score >= LIKELY:
        _refuse_geometry(bgr, faces)
    if blur > BLURRED:
        raise PictureUnusable("The face is blurred. Send a sharp photo.")
    if levelled.mouth_covered():
        raise PictureUnusable("The mouth is covered. Send a photo with nothing in front of the mouth.")
    if face.score < LIKELY:
        raise PictureUnusable(_NO_FACE)
    holds = {
        "turned": abs(turn(face)) > WIDE_TURN,
        "low_resolution": face.eye_distance < SMALL,
        "soft": blur > SOFT,
        "sunglasses": levelled.dark_lenses(),
        "closed_eyes": levelled.eyes_shut(),
        "glasses": levelled.glasses(),
    }
    return [code for code in WARNINGS if holds[code]]


def _refuse_geometry(bgr: Pixels, faces: Sequence[Found]) -> None:
    face = faces[0]
    size = floats([bgr.shape[1], bgr.shape[0]])
    points = face.points[:, :2]
    if abs(tilt(face)) > MOST_TILT:
        raise PictureUnusable("The face is upside down or lies on its side. Turn the photo upright and send it again.")
    if face.eye_distance < SMALLEST:
        raise PictureUnusable(
            f"The face is too small: the eyes are {face.eye_distance:.0f} pixels apart, and {SMALLEST:.0f} are needed. "
            "Send a larger photo or one taken from nearer."
        )
    if abs(yaw := turn(face)) > WIDEST_TURN:
        raise PictureUnusable(f"The face is seen from the side ({abs(yaw):.0f} degrees). Send a photo from the front.")
    inside = np.all((points >= 0) & (points <= size), axis=1)
    needed = [
        CHIN,
        *UPPER_LIP[3],
        *LOWER_LIP[3],
        *LEFT_EYE["upper"],
        *LEFT_EYE["lower"],
        *RIGHT_EYE["upper"],
        *RIGHT_EYE["lower"],
    ]
    if inside.mean() < INSIDE or not inside[needed].all():
        raise PictureUnusable("The face is cut off at the picture's edge. Send a photo that shows the whole head.")


def refuse_rivals(faces: Sequence[Found]) -> None:
    """Raises PictureUnusable when another face leaves open who is meant."""
    if any(other.score >= LIKELY and other.eye_distance > RIVAL * faces[0].eye_distance for other in faces[1:]):
        raise PictureUnusable("There are several faces of about the same size. Send a photo of one person.")


def tilt(face: Found) -> float:
    """How far the head leans, in degrees, clockwise; 180 is upside down."""
    across = face.points[RIGHT_IRIS[0]] - face.points[LEFT_IRIS[0]]
    return float(np.degrees(np.arctan2(across[1], across[0])))


def turn(face: Found) -> float:
    """How far the face looks aside, in degrees, from the depths of the ears."""
    across = face.points[454] - face.points[234]
    return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))


class _Levelled:
    """A copy of the face with level eyes, 64 pixels apart (never enlarged in detail), and its points in it."""

    def __init__(self, bgr: Pixels, face: Found) -> None:
        side = 6 * _EYE_DISTANCE
        scale, angle = _EYE_DISTANCE / face.eye_distance, np.radians(tilt(face))
        middle = (face.points[LEFT_IRIS[0], :2] + face.points[RIGHT_IRIS[0], :2]) / 2
        turned = scale * floats([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        shift = floats([side / 2, side * 0.45]) - turned @ middle
        if scale < 0.8:  # no pixel is skipped
            bgr = cv2.GaussianBlur(bgr, (0, 0), 0.5 * float(np.sqrt(1 / scale**2 - 1)))
        matrix = np.column_stack([turned, shift])
        self.bgr = cv2.warpAffine(bgr, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        self.points = floats(face.points[:, :2] @ turned.T + shift)
        self.luma = cv2.cvtColor(self.bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
        self._face = self._within(OVAL)

    def _within(self, outline: Sequence[int]) -> NDArray[np.bool_]:
        mask = np.zeros(self.bgr.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.round(self.points[list(outline)]).astype(np.int32)], 1)
        return mask > 0

    def blur(self) -> float:
        """Share of the steepest edges that is left after another blur: near 1 when the picture has no finer detail."""

        def steepest(luma: Floats) -> float:
            steps = np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1))
            return float(np.percentile(steps[self._face], 97))

        return steepest(cv2.GaussianBlur(self.luma, (0, 0), 0.08 * _EYE_DISTANCE)) / max(steepest(self.luma), 1e-3)

    def mouth_covered(self) -> bool:
        """Whether there are no lips to be seen: one surface without contrast, or in another colour than the nose's."""
        lips = self._within([*UPPER_LIP[3], *LOWER_LIP[3][::-1]])
        if not lips.any():
            return True
        low, high = np.percentile(self.luma[lips], [5, 95])
        contrast = float(high - low) / max(float(self.luma[self._face].std()), 1e-3)
        around = (cv2.dilate(lips.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0) & ~lips
        lab = cv2.cvtColor(cv2.GaussianBlur(self.bgr, (0, 0), 1), cv2.COLOR_BGR2LAB).astype(np.float32)
        apart = float(np.linalg.norm(lab[lips].mean(axis=0) - lab[around].mean(axis=0)))
        if contrast < 0.42 or apart > 10:  # flat; or unlike what is around it, as lips are
            return contrast < 0.42
        skin = np.median(lab[self._within([168, 50, 197, 280])], axis=0)
        own, near = (float(np.hypot(*(lab[part].mean(axis=0) - skin)[1:])) for part in (lips, around))
        return contrast < 1.35 and near > 11.5 and abs(own - near) < 3

    def dark_lenses(self) -> bool:
        cheeks = float(np.median(self.luma[self._within([50, 205, 36])])) + 1
        spans = []
        for eye in (LEFT_EYE, RIGHT_EYE):
            low, high = np.percentile(self.luma[self._within([*eye["upper"], *eye["lower"][::-1]])], [5, 95])
            spans.append(float(high - low) / cheeks)
        return max(spans) < DARK_LENSES

    def eyes_shut(self) -> bool:
        heights = []
        for eye in (LEFT_EYE, RIGHT_EYE):
            upper, lower = self.points[list(eye["upper"])], self.points[list(eye["lower"])]
            heights.append(float((lower[4, 1] - upper[4, 1]) / max(upper[-1, 0] - upper[0, 0], 1e-3)))
        return max(heights) < SHUT

    def glasses(self) -> bool:
        """A bar across the bridge of the nose."""
        blurred = cv2.GaussianBlur(self.luma, (0, 0), 1.5)
        line = np.linspace(self.points[9], self.points[195], 48).astype(np.float32)
        values = cv2.remap(blurred, line[:, 0], line[:, 1], cv2.INTER_LINEAR).reshape(-1)
        return float(np.abs(np.diff(values)).max()) * 4 / max(float(self.luma.std()), 1e-3) > SPECTACLES
