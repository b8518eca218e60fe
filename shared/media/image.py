"""Pictures that we keep, as files and as pixels."""

from __future__ import annotations

import cv2
import numpy as np

from shared.media.types import Pixels


def decode(data: bytes) -> Pixels:
    """Decode a picture that we kept ourselves; BGR, shape (height, width, 3)."""
    bgr: Pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return bgr


def png(bgr: Pixels) -> bytes:
    """BGR (height, width, 3) as a PNG: quickly, not small."""
    return bytes(cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1])


def jpeg(bgr: Pixels) -> bytes:
    """BGR (height, width, 3) as a JPEG whose colours are those of the pixels: no chroma is left out."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return bytes(cv2.imencode(".jpg", bgr, options)[1])
