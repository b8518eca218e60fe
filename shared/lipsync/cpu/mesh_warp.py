"""Warps the lower face by its mesh: lips and jaw are driven, the cheeks between them and what is still follow.

A vertex that is not driven moves by harmonic interpolation: at rest with its neighbours, weighted by nearness. The
picture follows triangle by triangle, each pixel looked up where its triangle was (an inverse warp).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shared.lipsync.arrays import floats
from shared.lipsync.topology import OVAL, TRIANGLES
from shared.media.types import Floats

RING_ABOVE, RING_BELOW = 1.2, 1.38  # a ring around the oval that does not move: below, the chin needs room on the neck
_SHIFT = 4  # bits of a pixel in which polygons are drawn
_FLAT = 0.05  # least area of a triangle, twice, in square pixels: flatter ones are left out


@dataclass(frozen=True)
class Box:
    """A rectangle of the picture; all four even."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def around(cls, points: Floats, margin: float, size: int) -> Box:
        low = np.clip(np.floor((points.min(axis=0) - margin) / 2).astype(int) * 2, 0, size)
        high = np.clip(np.ceil((points.max(axis=0) + margin) / 2).astype(int) * 2, 0, size)
        return cls(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))

    def cut(self, picture: NDArray[np.generic]) -> NDArray[np.generic]:
        return picture[self.y : self.y + self.height, self.x : self.x + self.width]

    def grid(self) -> Floats:
        """x and y of each pixel: (height, width, 2)."""
        ys, xs = np.mgrid[self.y : self.y + self.height, self.x : self.x + self.width].astype(np.float32)
        return np.dstack([xs, ys])


class MeshWarp:
    """The part of a mesh that moves when some of its points are driven."""

    def __init__(self, points: Floats, driven: Sequence[int], still: NDArray[np.bool_], size: int) -> None:
        """points: (478, 2) in pixels of a square picture, `size` wide. still: (478,), those that never move."""
        self.points = np.vstack([points[:468], _ring(points)])
        triangles = np.vstack([TRIANGLES, _ring_triangles()])
        fixed = np.concatenate([still[:468], np.ones(len(OVAL), bool)])
        self.driven = np.array(driven)
        fixed[self.driven] = True
        free = np.flatnonzero(~fixed)
        self._follow = self._harmonic(triangles, free)
        self._free = free
        moving = ~fixed
        moving[self.driven] = True
        self.triangles = triangles[moving[triangles].any(axis=1)]
        self.box = Box.around(self.points[np.unique(self.triangles)], 2, size)
        self.grid = self.box.grid()

    def _harmonic(self, triangles: NDArray[np.intp], free: NDArray[np.intp]) -> Floats:
        """How far each free vertex follows each driven one: (free, driven)."""
        count = len(self.points)
        edges = np.unique(
            np.sort(np.vstack([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [0, 2]]]), axis=1), axis=0
        )
        near = 1 / np.maximum(np.hypot(*(self.points[edges[:, 0]] - self.points[edges[:, 1]]).T), 0.5)
        weights = np.zeros((count, count))
        weights[edges[:, 0], edges[:, 1]] = weights[edges[:, 1], edges[:, 0]] = near
        laplacian = np.diag(weights[free].sum(axis=1)) - weights[np.ix_(free, free)]
        return floats(np.linalg.solve(laplacian, weights[np.ix_(free, self.driven)]))

    def moved(self, by: Floats) -> Floats:
        """All vertices when the driven ones move by (driven, 2)."""
        vertices = self.points.copy()
        vertices[self.driven] += by
        vertices[self._free] += self._follow @ by
        return vertices

    def displacement(self, vertices: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """For each pixel of the box: from where to where it lies in the picture (h, w, 2), and whether it has moved."""
        to, back = vertices[self.triangles], self.points[self.triangles]
        first, second = to[:, 1] - to[:, 0], to[:, 2] - to[:, 0]
        area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
        whole = np.abs(area) > _FLAT
        inverse = np.stack([second[:, 1], -second[:, 0], -first[:, 1], first[:, 0]], axis=1)[whole] / area[whole, None]
        edges = np.stack([back[:, 1] - back[:, 0], back[:, 2] - back[:, 0]], axis=2)[whole]  # (n, xy, edge)
        linear = edges @ inverse.reshape(-1, 2, 2) - np.eye(2, dtype=np.float32)
        offset = back[whole, 0] - to[whole, 0] - (linear @ to[whole, 0, :, None])[:, :, 0]
        table = np.vstack([np.zeros((1, 6), np.float32), np.column_stack([linear.reshape(-1, 4), offset])])
        labels = np.zeros((self.box.height, self.box.width), np.int32)
        corners = np.round((to[whole] - (self.box.x, self.box.y)) * (1 << _SHIFT)).astype(np.int32)
        for number, triangle in enumerate(corners, 1):
            cv2.fillConvexPoly(labels, triangle, number, cv2.LINE_8, _SHIFT)
        a, b, c, d, e, f = table.astype(np.float32).T[:, labels]
        x, y = self.grid[..., 0], self.grid[..., 1]
        return np.dstack([a * x + b * y + e, c * x + d * y + f]), labels > 0


def _ring(points: Floats) -> Floats:
    oval = points[list(OVAL)]
    centre = oval.mean(axis=0)
    down = points[152] - points[10]
    share = np.clip((oval - centre) @ down / float(down @ down) * 2 + 0.5, 0, 1)[:, None]  # 0 at the top, 1 at the chin
    return floats(centre + (oval - centre) * (RING_ABOVE + (RING_BELOW - RING_ABOVE) * share))


def _ring_triangles() -> NDArray[np.intp]:
    count = len(OVAL)
    triangles = []
    for place in range(count):
        after = (place + 1) % count
        triangles += [(OVAL[place], OVAL[after], 468 + place), (OVAL[after], 468 + after, 468 + place)]
    return np.array(triangles, np.intp)
