"""Drawn portraits."""

from __future__ import annotations

from io import BytesIO
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from local.portrait import COLOURS, HAIRS, SKINS, Look, draw


def pixels(description: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(draw(description, 128))), np.float32)


def test_the_same_words_draw_the_same_person() -> None:
    """A portrait depends on its description alone."""
    assert draw("a baker with a beanie", 128) == draw("a baker with a beanie", 128)


def test_different_words_draw_clearly_different_people() -> None:
    """No two of twelve descriptions give pictures that look alike."""
    people = [pixels(f"person number {number} from the village") for number in range(12)]
    assert min(np.abs(a - b).mean() for a, b in combinations(people, 2)) > 6


def test_the_lot_draws_all_kinds_of_people() -> None:
    """Over many descriptions every skin, hair style, piece of clothing and accessory appears."""
    looks = [Look.read(f"somebody {number}") for number in range(300)]
    assert {look.skin for look in looks} == set(SKINS.values())
    assert len({look.style for look in looks}) >= 7
    assert {look.clothes for look in looks} == {"shirt", "sweater", "hoodie", "blazer", "tee"}
    assert {look.hat for look in looks} == {"", "beanie", "fedora", "cap"}
    assert {look.glasses for look in looks} == {"", "round", "square"}
    assert {look.old for look in looks} == {True, False}
    assert len({look.ground for look in looks}) >= 6


@pytest.mark.parametrize(
    ("description", "field", "value"),
    [
        ("an old woman", "old", True),
        ("a man with dark skin", "skin", SKINS["dark"]),
        ("a woman with red hair", "hair", HAIRS["red"]),
        ("a bald man", "style", "bald"),
        ("somebody in a yellow sweater", "cloth", COLOURS["yellow"]),
        ("somebody in a yellow sweater", "clothes", "sweater"),
        ("a teacher, no glasses", "glasses", ""),
        ("a man with a fedora", "hat", "fedora"),
        ("a man with a beard", "beard", "beard"),
        ("a pink background", "ground", COLOURS["pink"]),
    ],
)
def test_words_that_are_understood_decide(description: str, field: str, value: object) -> None:
    """What a description says plainly is drawn so."""
    assert getattr(Look.read(description), field) == value


@pytest.mark.parametrize("description", ["", "😀", "x" * 5000, "<script>&\"'"])
def test_any_text_gives_a_portrait(description: str) -> None:
    """No description breaks the drawing."""
    assert Image.open(BytesIO(draw(description, 64))).size == (64, 64)
