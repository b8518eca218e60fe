"""What an audience teaches: the curve by sentences, and an order of scripts that moves by what is more than chance."""

from __future__ import annotations

import random
import statistics
from typing import Any

import pytest

from shared.studio.audience import (
    PRIOR,
    Learned,
    Sentence,
    at,
    by_sentence,
    features,
    heard,
    learn,
    reordered,
)


def test_the_curve_falls_where_a_sentence_was_left() -> None:
    """One that loses a quarter within the third sentence says so, and the points add up to all that were lost."""
    curve = [1 - 0.1 * place / 100 - (0.25 * min(1, max(0, place - 40) / 10)) for place in range(1, 101)]
    sentences = [
        Sentence("One.", 0.0, 3.8),
        Sentence("Two.", 4.0, 7.9),
        Sentence("Three.", 8.0, 9.8),
        Sentence("Four.", 10.0, 19.5),
    ]
    found = by_sentence(sentences, curve, 20.0)
    assert [one.number for one in found] == [1, 2, 3, 4]
    assert max(found, key=lambda one: one.lost).number == 3
    assert found[2].lost == pytest.approx(26, abs=0.6)
    assert (found[2].start, found[2].end) == (8.0, 10.0)
    assert sum(one.lost for one in found) == pytest.approx(35, abs=0.6)


def test_a_curve_begins_whole_and_may_rise_above_one() -> None:
    """Repeats count: the beginning of a Short is watched more than once."""
    assert at([0.9, 0.8], 0) == 1.0
    assert at([1.6, 0.8], 0) == 1.6
    assert at([0.9, 0.8], 1) == 0.8
    assert at([0.9, 0.8], 0.75) == pytest.approx(0.85)
    assert by_sentence([Sentence("One.", 0, 1)], [], 1.0) == []


def test_sentences_are_put_together_from_their_words() -> None:
    """With spaces where there are some."""
    timing = {
        "words": [
            ["It", 0.1, 0.3, 0, False],
            ["rains.", 0.3, 0.9, 0, False],
            ["\u96e8", 1.0, 1.2, 1, False],
            ["\u3002", 1.2, 1.3, 1, True],
        ]
    }
    assert heard(timing) == [Sentence("It rains.", 0.1, 0.9), Sentence("\u96e8\u3002", 1.0, 1.3)]


def test_features_of_a_script_are_counted() -> None:
    """Each has a script that has it and one that lacks it."""
    script = ["Did you know that it rained?", "It did, 40 days.", "Incomprehensibilities notwithstanding."]
    assert all(features(script).values())
    plain = ["The rain that fell on the old town went on for longer than anybody who lived there cared to tell."]
    assert not any(features(plain).values())
    assert not any(features([]).values())


def film(dice: random.Random, *, question: bool, better: float) -> dict[str, Any]:
    """One that was watched by as many as usual, give or take a tenth."""
    found = {name: dice.random() < 0.5 for name in features([])}
    return {"features": {**found, "question": question}, "watched": dice.gauss(0.5, 0.05) + better * question}


def script(number: int, opening: str, wins: int) -> dict[str, Any]:
    said = [{"text": opening}, {"text": "It went on for a good while after that, as these things will."}]
    return {"id": f"1-{number}", "rank": 3 - wins, "wins": wins, "score": 3.0, "sentences": said}


OPENINGS = (
    "Did you know this?",
    "It rained for 40 days.",
    "You have walked past it.",
    "What is it that falls on the old town when all the others are asleep?",
    "The rain fell on the old town for longer than anybody could remember.",
    "Incomprehensibilities notwithstanding, meteorologists disagreed about precipitation.",
)
SCRIPTS = [
    script(1, "The rain fell on the old town for longer than anybody could remember.", 2),
    script(2, "It was a summer that nobody who was there would ever want to forget.", 1),
    script(3, "What is it that falls on the old town when all the others are asleep?", 0),
]


def test_a_planted_preference_moves_the_order_and_says_why() -> None:
    """Questions keep fifteen points more in twenty films: the script that opens with one comes first."""
    dice = random.Random(1)  # noqa: S311
    known = learn([film(dice, question=number % 2 == 0, better=0.15) for number in range(20)])
    assert known.weight == 20 / (20 + PRIOR)
    (question,) = [one for one in known.effects if one.feature == "question"]
    assert question.certain
    assert question.points == pytest.approx(15, abs=4)
    order = reordered(SCRIPTS, known)
    assert (order[0]["id"], order[0]["rank"], order[0]["rank_before"]) == ("1-3", 1, 3)
    assert "open with a question kept" in order[0]["learned"][0]


@pytest.mark.parametrize("films", [8, 12, 20, 50])
@pytest.mark.parametrize("spread", [0.05, 0.1])
def test_planted_noise_moves_almost_nothing(films: int, spread: float) -> None:
    """Of a hundred audiences without any preference, and scripts of any kind, hardly one changes an order."""
    moved = 0
    for seed in range(100):
        dice = random.Random(seed)  # noqa: S311
        known = learn([
            {"features": {name: dice.random() < 0.5 for name in features([])}, "watched": dice.gauss(0.5, spread)}
            for _ in range(films)
        ])  # fmt: skip
        openings = dice.sample(OPENINGS, 3)
        order = reordered([script(number + 1, opening, 2 - number) for number, opening in enumerate(openings)], known)
        moved += [one["id"] for one in order] != ["1-1", "1-2", "1-3"]
    assert moved <= 6


def test_the_more_films_the_surer_and_none_teach_nothing() -> None:
    """Without films the judge's order stands; a few that could be chance do not count."""
    nothing = learn([])
    assert nothing == Learned(films=0, weight=0, effects=[])
    assert [one["id"] for one in reordered(SCRIPTS, nothing)] == ["1-1", "1-2", "1-3"]
    dice = random.Random(3)  # noqa: S311
    found = statistics.fmean(
        any(one.certain for one in learn([film(dice, question=n % 2 == 0, better=0.15) for n in range(count)]).effects)
        for count in (2, 4, 6)
        for _ in range(20)
    )
    assert found == 0
