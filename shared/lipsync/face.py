"""Where a face is in a picture: a mesh of 478 points, found once per persona and kept with it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.core.errors import InvalidInput, PictureUnusable
from shared.lipsync.arrays import floats
from shared.lipsync.topology import POINTS
from shared.media.types import Floats

PNG_KEY = "personaforge:face"  # generated portraits carry their exact face in this PNG text chunk
_STEP = 1 / 8192  # of a coordinate as it is kept: 16 bits reach from -4 to 4, a quarter of a pixel at 2048

# The points by which people tell where a face is, and what they are in the mesh.
KEY_POINTS = {
    "left_eye": 468, "right_eye": 473, "mouth_left": 61, "mouth_right": 291, "lip_top": 0, "lip_bottom": 17,
}  # fmt: skip


# What one should know of an accepted portrait.
WARNINGS = {
    "turned": "The face is turned aside; a photo from the front looks better.",
    "low_resolution": "The face has few pixels; a larger photo gives a sharper video.",
    "soft": "The photo is a little blurred; a sharper one looks better.",
    "sunglasses": "The eyes cannot be seen; they will neither blink nor move.",
    "closed_eyes": "The eyes are closed; they will neither blink nor move.",
    "glasses": "There are glasses; blinks may look less natural behind them.",
}


@dataclass(frozen=True, eq=False)
class Face:
    """mesh: (478, 3); x as a share of the picture's width, y of its height, z of its width (negative: nearer).

    The points are numbered as in topology.py; left is the viewer's left.
    """

    mesh: Floats
    warnings: tuple[str, ...] = ()  # of WARNINGS

    @classmethod
    def of_pixels(cls, points: Floats, width: int, height: int, warnings: tuple[str, ...] = ()) -> Face:
        """From points (478, 3) in a picture's pixels."""
        return cls(floats(points / floats([width, height, width])), warnings)

    @classmethod
    def load(cls, data: Any) -> Face:
        """Read what `dump` wrote. Raises PictureUnusable when it is no face."""
        try:
            raw = base64.b64decode(data["mesh"], validate=True)
            mesh = np.frombuffer(raw, "<i2").reshape(POINTS, 3) * _STEP
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise PictureUnusable("The kept face is damaged. Upload the portrait anew.") from error
        warnings = tuple(str(code) for code in data.get("warnings", ()))
        face = cls(floats(mesh), warnings)
        face._check()
        return face

    def dump(self) -> dict[str, Any]:
        """For JSON; about 4 kB."""
        steps = np.clip(np.round(self.mesh / _STEP), -32768, 32767).astype("<i2")
        return {"mesh": base64.b64encode(steps.tobytes()).decode(), "warnings": list(self.warnings)}

    def pixels(self, width: int, height: int) -> Floats:
        """The points in pixels, (478, 3)."""
        return self.mesh * floats([width, height, width])

    @property
    def key_points(self) -> dict[str, tuple[float, float]]:
        """The six points that people can check and correct, each (x, y) as shares of width and height."""
        return {name: (round(float(x), 4), round(float(y), 4)) for name, (x, y) in zip(
            KEY_POINTS, self.mesh[list(KEY_POINTS.values()), :2], strict=True)}  # fmt: skip

    def corrected(self, points: Mapping[str, tuple[float, float]], aspect: float = 1.0) -> Face:
        """The face with some of its six key points put elsewhere; the mesh follows smoothly.

        aspect: width over height of the picture. Raises InvalidInput when the points do not form an upright face.
        """
        scale = floats([aspect, 1.0])
        now = floats(list(self.key_points.values())) * scale
        wanted = floats([points.get(name, point) for name, point in self.key_points.items()]) * scale
        moved = self.mesh.copy()
        moved[:, :2] = _warped(self.mesh[:, :2] * scale, now, wanted) / scale
        face = Face(moved, self.warnings)
        try:
            face._check()
        except PictureUnusable as error:
            raise InvalidInput("The six points do not form an upright face inside the picture.") from error
        return face

    def _check(self) -> None:
        eye_left, eye_right, left, right, top, bottom = self.mesh[list(KEY_POINTS.values()), :2]
        inside = bool(np.isfinite(self.mesh).all()) and all(
            0 <= value <= 1 for point in (eye_left, eye_right, left, right, top, bottom) for value in point
        )
        upright = eye_left[0] < eye_right[0] and left[0] < right[0]
        ordered = (eye_left + eye_right)[1] / 2 < top[1] < bottom[1]
        if not (inside and upright and ordered):
            raise PictureUnusable("The points do not form an upright face inside the picture.")


def _warped(points: Floats, now: Floats, wanted: Floats) -> Floats:
    """Points moved as `now` moves to `wanted`: the nearest affine map, and what it leaves over as smooth bumps."""
    ones = np.column_stack([now, np.ones(len(now))])
    steady = 0.05 * np.eye(3)  # few points: near the identity where they leave the map open
    affine = np.linalg.lstsq(np.vstack([ones, steady]), np.vstack([wanted - now, np.zeros((3, 2))]), rcond=None)[0]
    left = wanted - now - ones @ affine
    reach = 0.6 * np.hypot(*(now[1] - now[0]))

    def bumps(places: Floats) -> Floats:
        apart = np.hypot(*(places[:, None] - now[None]).transpose(2, 0, 1))
        return floats(np.exp(-((apart / reach) ** 2)))

    weights = np.linalg.solve(bumps(now), left)
    return floats(points + np.column_stack([points, np.ones(len(points))]) @ affine + bumps(points) @ weights)
