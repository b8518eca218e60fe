"""Which picture is seen when: cut where sentences begin, by the times of the spoken words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from shared.studio.voiceover import Voiceover

FPS = 30  # of a film
SHORTEST = 2.0  # seconds: below, a cut is a flicker; a shorter sentence stays with the one before
Kind = Literal["presenter", "clip"]


@dataclass(frozen=True)
class Shot:
    """A stretch of the film. first and last: frames, the last one excluded. footage: what was searched for it."""

    number: int
    kind: Kind
    sentence: int
    text: str
    footage: str
    first: int
    last: int

    @property
    def start(self) -> float:
        return self.first / FPS

    @property
    def end(self) -> float:
        return self.last / FPS

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def plan(sentences: Sequence[dict[str, Any]], voice: Voiceover, *, with_footage: bool = False) -> list[Shot]:
    """One shot for each sentence that lasts long enough; the persona opens and ends the film.

    with_footage: whether there is somewhere to search it; else the persona tells everything. Frames are counted on the
    whole film's time line, so that rounding never adds up.
    """
    begins = [next((word.start for word in voice.words if word.sentence == n), None) for n in range(len(sentences))]
    cuts: list[tuple[int, float]] = []  # sentence, second
    for number, second in enumerate(begins):
        if second is None:
            continue
        at = 0.0 if not cuts else second - 0.1  # a picture is there a moment before its words
        if cuts and at - cuts[-1][1] < SHORTEST:
            continue
        cuts.append((number, at))
    if len(cuts) > 1 and voice.seconds - cuts[-1][1] < SHORTEST:
        cuts.pop()
    ends = [*(second for _, second in cuts[1:]), voice.seconds]
    shots = []
    for place, ((number, start), end) in enumerate(zip(cuts, ends, strict=True)):
        footage = sentences[number].get("footage", "") if place not in (0, len(cuts) - 1) else ""
        kind: Kind = "clip" if footage and with_footage else "presenter"
        first, last = round(start * FPS), round(end * FPS)
        shots.append(Shot(place, kind, number, sentences[number]["text"], footage, first, last))
    return shots
