"""How a still picture moves as a whole: fields of displacement, one for each way to move, added up for each frame.

The fields are smooth, so a coarse grid holds them. Turning uses the depth of the mesh: what is near goes further.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from shared.lipsync.arrays import floats, smoothstep
from shared.lipsync.topology import JAW, LEFT_EYE, LEFT_IRIS, LOWER_LIP, OVAL, RIGHT_EYE, RIGHT_IRIS
from shared.media.types import Floats, Pixels

GRID = 32  # places a side, over the picture; one more on every side, so that its rim is interpolated too


class Pose(NamedTuple):
    """How the head is held. Angles in radians, lengths in eye distances; all 0 is the picture itself."""

    yaw: float = 0.0  # to the viewer's right
    pitch: float = 0.0  # down
    roll: float = 0.0  # clockwise
    aside: float = 0.0  # the whole head, to the right
    down: float = 0.0
    breath: float = 0.0  # shoulders up
    brows: float = 0.0  # up
    jaw: float = 0.0  # chin down, beyond what the mouth's shape does to it


class HeadField:
    """The fields of one picture."""

    def __init__(self, points: Floats, size: int) -> None:
        """points: the mesh (478, 3) in pixels of a square picture, `size` wide."""
        self.size = size
        ticks = (np.arange(-1, GRID + 1, dtype=np.float32) + 0.5) * size / GRID - 0.5
        x, y = (floats(axis) for axis in np.meshgrid(ticks, ticks))
        eyes = (points[LEFT_IRIS[0], :2] + points[RIGHT_IRIS[0], :2]) / 2
        span = float(np.hypot(*(points[RIGHT_IRIS[0], :2] - points[LEFT_IRIS[0], :2])))
        self.span = span
        dx, dy = (x - eyes[0]) / span, (y - eyes[1]) / span
        rim = smoothstep(np.minimum.reduce([x, y, size - x]) / (0.12 * size))
        # The head: none of it beyond 2.4 eye distances aside and 2.5 above; on the neck it fades out.
        sides = smoothstep((2.4 - np.abs(dx)) / 1.0)
        head = rim * sides * np.where(dy < 0, smoothstep((2.5 + dy) / 0.9), smoothstep((2.5 - dy) / (2.5 - 1.15)))
        depth = self._depth(points, span, np.stack([x, y], axis=-1))
        none = np.zeros_like(head)
        pivot = eyes + floats([0, 1.5 * span])
        brows = np.zeros_like(head)
        for eye in (LEFT_EYE, RIGHT_EYE):
            bx, by = (dx, dy) - (points[eye["brow"][2], :2] - eyes)[:, None, None] / span
            brows += np.exp(-((bx / 0.42) ** 2) - (by / np.where(by > 0, 0.22, 0.45)) ** 2)  # further up than down
        shoulders = smoothstep((y / size - 0.62) / 0.25) * smoothstep(np.minimum(x, size - x) / (0.12 * size))
        # Each says where a pixel comes from: against the way it moves.
        fields = [
            (head * depth, none),
            (none, head * depth),
            (head * (y - pivot[1]), -head * (x - pivot[0])),
            (-head * span, none),
            (none, -head * span),
            (none, shoulders * span),
            (none, floats(brows) * span * rim),
            (none, -self._chin(points, span, x, y) * span),
        ]
        self._basis = floats(fields).reshape(len(fields), -1)
        self._places = np.stack([x, y])

    @staticmethod
    def _depth(points: Floats, span: float, grid: Floats) -> Floats:
        """How much nearer than the pivot behind the ears each place of the grid is, in pixels."""
        ears = float(points[[234, 454], 2].mean())
        apart = ((grid[:, :, None] - points[None, None, :468, :2]) ** 2).sum(axis=-1)
        weights = np.exp(-apart / (2 * (0.16 * span) ** 2)) + 1e-12
        z = (weights * points[:468, 2]).sum(axis=-1) / weights.sum(axis=-1)
        oval = points[list(OVAL), :2].astype(np.float32)
        outside = np.array(
            [-cv2.pointPolygonTest(oval, (float(px), float(py)), True) for px, py in grid.reshape(-1, 2)]
        )
        fade = smoothstep(floats(outside).reshape(z.shape) / (0.7 * span))
        z = z + (ears + 0.25 * span - z) * fade
        return floats(z - (ears + 0.15 * span))

    @staticmethod
    def _chin(points: Floats, span: float, x: Floats, y: Floats) -> Floats:
        """1 at the chin, 0 from the lips up."""
        jaw = [(point, share) for share, numbers in JAW.items() for point in numbers]
        lip = float(points[list(LOWER_LIP[3]), 1].max())
        near = np.zeros_like(x)
        for point, share in jaw:
            px, py = points[point, :2]
            near = np.maximum(near, share * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (0.2 * span) ** 2)))
        return floats(near * smoothstep((y - lip) / (0.25 * span)))

    def places(self, pose: Pose) -> Floats:
        """Where in the still picture each place of the grid comes from, x and y in pixels: (2, GRID + 2, GRID + 2)."""
        return floats(self._places + (floats(pose) @ self._basis).reshape(self._places.shape))

    def warped(self, picture: Pixels, places: Floats, out: Pixels | None = None) -> Pixels:
        """A picture moved so; also one of half the size that the places are meant for."""
        side = len(picture)
        rim, half = side // GRID, side / self.size
        inner = slice(rim, rim + side)
        maps = [
            cv2.resize((plane + 0.5) * half - 0.5, (side + 2 * rim, side + 2 * rim))[inner, inner] for plane in places
        ]
        moved: Pixels = cv2.remap(picture, *maps, cv2.INTER_LINEAR, dst=out, borderMode=cv2.BORDER_REPLICATE)
        return moved
