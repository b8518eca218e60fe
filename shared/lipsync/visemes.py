"""From what is said to how the mouth stands: phonemes, written characters, or bare sound become mouth shapes.

Every source ends in the same table of IPA vowels and consonants, so one table serves all languages.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.lipsync.arrays import floats
from shared.media.types import Timing

Curves = NDArray[np.float32]

_RESTING = 0.5  # how much silence insists on the resting width


class Mouth(NamedTuple):
    """How a mouth stands; lengths in widths of the mouth at rest."""

    gap: float = 0.0  # between the lips, in the middle: 0 closed, 0.31 wide open
    width: float = 1.0  # 0.69 rounded .. 1.06 spread
    press: float = 0.0  # 0..1, lips pressed together: p, b, m
    tuck: float = 0.0  # 0..1, lower lip at the upper teeth: f, v
    tongue: float = 0.0  # 0..1, tongue at the teeth: th, l


REST = Mouth()


@dataclass(frozen=True)
class Cue:
    """One mouth shape held from `start` to `end`, in seconds on the talk's own clock."""

    start: float
    end: float
    mouth: Mouth
    insists: float = 1.0  # on its width, where sounds blend


# Shape, and how much the sound insists on its width: consonants made behind the teeth leave the corners of the mouth to
# the vowels around them, rounded sounds do not. Wider gaps than 0.31 look like shouting on every face.
_SHAPES = {
    "aɑɐʌæɶ": (Mouth(gap=0.31, width=0.95), 1.0),
    "eɛəɜɚɝœøɘɞ": (Mouth(gap=0.19, width=1.0), 1.0),
    "iɪyɨᵻ": (Mouth(gap=0.12, width=1.06), 1.2),
    "oɔɒɤ": (Mouth(gap=0.22, width=0.79), 1.6),
    "uʊɯʉ": (Mouth(gap=0.07, width=0.71), 2.0),
    "wʍɥ": (Mouth(gap=0.03, width=0.69), 2.4),
    "pbmɓ": (Mouth(press=1.0), 0.25),
    "fvɱʋ": (Mouth(gap=0.06, tuck=1.0), 0.4),
    "θð": (Mouth(gap=0.09, tongue=1.0), 0.4),
    "lɫɭʎ": (Mouth(gap=0.12, tongue=0.5), 0.3),
    "tdnszɾɲɳ": (Mouth(gap=0.07, width=1.02), 0.4),
    "ʃʒɕʑç": (Mouth(gap=0.08, width=0.85), 1.4),
    "rɹɻʀʁ": (Mouth(gap=0.10, width=0.86), 0.9),
    "kgɡŋxɣqhɦħʔcj": (Mouth(gap=0.10), 0.2),
}
_TABLE = {sound: shape for sounds, shape in _SHAPES.items() for sound in sounds}

