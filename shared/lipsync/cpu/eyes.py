"""The eyes of one picture: lids that close from the crease down, and eyeballs that look aside.

Each eye is worked on in its own axes: u along it from corner to corner, 0..1, and v below that line, both in eye
widths. In each column the skin from the crease to the lid stretches as the lid falls; the lashes move as they are, and
the brow stays.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from shared.lipsync.arrays import floats, smoothstep
from shared.lipsync.cpu.mesh_warp import Box
from shared.lipsync.topology import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from shared.media.nv12 import Patch
from shared.media.types import Floats, Pixels

LID_STEPS, GAZE_STEPS = 8, 6  # from open to shut; from the middle to one side
GAZE_ASIDE, GAZE_UP = 0.12, 0.04  # of an eye's width at a gaze of 1: more looks uncanny in a still face
CLOSES = 0.96  # of the way to the lower lid, which rises by the rest and a little
_LASHES = (-0.035, 0.02)  # above and below the lid's edge: moves as it is
KEPT = 96  # pairs of patches


class EyeRig:
    """Draws eyes and keeps what it drew: 2 ms for a new pair at 512 pixels."""

    def __init__(self, bgr: Pixels, points: Floats, *, glasses: bool = False) -> None:
        """bgr: square picture. points: the mesh (478, 3) in its pixels. glasses: their rims stay where they are."""
        flat = floats(points[:, :2])
        self._eyes = [
            _Eye(bgr, flat, contours, iris, glasses)
            for contours, iris in ((LEFT_EYE, LEFT_IRIS), (RIGHT_EYE, RIGHT_IRIS))
        ]
        self.blinks = not any(eye.rimmed for eye in self._eyes)  # a rim on the lid would be torn
        self._patches: OrderedDict[tuple[int, int, int], list[Patch]] = OrderedDict()
        self._keeping = threading.Lock()

    def patches(self, shut: float, aside: float = 0.0, up: float = 0.0) -> list[Patch]:
        """Both eyes; none where the photo's own pixels stay.

        shut: 0..1. aside, up: -1..1, to the viewer's right and up. Rounded to the nearest step.
        """
        key = (
            round(min(1.0, max(0.0, shut)) * LID_STEPS) if self.blinks else 0,
            round(min(1.0, max(-1.0, aside)) * GAZE_STEPS),
            round(min(1.0, max(-1.0, up)) * GAZE_STEPS / 2),
        )
        if key == (0, 0, 0):
            return []
        with self._keeping:
            found = self._patches.get(key)
            if found is None:
                lid, x, y = key[0] / LID_STEPS, key[1] / GAZE_STEPS, 2 * key[2] / GAZE_STEPS
                found = self._patches[key] = [eye.draw(lid, x, y) for eye in self._eyes]
                if len(self._patches) > KEPT:
                    self._patches.popitem(last=False)
            self._patches.move_to_end(key)
            return found

    @property
    def kept_bytes(self) -> int:
        return sum(patch.nbytes for pair in self._patches.values() for patch in pair)


class _Eye:
    def __init__(
        self, bgr: Pixels, flat: Floats, contours: Mapping[str, Sequence[int]], iris: Sequence[int], glasses: bool
    ) -> None:
        corner, other = flat[contours["upper"][0]], flat[contours["upper"][-1]]
        self._width = float(max(np.hypot(*(other - corner)), 4.0))
        self._along = floats((other - corner) / self._width)
        self._below = floats([-self._along[1], self._along[0]])
        self._origin = corner
        upper, lower, crease, brow = (
            self._axes(flat[list(contours[name])]) for name in ("upper", "lower", "crease", "brow")
        )
        reach = np.vstack([flat[list(contours["brow"])], flat[list(contours["crease"])], flat[list(contours["lower"])]])
        self.box = Box.around(reach, 0.28 * self._width, len(bgr))
        self._grid = self.box.grid()
        self._still = np.ascontiguousarray(self.box.cut(bgr)).astype(np.float32)
        self._bgr = bgr
        axes = self._axes(self._grid)
        self._u, self._v = axes[..., 0], axes[..., 1]
        columns = self._u

        def line(points: Floats) -> Floats:
            order = np.argsort(points[:, 0])
            return floats(np.interp(columns, points[order, 0], points[order, 1]))

        self._lid, self._lower = line(upper), np.maximum(line(lower), line(upper))
        self._upper = upper[np.argsort(upper[:, 0])]
        self._crease = np.minimum(line(crease), self._lid - 0.05)
        # Above the crease only a little skin gives way: further up, brow hair would be drawn into the lid.
        self._fixed = np.minimum(np.maximum(line(brow) + 0.05, self._crease - 0.12), self._crease - 0.02)
        if glasses:  # a rim often stands just at the crease
            self._crease = np.minimum(self._crease + 0.08, self._lid - 0.05)
            self._fixed = self._crease - 0.02
        self._inside = np.clip(np.minimum(columns, 1 - columns) / 0.08 + 0.5, 0, 1)  # soft at the corners
        self._centre = self._axes(flat[iris[0]][None])[0]
        self._radius = float(np.mean([np.hypot(*(flat[k] - flat[iris[0]])) for k in iris[1:]])) / self._width
        # Skin of the lid: what is stretched is mixed with it, so that the stretch shows no streaks.
        self._skin = cv2.GaussianBlur(self._still, (0, 0), 0.09 * self._width)
        self._fold = self._sample(columns, self._crease, self._skin)
        under = self._sample(columns, floats(self._lower + 0.22), self._skin)
        # Under a low brow the fold lies in its shadow or in its hair: the skin below the eye tells what a lid is like.
        light, usual = (np.maximum(skin.mean(axis=2), 1) for skin in (self._fold, under))
        self._shaded = smoothstep((0.8 - light / usual) / 0.3)[..., None]
        self._fold += (0.72 * under - self._fold) * (0.7 * self._shaded)
        self.rimmed = glasses and self._rimmed()

    def _axes(self, points: Floats) -> Floats:
        away = points - self._origin
        return floats(np.stack([away @ self._along, away @ self._below], axis=-1) / self._width)

    def draw(self, shut: float, aside: float, up: float) -> Patch:
        drop = CLOSES * shut * (self._lower - self._lid)
        rise = 0.08 * shut * (self._lower - self._lid)
        u, v = self._u, self._v
        lid = self._lid + drop
        # Knots down each column, where they are now and where they were: fixed skin, crease, lashes.
        crease = self._crease + np.minimum(0.45 * drop, 1.5 * (self._crease - self._fixed))
        top, bottom = lid + _LASHES[0], lid + _LASHES[1]
        was_top = self._lid + _LASHES[0]
        source = np.where(
            v < crease,
            self._fixed + (v - self._fixed) * (self._crease - self._fixed) / np.maximum(crease - self._fixed, 1e-3),
            np.where(
                v < top,
                self._crease + (v - crease) * (was_top - self._crease) / np.maximum(top - crease, 1e-3),
                v - drop,
            ),
        )
        covered = np.clip((bottom - v) * self._width + 0.5, 0, 1) * np.clip((v - self._fixed) / 0.05, 0, 1)
        covered *= self._inside * min(1.0, shut * 8)
        near = np.clip((v - self._lower) / 0.18, 0, 1)
        below = np.where(v > self._lower - rise, rise * (1 - near), 0) * self._inside
        x = u
        y = v + below
        if aside or up:
            distance = np.hypot(u - self._centre[0], v - self._centre[1]) / max(self._radius, 1e-3)
            share = np.clip((1.9 - distance) / (1.9 - 1.05), 0, 1)
            within = np.clip((v - self._lid - 0.03) / 0.03, 0, 1) * np.clip((self._lower - v) / 0.03, 0, 1)
            share = share * within * self._inside
            x = u - GAZE_ASIDE * aside * share
            y = y + GAZE_UP * up * share
            # The lashes stay where they are, and are not taken for a part of the eyeball.
            lashes = np.interp(x, self._upper[:, 0], self._upper[:, 1]) + 0.05
            y = np.where(share > 0, np.maximum(y, lashes), y)
        drawn = self._sample(x, floats(y))
        if shut:
            lids = self._sample(u, source)
            stretched = smoothstep((v - self._crease) / 0.16) * np.clip((top - v) / 0.03, 0, 1) * shut
            lids += (self._fold - lids) * stretched[..., None] * (0.35 + 0.3 * self._shaded)
            drawn += (lids - drawn) * covered[..., None]
        return Patch.of(np.clip(drawn + 0.5, 0, 255).astype(np.uint8), self.box.x, self.box.y)

    def _rimmed(self) -> bool:
        """Whether a rim of glasses lies on the lid: a dark line between the fold and the lashes, across the eye."""
        between = (self._v > self._crease) & (self._v < self._lid - 0.1) & (self._u > 0.2) & (self._u < 0.8)
        light = cv2.GaussianBlur(self._still, (0, 0), 1.0).mean(axis=2)
        return bool(between.any() and np.percentile(light[between], 10) < 0.55 * np.percentile(light[between], 90))

    def _sample(self, u: Floats, v: Floats, of: Floats | None = None) -> Floats:
        x = self._origin[0] + self._width * (u * self._along[0] + v * self._below[0])
        y = self._origin[1] + self._width * (u * self._along[1] + v * self._below[1])
        source = self._still if of is None else of
        places = floats(np.dstack([x - self.box.x, y - self.box.y]))
        return floats(cv2.remap(source, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
