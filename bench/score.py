"""How well a mouth follows the speech: a target made from phonemes by a rule of its own, and what is seen in frames."""

from __future__ import annotations

import numpy as np

from shared.lipsync.arrays import floats
from shared.lipsync.finder import find_faces
from shared.media.types import FPS, Floats, Pixels, Timing

# How open a mouth is for each sound, of its widest: as seen on faces, and coarser, by the height of vowels.
SEEN = {
    "aɑæʌɐ": 1.0, "oɔɒ": 0.71, "eɛəɜɚ": 0.61, "iɪᵻy": 0.39, "lɫ": 0.39, "rɹɾkgɡŋhj": 0.32, "θð": 0.29, "ʃʒ": 0.26,
    "tdnsz": 0.23, "uʊ": 0.23, "fv": 0.19, "w": 0.1, "pbm": 0.0,
}  # fmt: skip
COARSE = {"aɑæ": 1.0, "ʌɐ": 0.9, "ɔo": 0.7, "eɛɜ": 0.6, "ə": 0.5, "pbm": 0.0}


def target(phonemes: list[Timing], frames: int, heights: dict[str, float] = SEEN) -> Floats:
    """How open a mouth ought to be in each frame, 0..1: each sound's height, smoothed over 108 ms and nothing else."""
    table = {sound: height for sounds, height in heights.items() for sound in sounds}
    steps = np.zeros(frames * 10)
    for phoneme in phonemes:
        sounds = phoneme.symbol.strip("ˈˌː").replace("ː", "") or " "
        edges = np.linspace(phoneme.start, phoneme.end, len(sounds) + 1)  # the sounds of a diphthong share its time
        for sound, start, end in zip(sounds, edges[:-1], edges[1:], strict=True):
            steps[round(start * FPS * 10) : round(end * FPS * 10)] = table.get(sound, 0.3)
    smooth = np.convolve(steps, np.hanning(27) / np.hanning(27).sum(), "same")
    return floats(smooth.reshape(frames, 10).mean(axis=1))


def closed_frames(phonemes: list[Timing], frames: int) -> list[int]:
    """Frames in the middle of p, b and m."""
    middles = [round((one.start + one.end) / 2 * FPS - 0.5) for one in phonemes if one.symbol.strip("ˈˌː")[:1] in "pbm"]
    return [frame for frame in middles if 0 <= frame < frames]


def opening(bgr: Pixels) -> tuple[float, float]:
    """How far the lips are apart in their middle, in eye distances and in mouth widths; nan without a face."""
    faces = find_faces(bgr, 1)
    if not faces:
        return float("nan"), float("nan")
    points = faces[0].points
    across = points[291] - points[61]
    down = np.array([-across[1], across[0]]) / np.hypot(*across[:2])
    gap = max(0.0, float((points[14, :2] - points[13, :2]) @ down))
    return gap / faces[0].eye_distance, gap / float(np.linalg.norm(across))


def score(mouth: Floats, wanted: Floats, reach: int = 8) -> tuple[float, int]:
    """The best correlation over shifts, and its lag in frames: positive when the mouth is early."""
    best = (-1.0, 0)
    for lag in range(-reach, reach + 1):
        a, b = mouth[max(0, -lag) : len(mouth) - max(0, lag)], wanted[max(0, lag) : len(wanted) - max(0, -lag)]
        r = float(np.corrcoef(a, b)[0, 1]) if a.std() > 1e-9 else 0.0
        best = max(best, (r, lag))
    return best


def chance(mouth: Floats, phonemes: list[Timing], frames: int, tries: int = 200) -> float:
    """The best score that chance reaches: the same phonemes in other orders."""
    lot, best = np.random.default_rng(7), 0.0
    for _ in range(tries):
        order, clock, shuffled = lot.permutation(len(phonemes)), phonemes[0].start, []
        for index in order:
            length = phonemes[index].end - phonemes[index].start
            shuffled.append(Timing(phonemes[index].symbol, clock, clock + length))
            clock += length
        best = max(best, score(mouth, target(shuffled, frames), reach=1)[0])
    return best
