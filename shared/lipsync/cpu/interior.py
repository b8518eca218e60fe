"""What an open mouth shows: teeth (the photo's own ones where it has them), tongue, and the dark behind.

Drawn in the mouth's axes, in mouth widths; see mouth.py. Colours come from the photo: lips, skin and the white of the
eyes, the light from one side, its sharpness and its grain.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shared.lipsync.arrays import floats, smoothstep
from shared.lipsync.topology import LEFT_CHEEK, LEFT_EYE, LOWER_LIP, RIGHT_CHEEK, RIGHT_EYE, SKIN, UPPER_LIP
from shared.lipsync.visemes import Mouth
from shared.media.types import Floats, Pixels

_FINE = 4  # subpixels a side in which the opening is filled
_OWN_JAW = 0.26  # own gap from which the lower teeth move with the jaw
# Lower edges of the upper teeth below the resting edge of the lip, and the gaps between them, from the middle outwards.
_TOOTH_EDGES, _TOOTH_GAPS = (0.050, 0.038, 0.046, 0.030), (0.0, 0.155, 0.285, 0.385, 0.455)


@dataclass(frozen=True)
class Opening:
    """The hole between the lips, in pixels of the mouth's patch.

    box: x, y, width, height around it. alpha (height, width): how much of each pixel it covers. top, bottom (width):
    its edges in each column. core: pixels of the whole patch that lie within it.
    """

    box: tuple[int, int, int, int]
    alpha: Floats
    top: Floats
    bottom: Floats
    core: NDArray[np.bool_]

    @classmethod
    def between(cls, upper: Floats, lower: Floats, shape: tuple[int, int]) -> Opening | None:
        """Between two edges of 11 points each, left to right; None when the lips are closed."""
        if float((lower[2:-2] - upper[2:-2])[:, 1].max()) < 0.35:
            return None
        up, low = _curve(upper), _curve(lower)
        low = np.column_stack([low[:, 0], np.maximum(low[:, 1], np.interp(low[:, 0], up[:, 0], up[:, 1]))])
        outline = np.vstack([up, low[::-1]])
        x, y = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 6, 0)
        right, under = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 7, shape[::-1])
        w, h = int(right - x), int(under - y)
        if w < 1 or h < 1:
            return None  # beyond the picture's rim
        fine = np.zeros((h * _FINE, w * _FINE), np.uint8)
        corners = np.round(((outline - (x, y) + 0.5) * _FINE - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(fine, [corners], 255, cv2.LINE_8, 4)
        alpha = cv2.resize(fine, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        core = np.zeros(shape, bool)
        core[y : y + h, x : x + w] = alpha > 0.5
        columns = np.arange(w, dtype=np.float32)
        top = np.interp(columns, up[:, 0] - x, up[:, 1] - y)
        bottom = np.interp(columns, low[:, 0] - x, low[:, 1] - y)
        return cls((int(x), int(y), w, h), alpha, floats(top), floats(bottom), core)


def _curve(points: Floats, steps: int = 6) -> Floats:
    """A smooth line through points (Catmull-Rom)."""
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    parts = []
    for t in np.arange(steps) / steps:
        parts.append(
            0.5 * (2 * start + (end - before) * t + (2 * before - 5 * start + 4 * end - after) * t**2
                   + (3 * start - before - 3 * end + after) * t**3)
        )  # fmt: skip
    line = np.stack(parts, axis=1).reshape(-1, 2)
    return floats(np.vstack([line, points[-1:]]))


class Interior:
    """Paints the inside of one picture's mouth."""

    def __init__(self, bgr: Pixels, points: Floats, unit: float, parted: bool) -> None:
        self._bgr, self._unit, self._parted = bgr, unit, parted
        flat = floats(points[:, :2])
        across = flat[291] - flat[61]
        along = across / np.hypot(*across)
        self._down = floats([-along[1], along[0]])
        turn = floats(np.stack([along, self._down], axis=1) / unit)
        self._upper, self._lower = ((flat[list(lip[0])] - flat[13]) @ turn for lip in (UPPER_LIP, LOWER_LIP))
        self._halves = (max(0.05, -float(self._upper[0, 0])), max(0.05, float(self._upper[-1, 0])))
        self._gap = float(np.maximum(self._lower[:, 1] - self._upper[:, 1], 0)[5])
        self._colours(flat)
        self._sharpness, self._grain = _texture(bgr, flat, unit)

    def _colours(self, flat: Floats) -> None:
        """Lip, tooth and side light from the photo, BGR."""

        def around(points: Floats, share: float = 0.04) -> Floats:
            reach = max(1, round(share * self._unit))
            parts = []
            for x, y in np.round(points).astype(int):
                part = self._bgr[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].reshape(-1, 3)
                if len(part):
                    parts.append(np.median(part, axis=0))
            return floats(parts) if parts else floats([[90, 110, 160]])

        lips = [floats(flat[list(lip[1])] + flat[list(lip[2])])[2:-2] / 2 for lip in (UPPER_LIP, LOWER_LIP)]
        self._lip = floats(np.median(around(floats(np.vstack(lips)), 0.015), axis=0))
        skin = floats(np.median(around(flat[list(SKIN)]), axis=0))
        eyes = np.vstack([self._inside([*eye["upper"], *eye["lower"][::-1]], flat) for eye in (LEFT_EYE, RIGHT_EYE)])
        light = eyes @ _LUMA
        white = floats(np.median(eyes[light >= np.percentile(light, 80)], axis=0)) if len(eyes) else floats([190] * 3)
        skin_light = float(skin @ _LUMA)
        tooth_light = min(
            235.0, float(np.clip(0.5 * float(white @ _LUMA) + 0.62 * skin_light, 1.18 * skin_light, 1.75 * skin_light))
        )
        ivory = floats([-16.0, -1.0, 4.0]) * min(1.0, float(np.ptp(skin)) / 40)  # a grey photo has grey teeth
        tint = 0.25 * (white - white @ _LUMA) + 0.2 * (skin - skin_light) + 0.5 * ivory
        self._tooth = floats(np.clip(tooth_light + tint, 0, 245))
        left, right = (float(around(flat[[cheek]], 0.08)[0] @ _LUMA) + 1 for cheek in (LEFT_CHEEK, RIGHT_CHEEK))
        self._side = float(np.clip((right - left) / (right + left), -0.35, 0.35))

    def _inside(self, outline: list[int], flat: Floats) -> Floats:
        mask = np.zeros(self._bgr.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.round(flat[outline]).astype(np.int32)], 1)
        return floats(self._bgr[mask > 0].reshape(-1, 3))

    def paint(self, mouth: Mouth, opening: Opening, grid: Floats, pixels: Floats, drop: float) -> Floats:
        """The inside, BGR floats (h, w, 3), over the opening's box.

        grid: each pixel in the mouth's axes. pixels: its place in the picture. drop: of the lower lip, in mouth widths.
        """
        u, v = grid[..., 0], grid[..., 1]
        rows = np.arange(len(u), dtype=np.float32)[:, None]
        above = (rows - opening.top) / self._unit  # below the upper lip's edge
        under = (opening.bottom - rows) / self._unit  # above the lower lip's edge
        height = floats(np.maximum(above + under, 1e-3))
        tallest = float(height.max())
        depth = floats(np.clip(above / height, 0, 1))
        half = np.where(u < 0, self._halves[0], self._halves[1])
        aside = np.abs(u) / (2 * half)  # of the whole inner width
        colour = self._throat(depth)
        self._lay_tongue(colour, mouth, floats(u / half), under, height, tallest)
        if tallest > 0.2:
            self._lay_lower_teeth(colour, aside, under, tallest)
        if self._parted:
            self._lay_own_teeth(colour, u, v, pixels, above, drop)
        else:
            self._lay_upper_teeth(colour, mouth, u, v, aside, above)
        rim = np.minimum(above / 0.022, 1)[..., None]
        colour += (self._lip * 0.5 - colour) * np.clip(1 - rim, 0, 1) * 0.8
        wet = np.clip(1 - under / 0.045, 0, 1)[..., None]
        colour += (self._lip * 0.68 - colour) * wet * (0.75 if tallest > 0.03 else 0.4)
        self._lay_tongue_tip(colour, mouth, floats(u / half), under, height)
        colour *= 1 + 2 * self._side * np.clip(u, -0.5, 0.5)[..., None]
        colour = cv2.GaussianBlur(colour, (0, 0), self._sharpness)
        noise = _GRAIN[: len(u), : u.shape[1]]
        if noise.shape == u.shape:
            colour += noise[..., None] * self._grain
        return floats(np.clip(colour, 0, 255))

    def _throat(self, depth: Floats) -> Floats:
        dark = self._lip * floats([0.18, 0.17, 0.25])
        light = 0.55 + 1.1 * np.abs(depth - 0.42)
        return floats(dark * light[..., None])

    def _lay_tongue(
        self, colour: Floats, mouth: Mouth, across: Floats, under: Floats, height: Floats, tallest: float
    ) -> None:
        if tallest < 0.05:
            return
        shape = np.sqrt(np.clip(1 - (across / (0.78 - 0.18 * mouth.tongue)) ** 2, 0, 1))
        reach = (0.42 + 0.3 * mouth.tongue) * height * shape
        tongue = smoothstep((reach - under + 0.015) / 0.035) * (shape > 0)
        dim = (0.58 + 0.26 * mouth.tongue) * (0.75 + 0.35 * np.clip(under / np.maximum(reach, 1e-3), 0, 1))
        flesh = self._lip * floats([0.92, 0.88, 1.02])
        colour += (flesh * dim[..., None] - colour) * (tongue * 0.9)[..., None]

    def _lay_tongue_tip(self, colour: Floats, mouth: Mouth, across: Floats, under: Floats, height: Floats) -> None:
        """Between the teeth, for th: over all but the upper edge of them."""
        if mouth.tongue < 0.75:
            return
        shape = np.sqrt(np.clip(1 - (across / 0.66) ** 2, 0, 1))
        tip = smoothstep((0.68 * height * shape - under) / 0.018 + 0.5) * (shape > 0)
        light = 0.82 + 0.26 * smoothstep(under / np.maximum(0.6 * height, 1e-3))  # lit from above, as tongues are
        flesh = self._lip * floats([1.0, 0.92, 1.08])
        colour += (np.minimum(flesh, 235) * light[..., None] - colour) * tip[..., None]

    def _lay_lower_teeth(self, colour: Floats, aside: Floats, under: Floats, tallest: float) -> None:
        edge = 0.052 * min(1.0, (tallest - 0.2) / 0.06)
        visible = smoothstep((edge - under) / 0.012 + 0.5) * (1 - smoothstep((aside - 0.2) / 0.18))
        gaps = 1 - 0.2 * np.exp(-((((aside * 2 / 0.17) % 1 - 0.5) / 0.09) ** 2))
        colour += (self._tooth * (0.42 * gaps)[..., None] - colour) * (visible * 0.75)[..., None]

    def _lay_upper_teeth(
        self, colour: Floats, mouth: Mouth, u: Floats, v: Floats, aside: Floats, above: Floats
    ) -> None:
        resting = np.interp(u, self._upper[:, 0], self._upper[:, 1])  # teeth are fixed to the skull
        below = v - resting
        tooth = np.searchsorted(_TOOTH_GAPS, aside, side="right") - 1
        inside = tooth < len(_TOOTH_EDGES)
        tooth = np.minimum(tooth, len(_TOOTH_EDGES) - 1)
        gaps = np.array(_TOOTH_GAPS)
        low, high = gaps[tooth], gaps[tooth + 1]
        place = np.abs((aside - low) / (high - low) * 2 - 1)  # 0 in the tooth's middle, 1 at its sides
        hidden = 0.03 * float(np.clip((1 - mouth.width) / 0.3, 0, 1))  # pursed lips cover them
        edge = np.array(_TOOTH_EDGES)[tooth] - 0.012 * place**4 - hidden
        soft = 0.7 / self._unit
        visible = np.clip((edge - below) / soft + 0.5, 0, 1) * inside
        light = (1 - 0.55 * smoothstep((aside - 0.14) / 0.36)) * (0.68 + 0.32 * np.clip(above / 0.055, 0, 1))
        light *= 1 - 0.16 * np.clip((place - 0.86) / 0.14, 0, 1)
        light *= 0.94 + 0.06 * np.clip((edge - below) / 0.03, 0, 1)
        colour += (self._tooth * light[..., None] - colour) * visible[..., None]

    def _lay_own_teeth(self, colour: Floats, u: Floats, v: Floats, pixels: Floats, above: Floats, drop: float) -> None:
        """The photo's own open mouth where it was; its lower half moves with the jaw when that was wide open."""
        top = np.interp(u, self._upper[:, 0], self._upper[:, 1]) + 0.012
        bottom = np.interp(u, self._lower[:, 0], self._lower[:, 1]) - 0.02
        wanted = v
        if self._gap > _OWN_JAW:
            middle = (top + bottom) / 2
            wanted = np.where(v > middle + min(0.0, drop), np.maximum(v - drop, middle), v)
        row = np.clip(wanted, top, np.maximum(bottom, top))
        shift = ((row - v) * self._unit).astype(np.float32)[..., None]
        own = cv2.remap(self._bgr, pixels + shift * self._down, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        beyond = np.clip(1 - (wanted - bottom) / 0.03, 0, 1) * (bottom > top)
        sides = np.clip((u + self._halves[0]) / 0.03, 0, 1) * np.clip((self._halves[1] - u) / 0.03, 0, 1)
        shade = 0.7 + 0.3 * np.clip(above / 0.04, 0, 1)
        colour += (own.astype(np.float32) * shade[..., None] - colour) * (beyond * sides)[..., None]


_LUMA = floats([0.114, 0.587, 0.299])
_GRAIN = floats(np.random.default_rng(7).normal(0, 1, (320, 640)))


def _texture(bgr: Pixels, flat: Floats, unit: float) -> tuple[float, float]:
    """How blurred the photo's edges are, as a Gaussian in pixels, and how strong its grain is, in grey levels."""
    x, y = flat[list(SKIN)].min(axis=0).astype(int), flat[list(SKIN)].max(axis=0).astype(int)
    low, high = np.maximum(x - int(0.6 * unit), 0), y + int(0.6 * unit)
    luma = cv2.cvtColor(bgr[low[1] : high[1], low[0] : high[0]], cv2.COLOR_BGR2GRAY).astype(np.float32)
    if min(luma.shape) < 8:
        return 0.8, 0.0

    def steepest(image: Floats) -> float:
        return float(
            np.percentile(np.hypot(cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1)), 98)
        )

    left = min(0.97, steepest(cv2.GaussianBlur(luma, (0, 0), 2.0)) / max(steepest(luma), 1e-3))
    fine = np.abs(luma - cv2.GaussianBlur(luma, (0, 0), 1.2))
    reach = max(2, round(0.06 * unit))
    places = np.round(flat[list(SKIN)] - low).astype(int)
    smooth = [fine[max(0, py - reach) : py + reach, max(0, px - reach) : px + reach] for px, py in places]
    grain = min((float(np.median(part)) * 1.4 for part in smooth if part.size), default=0.0)  # of skin, not of a beard
    return float(np.clip(2.0 * left / np.sqrt(1 - left**2), 0.45, 0.05 * unit)), min(grain, 4.0)
