"""Music under a voice: quiet while somebody speaks, louder in between, gone at the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.media.types import Floats
from shared.studio import loudness
from shared.studio.loudness import RATE
from shared.studio.voiceover import Word

LONGEST = 600  # seconds of a piece that is taken; a shorter one is repeated
UNDER, BETWEEN = -20.0, -11.0  # LU below the voice, while it speaks and while it does not
FADE, NEAR = 0.35, 0.5  # seconds to change between the two; pauses that are shorter are none
LAST = 2.0  # seconds in which it fades away


def mixed(voice: Floats, music: Floats, words: Sequence[Word]) -> Floats:
    """Both at 48 kHz mono; as long as the voice."""
    repeated = np.resize(music, len(voice)).astype(np.float32)
    apart = loudness.measure(voice).integrated - loudness.measure(repeated).integrated
    level = np.full(len(voice) // RATE * 100 + 200, BETWEEN)  # decibels, a hundred a second
    for word in words:
        level[max(0, round((word.start - NEAR / 2) * 100)) : round((word.end + NEAR / 2) * 100)] = UNDER
    ramp = np.ones(round(FADE * 100)) / round(FADE * 100)
    smooth = np.convolve(np.pad(level, len(ramp), mode="edge"), ramp, "same")[len(ramp) : -len(ramp)]
    gain = 10 ** ((np.interp(np.arange(len(voice)) / RATE * 100, np.arange(len(smooth)), smooth) + apart) / 20)
    gain *= np.clip((len(voice) - np.arange(len(voice))) / (LAST * RATE), 0, 1)
    return (voice + repeated * gain).astype(np.float32)