# Spelling to sound, longest first. Rough on purpose: lips tell apart only a dozen shapes.
_SPELLING = {
    "tion": "ʃən", "sion": "ʒən", "ough": "ɔ", "augh": "ɔ", "eigh": "eɪ", "igh": "aɪ", "sch": "ʃ", "tch": "tʃ",
    "eau": "o", "ch": "tʃ", "sh": "ʃ", "th": "θ", "ph": "f", "wh": "w", "ck": "k", "ng": "ŋ", "qu": "kw",
    "gh": "g", "kn": "n", "wr": "r", "oo": "u", "ee": "i", "ea": "i", "ie": "i", "ou": "aʊ", "ow": "oʊ",
    "oa": "oʊ", "oi": "ɔɪ", "oy": "ɔɪ", "ai": "eɪ", "ay": "eɪ", "au": "ɔ", "aw": "ɔ", "ew": "u", "ei": "aɪ",
    "eu": "ɔɪ", "uie": "aɪə", "ui": "ɪ", "er": "ɜr", "ir": "ɜr", "ur": "ɜr", "or": "ɔr", "ar": "ɑr",
    "x": "ks", "c": "k", "y": "i", "a": "æ", "e": "ɛ", "i": "ɪ", "o": "ɒ", "u": "ʌ", "j": "ʒ",
    "all": "ɔl", "alk": "ɔk", "age": "ɪʒ", "ould": "ʊd",
}  # fmt: skip
_GRAPHEME = re.compile("|".join(sorted(_SPELLING, key=len, reverse=True)) + r"|.", re.DOTALL)
_IRREGULAR = {  # the commonest English words whose spelling misleads
    "the": "ðə", "a": "ə", "i": "aɪ", "to": "tu", "do": "du", "you": "ju", "of": "ʌv", "one": "wʌn", "are": "ɑr",
    "was": "wɒz", "were": "wɜr", "have": "hæv", "some": "sʌm", "come": "kʌm", "be": "bi", "me": "mi", "we": "wi",
    "for": "fɔr", "from": "frʌm", "he": "hi", "she": "ʃi", "my": "maɪ", "by": "baɪ", "who": "hu", "your": "jɔr",
    "their": "ðɛr", "there": "ðɛr", "they": "ðeɪ", "what": "wʌt", "said": "sɛd", "many": "mɛni", "any": "ɛni",
    "been": "bɪn", "people": "pipəl", "because": "bɪkɔz", "again": "əgɛn", "through": "θru", "though": "ðoʊ",
    "two": "tu", "now": "naʊ", "how": "haʊ", "down": "daʊn", "town": "taʊn", "about": "əbaʊt", "friend": "frɛnd",
    "friends": "frɛndz", "bread": "brɛd", "head": "hɛd", "great": "greɪt", "laugh": "læf", "enough": "ɪnʌf",
    "work": "wɜrk", "world": "wɜrld", "word": "wɜrd", "water": "wɔtər", "other": "ʌðər", "mother": "mʌðər",
    "above": "əbʌv", "love": "lʌv", "give": "gɪv", "live": "lɪv", "only": "oʊnli", "most": "moʊst", "find": "faɪnd",
    "mind": "maɪnd", "kind": "kaɪnd", "child": "tʃaɪld", "night": "naɪt", "eye": "aɪ", "eyes": "aɪz", "hour": "aʊər",
}  # fmt: skip


def from_phonemes(timings: Sequence[Timing]) -> list[Cue]:
    """Mouth shapes of timed IPA phonemes; a symbol of several sounds (a diphthong) shares its time."""
    cues: list[Cue] = []
    for timing in timings:
        sounds = [_TABLE[sound] for sound in unicodedata.normalize("NFD", timing.symbol) if sound in _TABLE]
        if not sounds or timing.end <= timing.start:
            continue
        each = (timing.end - timing.start) / len(sounds)
        cues += [Cue(timing.start + i * each, timing.start + (i + 1) * each, *shape) for i, shape in enumerate(sounds)]
    return cues


def from_characters(timings: Sequence[Timing]) -> list[Cue]:
    """Mouth shapes of timed written characters, as hosted voices give them.

    Words are cut at anything that is no letter, spelled into sounds, and each spelling takes the time of its
    own characters. Letters of other scripts open the mouth half.
    """
    cues: list[Cue] = []
    word: list[Timing] = []
    for timing in [*timings, Timing(" ", 0, 0)]:
        if timing.symbol.isalpha() or unicodedata.combining(timing.symbol[:1] or " "):
            word.append(timing)
        elif word and timing.symbol not in "'’":
            cues += from_phonemes(_spell(word))
            word = []
    return cues


def _spell(word: list[Timing]) -> list[Timing]:
    letters = "".join(_plain(timing.symbol) for timing in word)
    if len(letters) != len(word):
        return [Timing("ə", timing.start, timing.end) for timing in word]
    if letters in _IRREGULAR:
        return _stretch(_IRREGULAR[letters], word)
    sounds: list[Timing] = []
    for match in _GRAPHEME.finditer(letters):
        start, end = word[match.start()].start, word[match.end() - 1].end
        silent = match[0] == "e" and match.end() == len(letters) and len(letters) > 3
        doubled = match.start() > 0 and match[0] == letters[match.start() - 1]
        if sounds and (silent or doubled):
            sounds[-1] = Timing(sounds[-1].symbol, sounds[-1].start, end)
        else:
            sound = (len(match[0]) == 1 and _vowel(letters, match.start())) or _SPELLING.get(match[0], match[0])
            sounds.append(Timing(sound if any(s in _TABLE for s in sound) else "ə", start, end))
    return sounds


def _stretch(sounds: str, word: list[Timing]) -> list[Timing]:
    """Sounds laid over a word evenly by its letters, whose own times then count."""
    edges = [word[0].start, *(timing.end for timing in word)]
    marks = np.interp(np.linspace(0, len(word), len(sounds) + 1), range(len(edges)), edges)
    return [Timing(sound, float(a), float(b)) for sound, a, b in zip(sounds, marks[:-1], marks[1:], strict=True)]


