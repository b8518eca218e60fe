"""The voice of a film: spoken once, with the time of every word; the film is as long as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.media.types import RATE, Samples, Speech, Timing
from shared.studio.words import tokens

if TYPE_CHECKING:
    from shared.providers.elevenlabs import TextToSpeech, VoiceSettings

LEAD, TAIL = 0.4, 0.8  # seconds of silence before and after: a cut needs room


@dataclass(frozen=True)
class Word:
    """A word as it is written, and when it is heard, in seconds of the film.

    joined: no space stands before it, as between the characters of Chinese and Japanese.
    """

    text: str
    start: float
    end: float
    sentence: int
    joined: bool = False


@dataclass(frozen=True)
class Voiceover:
    """samples: 24 kHz mono, silence in front and behind included. characters: with their times in the film."""

    samples: Samples
    words: list[Word]
    characters: list[Timing]

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE

    def stretch(self, start: float, end: float) -> Speech:
        """The speech of a part of the film, timed from its own beginning."""
        first, last = round(start * RATE), round(end * RATE)
        inside = [one for one in self.characters if start <= one.start < end]
        timings = [Timing(one.symbol, one.start - start, min(one.end, end) - start) for one in inside]
        return Speech(self.samples[first:last], timings)

    def to_json(self) -> dict[str, Any]:
        """All but the samples."""
        return {
            "words": [
                [one.text, round(one.start, 3), round(one.end, 3), one.sentence, one.joined] for one in self.words
            ],
            "characters": [[one.symbol, round(one.start, 3), round(one.end, 3)] for one in self.characters],
        }

    @classmethod
    def from_json(cls, samples: Samples, told: dict[str, Any]) -> Voiceover:
        return cls(samples, [Word(*one) for one in told["words"]], [Timing(*one) for one in told["characters"]])


async def speak(voice: TextToSpeech, voice_id: str, settings: VoiceSettings, sentences: Sequence[str]) -> Voiceover:
    """All sentences in one go, so that their melody belongs together. Raises ProviderFailed and its kinds."""
    text = " ".join(sentences)
    parts: list[Samples] = [np.zeros(round(LEAD * RATE), np.int16)]
    characters: list[Timing] = []
    at = LEAD
    async for speech in voice.speak(text, voice_id, "", [], settings):
        characters += [Timing(one.symbol, one.start + at, one.end + at) for one in speech.timings]
        parts.append(speech.samples)
        at += len(speech.samples) / RATE
    parts.append(np.zeros(round(TAIL * RATE), np.int16))
    return Voiceover(np.concatenate(parts), words_of(sentences, characters), characters)


def words_of(sentences: Sequence[str], characters: Sequence[Timing]) -> list[Word]:
    """Every written word once, in order, with the times of its characters; what has none follows the one before."""
    heard = [one for one in characters if not one.symbol.isspace()]
    words: list[Word] = []
    place = 0
    for number, sentence in enumerate(sentences):
        for text, joined in tokens(sentence):
            times = heard[place : place + len(text)]
            place += len(text)
            before = words[-1].end if words else LEAD
            start, end = (times[0].start, times[-1].end) if times else (before, before)
            start = max(start, before)
            words.append(Word(text, start, max(end, start), number, joined))
    return words
