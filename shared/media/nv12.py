"""NV12, the planes that frames are made of: luma (h, w), then chroma (h/2, w/2, 2) with U and V side by side."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from shared.media.types import Floats, Pixels


def _to_yuv() -> Floats:
    """Y, U and V (rows) of B, G and R from 0 to 255, and what is added: ITU-R BT.709-6, items 3.2, 3.3 and 3.5."""
    red, blue = 0.2126, 0.0722
    luma = np.array([blue, 1 - red - blue, red])
    u, v = (np.array([1, 0, 0]) - luma) / (2 - 2 * blue), (np.array([0, 0, 1]) - luma) / (2 - 2 * red)
    rows = np.stack([luma * 219, u * 224, v * 224]) / 255
    return np.column_stack([rows, [16, 128, 128]]).astype(np.float32)


TO_YUV = _to_yuv()


def nv12(bgr: Pixels) -> tuple[Pixels, Pixels]:
    """BGR (h, w, 3), both even, to luma (h, w) and chroma (h/2, w/2, 2); BT.709, limited range."""
    height, width = bgr.shape[:2]
    yuv = cv2.transform(bgr, TO_YUV)
    chroma = cv2.resize(yuv[:, :, 1:], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(yuv[:, :, 0]), chroma


def from_nv12(frame: Pixels) -> Pixels:
    """A frame (height * 3 / 2, width) as BGR, to be looked at."""
    height, width = frame.shape[0] * 2 // 3, frame.shape[1]
    chroma = cv2.resize(frame[height:].reshape(height // 2, width // 2, 2), (width, height))
    yuv = np.dstack([frame[:height], chroma]).astype(np.float32) - TO_YUV[:, 3]
    bgr = yuv @ np.linalg.inv(TO_YUV[:, :3]).T
    return np.clip(bgr + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Patch:
    """A rectangle of a picture in NV12: y (h, w), uv (h/2, w/2, 2), at even pixel x, y."""

    x: int
    y: int
    luma: Pixels
    chroma: Pixels

    @classmethod
    def of(cls, bgr: Pixels, x: int, y: int) -> Patch:
        """From BGR pixels (h, w, 3), both even."""
        return cls(x, y, *nv12(bgr))

    def differing_from(self, other: Patch) -> Patch:
        """The smallest part of this that covers where it differs from another of the same place by more than 1."""
        away = cv2.absdiff(self.luma, other.luma) > 1
        away |= (cv2.absdiff(self.chroma, other.chroma) > 1).any(axis=2).repeat(2, axis=0).repeat(2, axis=1)
        rows, columns = np.flatnonzero(away.any(axis=1)), np.flatnonzero(away.any(axis=0))
        if not len(rows):
            rows = columns = np.array([0])
        top, left = rows[0] // 2, columns[0] // 2
        bottom, right = rows[-1] // 2 + 1, columns[-1] // 2 + 1
        return Patch(
            self.x + 2 * int(left),
            self.y + 2 * int(top),
            self.luma[2 * top : 2 * bottom, 2 * left : 2 * right].copy(),
            self.chroma[top:bottom, left:right].copy(),
        )

    @property
    def nbytes(self) -> int:
        return self.luma.nbytes + self.chroma.nbytes

    def paste(self, luma: Pixels, chroma: Pixels) -> None:
        h, w = self.luma.shape
        luma[self.y : self.y + h, self.x : self.x + w] = self.luma
        chroma[self.y // 2 : (self.y + h) // 2, self.x // 2 : (self.x + w) // 2] = self.chroma
