"""The arrays that everything about pictures and sound is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Samples = NDArray[np.int16]


def floats(values: Any) -> Floats:
    """Numbers, nested as they are, as a float32 array."""
    return np.asarray(values, np.float32)


def smoothstep(values: Any) -> Floats:
    """0 up to 0, 1 from 1 on, and an S between them."""
    t = np.clip(values, 0, 1)
    return floats(t * t * (3 - 2 * t))
