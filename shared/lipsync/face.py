"""Where a face is in a picture: six points, found once per persona and kept with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from shared.errors import PictureUnusable
from shared.lipsync.arrays import Floats, floats

Point = tuple[float, float]

PNG_KEY = "personaforge:face"  # drawn portraits carry their exact face in this PNG text chunk


@dataclass(frozen=True)
class Face:
    """Six points, each (x, y) as fractions of the picture's width and height; left is the viewer's left."""

    left_eye: Point
    right_eye: Point
    mouth_left: Point
    mouth_right: Point
    lip_top: Point
    lip_bottom: Point

    @classmethod
    def load(cls, data: dict[str, Any]) -> Face:
        """Read what `dump` wrote. Raises PictureUnusable when the points cannot be a face."""
        try:
            points = {name: (float(data[name][0]), float(data[name][1])) for name in cls.__annotations__}
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise PictureUnusable("The six face points are incomplete; send all six as [x, y].") from error
        face = cls(**points)
        inside = all(0 <= value <= 1 for point in points.values() for value in point)
        upright = face.left_eye[0] < face.right_eye[0] and face.mouth_left[0] < face.mouth_right[0]
        ordered = face.left_eye[1] < face.lip_top[1] < face.lip_bottom[1]
        if not (inside and upright and ordered):
            raise PictureUnusable("The six face points do not form an upright face inside the picture.")
        return face

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    def pixels(self, width: int, height: int) -> Floats:
        """The six points in pixels, shape (6, 2), in the order of the fields."""
        return floats(list(asdict(self).values())) * floats([width, height])
