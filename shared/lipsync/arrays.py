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
