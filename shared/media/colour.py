"""The colour of a picture's surroundings."""

from __future__ import annotations

import math

import numpy as np

from shared.media.types import Pixels

RING = 0.12  # of the picture's width and height: its outer part, beside and above a head
NEUTRAL = 85  # degrees, of greys: a warm white
_LEAST_CHROMA = 0.01  # below it a hue is noise
# From linear sRGB to the cones' responses, and from their cube roots to a and b: Björn Ottosson, "A perceptual color
# space for image processing", 2020.
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_AB = np.array([[1.9779984951, -2.4285922050, 0.4505937099], [0.0259040371, 0.7827717662, -0.8086757660]])


def edge_hue(bgr: Pixels) -> int:
    """Mean hue of the outer ring, in degrees of OKLCH, 0..359; NEUTRAL for a grey one. bgr: (height, width, 3)."""
    height, width = bgr.shape[:2]
    ring = np.ones((height, width), bool)
    y, x = round(RING * height), round(RING * width)
    ring[y : height - y, x : width - x] = False
    rgb = bgr[ring][:, ::-1] / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    a, b = (np.cbrt(linear @ _CONES.T) @ _AB.T).mean(axis=0)
    if math.hypot(a, b) < _LEAST_CHROMA:
        return NEUTRAL
    return round(math.degrees(math.atan2(b, a))) % 360
