"""Moves the mouth and eyelids of one still picture: inverse warps around the lips, patches kept by shape."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shared.lipsync.arrays import Floats, Pixels, floats
from shared.lipsync.visemes import Mouth

OPEN_STEPS, WIDE_STEPS, FINE_STEPS = 11, 4, 2  # a mouth has few distinguishable shapes: keep each once
REACH_U, REACH_UP, REACH_DOWN = 2.3, 1.45, 3.6  # how far from the mouth the warp acts, in half mouth widths


@dataclass(frozen=True)
class Patch:
    """A rectangle of a picture in NV12: y (h, w), uv (h/2, w/2, 2), at even pixel x, y."""

    x: int
    y: int
    luma: Pixels
    chroma: Pixels

    def paste(self, luma: Pixels, chroma: Pixels) -> None:
        h, w = self.luma.shape
        luma[self.y : self.y + h, self.x : self.x + w] = self.luma
        chroma[self.y // 2 : (self.y + h) // 2, self.x // 2 : (self.x + w) // 2] = self.chroma


def nv12(bgr: Pixels) -> tuple[Pixels, Pixels]:
    """BGR (h, w, 3), both even, to luma (h, w) and chroma (h/2, w/2, 2); BT.601, limited range."""
    height, width = bgr.shape[:2]
    planes = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    size = width * height
    luma = planes[:size].reshape(height, width)
    u, v = planes[size:].reshape(2, height // 2, width // 2)
    return luma, np.dstack([u, v])


def _smooth(low: float, high: float, x: Floats) -> Floats:
    t = np.clip((x - low) / (high - low), 0, 1)
    return floats(t * t * (3 - 2 * t))


class _Region:
    """A rectangle of the picture with, for each pixel, its place (u, v) along and below an oriented origin."""

    def __init__(self, bgr: Pixels, origin: Floats, along: Floats, unit: float, box: tuple[float, ...]) -> None:
        height, width = bgr.shape[:2]
        below = floats([-along[1], along[0]])
        left, right, up, down = (value * unit for value in box)
        corners = np.array([origin + along * x + below * y for x in (left, right) for y in (up, down)])
        lo = np.maximum(np.floor(corners.min(axis=0) / 2).astype(int) * 2, 0)
        hi = np.minimum(np.ceil(corners.max(axis=0) / 2).astype(int) * 2, (width // 2 * 2, height // 2 * 2))
        self.x, self.y, self.unit = int(lo[0]), int(lo[1]), unit
        ys, xs = np.mgrid[lo[1] : hi[1], lo[0] : hi[0]].astype(np.float32)
        self.u: Floats = ((xs - origin[0]) * along[0] + (ys - origin[1]) * along[1]) / unit
        self.v: Floats = ((xs - origin[0]) * below[0] + (ys - origin[1]) * below[1]) / unit
        self._origin, self._along, self._below, self._bgr = origin, along, below, bgr

    def sample(self, u: Floats, v: Floats) -> Pixels:
        """The picture's colours at places (u, v), BGR."""
        x = self._origin[0] + self.unit * (u * self._along[0] + v * self._below[0])
        y = self._origin[1] + self.unit * (u * self._along[1] + v * self._below[1])
        found: Pixels = cv2.remap(
            self._bgr, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return found

    def patch(self, bgr: Pixels) -> Patch:
        luma, chroma = nv12(bgr)
        return Patch(self.x, self.y, luma, chroma)


def _longest(flags: NDArray[np.bool_]) -> tuple[int, int]:
    """First and last index of the longest run of True; (0, 0) without any."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    starts, stops = edges[::2], edges[1::2] - 1
    if not len(starts):
        return 0, 0
    best = int(np.argmax(stops - starts))
    return int(starts[best]), int(stops[best])


class Lips:
    """The mouth of one picture. `patch` draws it in any shape and remembers what it drew."""

    def __init__(self, bgr: Pixels, points: Floats) -> None:
        """bgr: square picture; points: the six face points in its pixels, shape (6, 2)."""
        _, _, left, right, top, bottom = points
        self._half = float(np.hypot(*(right - left))) / 2
        along = ((right - left) / (2 * self._half)).astype(np.float32)
        self._at = _Region(bgr, (left + right) / 2, along, self._half, (-REACH_U, REACH_U, -REACH_UP, REACH_DOWN))
        below = floats([-along[1], along[0]])
        middle = (left + right) / 2
        self._top = float((top - middle) @ below) / self._half
        self._bottom = float((bottom - middle) @ below) / self._half
        self._light = float(np.clip(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY).mean() / 130, 0.75, 1.0))
        self._find_gap()
        self._patches: dict[tuple[int, ...], Patch] = {}

    def _find_gap(self) -> None:
        """Find the seam between the lips, or the two edges of a toothy smile, as curves over u in -1..1."""
        us = np.linspace(-0.92, 0.92, 47, dtype=np.float32)
        vs = np.linspace(self._top - 0.05, self._bottom + 0.05, 60, dtype=np.float32)
        grid_u, grid_v = np.meshgrid(us, vs)
        lab = cv2.cvtColor(self._at.sample(grid_u, grid_v), cv2.COLOR_BGR2LAB).astype(np.float32)
        lab = cv2.GaussianBlur(lab, (0, 0), 1.0)
        light, red = lab[:, :, 0], lab[:, :, 1]
        core = (np.abs(grid_u) < 0.5) & (grid_v > self._top + 0.1) & (grid_v < self._bottom - 0.08)
        lips = float(np.percentile(red[core], 85))
        teeth = (red < lips - 9) & (light > np.percentile(light[core], 35)) & (np.abs(grid_u) < 0.85)
        teeth &= (grid_v > self._top + 0.06) & (grid_v < self._bottom - 0.12)
        self.toothy = bool(teeth[core].mean() > 0.22)
        if self.toothy:
            # In each column, the longest run of teeth; a highlight on the lower lip is a shorter one.
            runs = [_longest(column) for column in teeth.T]
            has = np.array([stop - start >= 3 for start, stop in runs])
            first, last = (vs[[run[i] for run in runs]] for i in (0, 1))
            self._upper = self._curve(us[has], first[has] - 0.03)
            self._lower = self._curve(us[has], last[has] + 0.05)
        else:
            weight = np.exp(-(((grid_v - (0.6 * self._top + 0.4 * self._bottom)) / 0.22) ** 2))
            seam = vs[np.argmin(light - 25 * weight, axis=0)]
            self._upper = self._lower = self._curve(us, seam)

    @staticmethod
    def _curve(us: Floats, vs: Floats) -> Floats:
        """Fit v = (1 - u²)(a + b u), which meets the mouth's corners, and ignore outliers. Returns (a, b)."""
        arch = 1 - us * us
        weight = np.ones_like(us)
        fit = np.zeros(2)
        for _ in range(4):
            columns = np.stack([arch, arch * us], axis=1) * weight[:, None]
            steady = floats([[0, 0.25 * np.sqrt(len(us))]])  # a mouth leans little: hold b near zero
            fit = np.linalg.lstsq(np.vstack([columns, steady]), np.append(vs * weight, 0), rcond=None)[0]
            weight = 1 / (1 + (np.abs(arch * (fit[0] + fit[1] * us) - vs) / 0.06) ** 2)
        return fit.astype(np.float32)

    def patch(self, mouth: Mouth) -> Patch:
        """The mouth in this shape, rounded to the nearest kept one."""
        key = (
            round(min(1.0, max(0.0, mouth.open)) * OPEN_STEPS),
            round(min(1.0, max(-1.0, mouth.wide)) * WIDE_STEPS),
            *(round(min(1.0, max(0.0, value)) * FINE_STEPS) for value in mouth[2:]),
        )
        if key not in self._patches:
            rounded = Mouth(key[0] / OPEN_STEPS, key[1] / WIDE_STEPS, *(value / FINE_STEPS for value in key[2:]))
            self._patches[key] = self._draw(rounded)
        return self._patches[key]

    def _draw(self, m: Mouth) -> Patch:
        at, px = self._at, 1 / self._half
        wide = m.wide * (0.13 if m.wide > 0 else 0.26) - 0.13 * m.open
        spread = np.exp(-((at.v / 0.9) ** 2)) * (1 - _smooth(0.85, 1.75, np.abs(at.u)))
        u = at.u / (1 + wide * spread)

        inside = np.clip(1 - u * u, 0, 1)
        upper, lower = (inside * (a + b * u) for a, b in (self._upper, self._lower))
        # Lips of a toothy smile meet on the way to the closed mouth; drawn ones are closed already.
        gap = np.where(inside > 0, np.maximum(lower - upper, 0), 0)
        seam = upper + 0.42 * gap
        amount = 0.62 * m.open * (1 - m.press) * (1 - 0.55 * m.tuck)
        arch = inside**0.62 if m.wide < -0.2 else inside**0.8
        rise = 0.2 * amount * arch + 0.05 * m.tuck * inside
        drop = amount * 0.95 * arch - 0.06 * m.tuck * inside
        top, bottom = seam - rise, seam + np.maximum(drop, -rise)

        # Upper layer: from the upper lip's edge to the nose. Lower layer: from the lower lip to under the chin.
        lift = (top - upper) * (1 - _smooth(0.0, 1.15, top - at.v))
        depth = np.maximum(at.v - bottom, 0)
        jaw = np.exp(-((u / 1.45) ** 4)) * amount * 0.62
        blend = _smooth(0.0, 0.75, depth)
        edge_down = bottom - lower - 0.05 * np.clip((bottom - top) * 6, 0, 1)  # past the dark line of the seam
        fall = (edge_down * (1 - blend) + jaw * blend) * (1 - _smooth(1.25, 3.1, depth))
        above = at.v < (top + bottom) / 2
        v = at.v - np.where(above, lift, fall)
        if m.press or m.tuck:  # lips roll inwards: what is left of them is thinner
            near = at.v - seam
            roll = (0.35 * m.press + np.where(near > 0, 0.5, 0.0) * m.tuck) * np.exp(-((near / 0.3) ** 2)) * inside
            v = v + near * roll
        if m.wide < 0:  # rounded lips are fuller
            near = np.where(above, at.v - top, at.v - bottom)
            v = v - near * 0.22 * -m.wide * np.exp(-((near / 0.35) ** 2)) * inside
        face = at.sample(u, v).astype(np.float32)

        edge = 0.9 * px
        hole = np.clip((at.v - top) / edge + 0.35, 0, 1) * np.clip((bottom - at.v) / edge + 0.35, 0, 1)
        hole = hole * np.clip((inside - 0.02) * 30, 0, 1) * np.clip((bottom - top) / (1.6 * px), 0, 1)
        if hole.max() > 0:
            inner = self._inner(m, u, top, bottom, upper, gap, inside)
            face += (inner - face) * hole[:, :, None].astype(np.float32)
        # The rim of the patch is the untouched picture.
        rim = np.minimum((REACH_U - np.abs(at.u)) / 0.15, (at.v + REACH_UP) / 0.12)
        rim = np.clip(np.minimum(rim, (REACH_DOWN - at.v) / 0.15), 0, 1)[:, :, None].astype(np.float32)
        still = at.sample(at.u, at.v).astype(np.float32)
        return at.patch(np.clip(still + (face - still) * rim, 0, 255).astype(np.uint8))

    def _inner(
        self, m: Mouth, u: Floats, top: Floats, bottom: Floats, upper: Floats, gap: Floats, inside: Floats
    ) -> Floats:
        """What an open mouth shows: the dark of the throat, tongue, and upper and lower teeth. BGR floats."""
        at = self._at
        deep = (at.v - top) / np.maximum(bottom - top, 1e-3)
        colour = np.empty((*at.v.shape, 3), np.float32)
        colour[:] = floats([38, 26, 74]) * self._light
        colour *= (0.45 + 0.55 * np.clip(np.abs(deep - 0.35) * 1.6 + 0.25, 0, 1))[:, :, None]

        def lay(tone: Floats, mask: Floats) -> None:
            colour[:] += (tone - colour) * mask[:, :, None].astype(np.float32)

        raised = 0.85 * m.tongue
        tongue_top = bottom - (0.3 + 0.3 * raised) * (bottom - top) - 0.16 * raised * inside
        shape = np.clip(1 - (u / (0.62 - 0.1 * raised)) ** 2, 0, 1) ** 0.5
        tongue = _smooth(-0.06, 0.1, at.v - (bottom - (bottom - tongue_top) * shape)) * (shape > 0)
        lay(floats([98, 88, 190]) * self._light, tongue * 0.92)

        curve = np.clip(1 - 0.55 * u * u, 0, 1)
        shadow = (curve * (0.72 + 0.28 * np.clip((at.v - top) / 0.12, 0, 1)))[:, :, None]
        if self.toothy:
            own = at.sample(u, np.minimum(upper + 0.04 + (at.v - top), upper + np.maximum(gap - 0.07, 0.02)))
            white, length = own.astype(np.float32) * shadow, np.maximum(gap * 0.8, 0.02)
        else:
            ridges = 1 - 0.10 * (np.abs(np.cos(u * np.pi / 0.32)) < 0.16)
            white = floats([206, 222, 230]) * self._light * shadow * ridges[:, :, None]
            length = np.full_like(u, 0.21)
        show = length - 0.08 * max(0.0, -m.wide) - np.clip(0.1 - 0.4 * (bottom - top), 0, 0.1)
        teeth = np.clip((top + show * curve - at.v) * self._half / 1.4 + 0.5, 0, 1) * np.clip(
            (0.86 - np.abs(u)) * 9, 0, 1
        )
        lay(white.astype(np.float32), teeth)
        return colour


class Eyelids:
    """Both eyes of one picture, from open (0) to shut (1) in a few steps."""

    STEPS = 6

    def __init__(self, bgr: Pixels, points: Floats) -> None:
        left, right = points[0], points[1]
        span = float(np.hypot(*(right - left)))
        along = ((right - left) / span).astype(np.float32)
        self._eyes = [_Region(bgr, eye, along, 0.29 * span, (-1.35, 1.35, -1.3, 1.0)) for eye in (left, right)]
        self._patches: dict[int, list[Patch]] = {}

    def patches(self, shut: float) -> list[Patch]:
        step = round(min(1.0, max(0.0, shut)) * self.STEPS)
        if step == 0:
            return []
        if step not in self._patches:
            self._patches[step] = [eye.patch(self._close(eye, step / self.STEPS)) for eye in self._eyes]
        return self._patches[step]

    @staticmethod
    def _close(at: _Region, shut: float) -> Pixels:
        """The upper lid comes down: the skin above the eye is drawn over it, lashes first."""
        arch = np.clip(1 - (at.u / 1.12) ** 2, 0, 1)
        lid, base = -0.44 * arch**0.8, 0.5 * arch
        edge = lid + (base - lid) * shut
        roof = np.float32(-0.86)
        # Between the brow and the edge the skin stretches; its lower end stays the lash line.
        part = np.clip((at.v - roof) / np.maximum(edge - roof, 1e-3), 0, 1)
        v = np.where(at.v < edge + 0.1, roof + part * (lid - roof) + np.maximum(at.v - edge, 0), at.v)
        covered = np.clip((edge + 0.1 - at.v) * 8, 0, 1) * _smooth(0.0, 0.2, arch) * (at.v > roof)
        still = at.sample(at.u, at.v).astype(np.float32)
        moved = at.sample(at.u, v.astype(np.float32)).astype(np.float32)
        return np.asarray(still + (moved - still) * floats(covered)[:, :, None], np.uint8)
