"""The mouth of one picture in any shape: the lips as four rings that move by rule, what opens between them painted.

Lengths are in mouth widths (of the corners 61 and 291, as seen from the front). The rules and their numbers were found
by looking at photos with closed, smiling and shouting mouths in every shape of visemes.py.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import cv2
import numpy as np

from shared.lipsync.arrays import floats
from shared.lipsync.cpu.interior import Interior, Opening
from shared.lipsync.cpu.mesh_warp import Box, MeshWarp
from shared.lipsync.topology import JAW, LOWER_LIP, STILL, UPPER_LIP
from shared.lipsync.visemes import Mouth
from shared.media.nv12 import Patch
from shared.media.types import Floats, Pixels

PARTED = 0.055  # own gap of the photo, from which its lips count as open
GAPS, WIDTHS, SPEAKING = 24, 6, 3  # steps from closed to the widest gap, from pursed to spread, from silence to speech
WIDEST, NARROWEST, BROADEST = 0.36, 0.69, 1.08
FINE = 2  # steps of press, tuck and tongue
KEPT_BYTES = 8 << 20  # of patches: some 230 shapes at 512 pixels, which is all that several answers use
_INTO_LIP = 0.018  # by which the edges of open lips are moved into the flesh, in mouth widths
_SEAM = 0.03  # width of the line where closed lips meet, which is drawn soft
_CREASE = 0.05  # blur of the displacement outside the lips: no creases along the edges of triangles


class MouthRig:
    """Draws a mouth and keeps what it drew: 7 ms for a new shape at 512 pixels, microseconds for a kept one."""

    def __init__(self, bgr: Pixels, points: Floats) -> None:
        """bgr: square picture. points: the mesh (478, 3) in its pixels."""
        self._bgr = bgr
        flat = floats(points[:, :2])
        across = flat[291] - flat[61]
        self._along = floats(across / np.hypot(*across))
        self._below = floats([-self._along[1], self._along[0]])
        turned = points[291] - points[61]
        self.unit = float(np.hypot(np.hypot(turned[0], turned[1]), turned[2]))
        if self._own(flat) > PARTED:  # else a rim of teeth would go along when they close
            for lip, way in ((UPPER_LIP, -1), (LOWER_LIP, 1)):
                flat[list(lip[0][1:-1])] += way * _INTO_LIP * self.unit * self._below
        self._uppers, self._lowers = ([flat[list(ring)] for ring in lip] for lip in (UPPER_LIP, LOWER_LIP))
        self._origin = self._uppers[0][5]
        inner_up, inner_low = (self._axes(rings[0]) for rings in (self._uppers, self._lowers))
        half = np.array([inner_up[5, 0] - inner_up[0, 0], inner_up[10, 0] - inner_up[5, 0]]).clip(1e-3)
        place = (inner_up[:, 0] - inner_up[5, 0]) / np.where(np.arange(11) < 5, half[0], half[1])
        self._place = floats(np.clip(place, -1, 1))  # -1 at the left corner, 1 at the right one
        self._own_gap = floats(np.maximum(inner_low[:, 1] - inner_up[:, 1], 0))
        self.parted = bool(self._own_gap[5] > PARTED)
        self._jaw = {point: share for share, points_ in JAW.items() for point in points_}
        driven = [*dict.fromkeys(point for lip in (UPPER_LIP, LOWER_LIP) for ring in lip for point in ring), *self._jaw]
        high = (flat - (flat[61] + flat[291]) / 2) @ self._below < -0.62 * self.unit
        high[list(STILL)] = True
        high[driven] = False
        self._warp = MeshWarp(flat, driven, high, len(bgr))
        self._at = {point: place for place, point in enumerate(driven)}
        box = self._warp.box
        self._still = Patch.of(bgr[box.y : box.y + box.height, box.x : box.x + box.width], box.x, box.y)
        self._interior = Interior(bgr, points, self.unit, self.parted)
        self._patches: OrderedDict[tuple[int, ...], Patch] = OrderedDict()
        self.kept_bytes = 0
        self._keeping = threading.Lock()  # talks of one picture may be rendered at once

    def _own(self, flat: Floats) -> float:
        """The photo's own gap between the lips, in mouth widths."""
        return float((flat[14] - flat[13]) @ self._below) / self.unit

    @property
    def box(self) -> Box:
        """The part of the picture that moves with the mouth."""
        return self._warp.box

    def _axes(self, points: Floats) -> Floats:
        """Points as (along, below) the mouth, in mouth widths from the middle of the upper lip's edge."""
        away = points - self._origin
        return floats(np.stack([away @ self._along, away @ self._below], axis=-1) / self.unit)

    def patch(self, mouth: Mouth, speaking: float) -> Patch | None:
        """The mouth in this shape, rounded to the nearest one kept; None where the photo's own pixels stay.

        speaking: 0 in silence to 1 in speech; in between, the photo's own mouth and the shape are mixed.
        """
        key = _key(mouth, speaking)
        if key[0] == 0 or (not self.parted and key[1:] == _REST):
            return None
        with self._keeping:
            found = self._patches.get(key)
            if found is None:
                found = self._patches[key] = self._draw(*_shape(key))
                self.kept_bytes += found.nbytes
                while self.kept_bytes > KEPT_BYTES and len(self._patches) > 1:
                    self.kept_bytes -= self._patches.popitem(last=False)[1].nbytes
            self._patches.move_to_end(key)
            return found

    def _draw(self, mouth: Mouth, speaking: float) -> Patch:
        warp = self._warp
        by = self._targets(mouth, speaking)
        vertices = warp.moved(by)
        displacement, labelled = warp.displacement(vertices)
        box = warp.box
        placed = vertices - floats([box.x, box.y])
        outer = np.vstack([placed[list(UPPER_LIP[3])], placed[list(LOWER_LIP[3])][::-1]])
        displacement = self._smoothed(displacement, outer)
        opening = Opening.between(placed[list(UPPER_LIP[0])], placed[list(LOWER_LIP[0])], (box.height, box.width))
        if opening:
            displacement = _continued(displacement, labelled & ~opening.core, opening)
        places = warp.grid + displacement
        face = cv2.remap(self._bgr, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if opening:
            x, y, w, h = opening.box
            grid = self._axes(warp.grid[y : y + h, x : x + w])
            drop = float((vertices[14] - warp.points[14]) @ self._below) / self.unit
            inside = self._interior.paint(mouth, opening, grid, warp.grid[y : y + h, x : x + w], drop)
            part = face[y : y + h, x : x + w].astype(np.float32)
            part += (inside - part) * opening.alpha[:, :, None]
            face[y : y + h, x : x + w] = np.clip(part + 0.5, 0, 255).astype(np.uint8)
        else:
            self._soften_seam(face, floats((placed[list(UPPER_LIP[0])] + placed[list(LOWER_LIP[0])]) / 2))
        return Patch.of(face, box.x, box.y).differing_from(self._still)

    def _soften_seam(self, face: Pixels, seam: Floats) -> None:
        """Where triangles of both lips meet pixels jump: they are blurred along this line only."""
        line = np.zeros(face.shape[:2], np.uint8)
        width = max(1, round(_SEAM * self.unit))
        cv2.polylines(line, [np.round(seam * 16).astype(np.int32)], False, 255, width, cv2.LINE_AA, 4)
        share = cv2.GaussianBlur(line, (0, 0), 0.4 * width).astype(np.float32)[:, :, None] / 255
        blurred = cv2.GaussianBlur(face, (0, 0), max(0.5, 0.35 * width))
        face[:] = np.clip(face + (blurred - face.astype(np.float32)) * share + 0.5, 0, 255).astype(np.uint8)

    def _smoothed(self, displacement: Floats, outer: Floats) -> Floats:
        """Without creases outside the lips; exact within them."""
        sigma = _CREASE * self.unit
        lips = np.zeros(displacement.shape[:2], np.uint8)
        cv2.fillPoly(lips, [np.round(outer * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        reach = max(1, round(0.6 * sigma))
        lips = cv2.dilate(lips, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
        exact = cv2.GaussianBlur(lips, (0, 0), max(0.6, 0.5 * sigma)).astype(np.float32)[:, :, None] / 255
        blurred = cv2.GaussianBlur(displacement, (0, 0), sigma)
        return floats(blurred + (displacement - blurred) * exact)

    def _targets(self, mouth: Mouth, speaking: float) -> Floats:
        """By how much each driven point moves, in pixels: (driven, 2)."""
        rounded = float(np.clip((1 - mouth.width) / 0.3, 0, 1))
        arch = np.maximum(1 - self._place**2, 0) ** (0.62 - 0.12 * rounded)
        gap = mouth.gap * arch
        own = self._own_gap
        # Where the lips meet, below the resting edge of the upper lip: a third down an open mouth.
        meet = 0.38 * own if self.parted else 0.5 * own
        # Rounded lips hang over the upper teeth; a smile's upper lip is long already when its mouth is shut.
        cover = (0.01 if self.parted else 0.05) * rounded * arch * min(1.0, mouth.gap / 0.03)
        rise = meet - 0.2 * gap + cover
        fall = meet - own + 0.8 * gap + cover
        if mouth.tuck:  # the lower lip goes up to the teeth, the upper one out of its way
            rise = rise - 0.03 * mouth.tuck * arch
        follow_up, follow_down, chin = (0.35, 0.75, 0.55) if self.parted else (0.7, 0.95, 0.85)
        thick = 1 + 0.12 * rounded - 0.2 * mouth.press
        by = np.zeros((len(self._at), 2), np.float32)
        middle = float(self._axes((self._uppers[3][0] + self._uppers[3][10])[None] / 2)[0, 0])
        for rings, lip, inner, follow in (
            (self._uppers, UPPER_LIP, rise, follow_up),
            (self._lowers, LOWER_LIP, fall, follow_down),
        ):
            edge = self._axes(rings[0])
            for depth, (points, numbers) in enumerate(zip(rings, lip, strict=True)):
                place = self._axes(points)
                share = 1 + (follow - 1) * depth / 3
                down = inner * share + (thick - 1) * (place[:, 1] - edge[:, 1])
                aside = (mouth.width - 1) * (place[:, 0] - middle)
                for point, x, y in zip(numbers, aside, down, strict=True):
                    by[self._at[point]] = (x, y)
        lowered = float(fall[5])
        for lip in (UPPER_LIP, LOWER_LIP):  # corners belong to both lips; they give way to the jaw a little
            for ring in lip:
                for point in (ring[0], ring[-1]):
                    by[self._at[point], 1] = 0.16 * max(0.0, 0.8 * mouth.gap)
        for point, share in self._jaw.items():
            by[self._at[point]] = (0, chin * share * lowered)
        turned = by[:, :1] * self._along + by[:, 1:] * self._below
        return floats(turned * self.unit * speaking)


def _key(mouth: Mouth, speaking: float) -> tuple[int, ...]:
    """A shape rounded to one of the kept ones; gaps in finer steps where they are small."""
    gap = round((max(0.0, min(mouth.gap, WIDEST)) / WIDEST) ** 0.75 * GAPS)
    width = round((min(max(mouth.width, NARROWEST), BROADEST) - 1) / (BROADEST - NARROWEST) * WIDTHS)
    fine = (round(min(1.0, max(0.0, value)) * FINE) for value in (mouth.press, mouth.tuck, mouth.tongue))
    return (round(min(1.0, max(0.0, speaking)) * SPEAKING), gap, width, *fine)


_REST = _key(Mouth(), 1.0)[1:]


def _shape(key: tuple[int, ...]) -> tuple[Mouth, float]:
    gap = (key[1] / GAPS) ** (1 / 0.75) * WIDEST
    width = 1 + key[2] / WIDTHS * (BROADEST - NARROWEST)
    return Mouth(gap, width, *(value / FINE for value in key[3:])), key[0] / SPEAKING


def _continued(displacement: Floats, known: np.ndarray, opening: Opening) -> Floats:
    """The lips' displacement carried on under the rim of the opening, so that no dotted fringe appears there."""
    x, y, w, h = opening.box
    part = displacement[y : y + h, x : x + w]
    weight = known[y : y + h, x : x + w].astype(np.float32)
    spread = cv2.GaussianBlur(part * weight[:, :, None], (0, 0), 2.0)
    total = cv2.GaussianBlur(weight, (0, 0), 2.0)[:, :, None]
    part[:] = np.where((weight > 0)[:, :, None], part, spread / np.maximum(total, 1e-4))
    return displacement
