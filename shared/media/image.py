"""Pictures that we kept ourselves, as pixels."""

from __future__ import annotations

import cv2
import numpy as np

from shared.media.types import Pixels


def decode(data: bytes) -> Pixels:
    """Decode a picture that we kept ourselves; BGR, shape (height, width, 3)."""
    bgr: Pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return bgr
