"""Two conversions that everything about faces uses."""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.media.types import Floats


def floats(values: Any) -> Floats:
    """Numbers, nested as they are, as a float32 array."""
    return np.asarray(values, np.float32)


def smoothstep(values: Any) -> Floats:
    """0 up to 0, 1 from 1 on, and an S between them."""
    t = np.clip(values, 0, 1)
    return floats(t * t * (3 - 2 * t))