_LONG = {"a": "eɪ", "e": "i", "i": "aɪ", "o": "oʊ", "u": "u"}


def _vowel(letters: str, at: int) -> str | None:
    """What a single vowel becomes by where it stands, or None: long in an open syllable, dull at the ends."""
    if letters[at] not in _LONG:
        return None
    after = letters[at + 1 :]
    if at > 0 and re.fullmatch(r"[^aeiou]es?", after):  # name, times
        return _LONG[letters[at]]
    if letters[at] == "a" and (not after or (at == 0 and re.match(r"[^aeiou][aeiou].", after))):  # Ada, along
        return "eɪ" if len(letters) == 3 and at == 0 else "ə"
    if letters[at] in "au" and re.match(r"[^aeiou]([aeoiy]|les?$)", after):  # paper, table, music
        return _LONG[letters[at]]
    return None


def _plain(letter: str) -> str:
    return unicodedata.normalize("NFD", letter.lower())[:1]


def from_sound(samples: NDArray[np.int16], rate: int, start: float = 0.0) -> list[Cue]:
    """Mouth shapes of bare mono sound: loudness opens, brightness spreads. 40 ms a cue, from `start` seconds."""
    step = rate // 25
    count = len(samples) // step
    if not count:
        return []
    frames = samples[: count * step].reshape(count, step).astype(np.float32) / 32768
    loud = np.sqrt((frames**2).mean(axis=1))
    level = np.clip(loud / max(float(np.percentile(loud, 90)), 0.02), 0, 1.1)
    crossings = (np.diff(np.signbit(frames), axis=1)).mean(axis=1)
    bright = np.clip((crossings - 0.06) * 10, -0.6, 0.8)
    hiss = crossings > 0.3
    return [
        Cue(start + i * 0.04, start + (i + 1) * 0.04, _heard(level[i], bright[i], hiss=bool(hiss[i])))
        for i in range(count)
        if level[i] > 0.12
    ]  # fmt: skip


def _heard(level: float, bright: float, *, hiss: bool) -> Mouth:
    return Mouth(
        gap=0.07 if hiss else 0.29 * min(1.0, float(level)), width=1 + (0.1 if bright > 0 else 0.35) * float(bright)
    )


def curves(cues: Sequence[Cue], first: int, count: int, fps: int = 25) -> tuple[Curves, Curves]:
    """Mouth shapes at video frames `first` .. `first + count`: (count, 5), columns as in Mouth; and the jaw's gaps.

    Sounds blend with their neighbours over 140 ms; the width over 160 ms by how much each insists on it (lips round
    before the sound that needs it), and so does the jaw, which is slower than the lips: (count,), as wide as a gap. A
    closed consonant closes one frame at least, and f or v shows the teeth in one. Nothing beyond 80 ms has a say.
    """
    if count <= 0:
        return np.zeros((0, 5), np.float32), np.zeros(0, np.float32)
    per, margin = 8, 4  # steps a frame; frames on either side that are sampled too
    origin = first - margin
    steps = (count + 2 * margin) * per
    shapes = np.tile(floats(REST), (steps, 1))
    insists = np.full(steps, _RESTING, np.float32)
    at = [round((cue.start * fps - origin) * per) for cue in cues]
    to = [round((cue.end * fps - origin) * per) for cue in cues]
    for cue, a, b in zip(cues, at, to, strict=True):
        shapes[max(0, a) : max(0, b)] = cue.mouth
        insists[max(0, a) : max(0, b)] = cue.insists
    picks = (np.arange(count) + margin) * per + per // 2

    def blended(values: Curves, reach: float) -> Curves:
        kernel = np.hanning(2 * round(reach * per) + 3)[1:-1]
        return floats(np.convolve(values, kernel / kernel.sum(), "same")[picks])

    columns = [blended(shapes[:, place], 1.75) for place in range(len(REST))]
    columns[1] = blended(shapes[:, 1] * insists, 2.0) / blended(insists, 2.0)
    out, jaw = np.stack(columns, axis=1), blended(shapes[:, 0], 2.0)
    for cue, a, b in zip(cues, at, to, strict=True):
        frame = (a + b) // 2 // per - margin
        if 0 <= frame < count and cue.mouth.press >= 1:
            out[frame] = (0, out[frame, 1], 1, 0, 0)
        elif 0 <= frame < count and cue.mouth.tuck >= 1:
            out[frame] = (cue.mouth.gap, out[frame, 1], 0, 1, 0)
    return out, jaw
