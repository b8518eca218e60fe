"""What pictures, sound and speech are made of, and the two rates that everything in a talk shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Samples = NDArray[np.int16]

FPS = 25
RATE = 24_000  # samples/s, mono, everywhere in a talk
PER_FRAME = RATE // FPS  # samples


@dataclass(frozen=True)
class Timing:
    """A phoneme (IPA) or a written character, spoken from `start` to `end` seconds."""

    symbol: str
    start: float
    end: float


@dataclass(frozen=True)
class Speech:
    """A stretch of speech that follows the one before without a gap.

    Timings count from the start of this stretch and may be empty: an engine then works from the sound.
    """

    samples: Samples
    timings: list[Timing] = field(default_factory=list)
    written: Literal["characters", "phonemes"] = "characters"
