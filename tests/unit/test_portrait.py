"""Drawn portraits."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import resvg_py
from PIL import Image

from local.portrait import COLOURS, HAIRS, SKINS, Look, NotDrawn, _svg, draw


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
        ("a woman in a green hijab", "hat", "hijab"),
        ("a woman in a green hijab", "cloth", COLOURS["green"]),
        ("a punk with a red mohawk", "style", "mohawk"),
        ("a punk with a red mohawk", "hair", HAIRS["red"]),
        ("a queen with a crown", "hat", "crown"),
        ("a pirate with an eye patch", "patch", True),
        ("a girl with pigtails", "style", "pigtails"),
    ],
)
def test_words_that_are_understood_decide(description: str, field: str, value: object) -> None:
    """What a description says plainly is drawn so."""
    assert getattr(Look.read(description), field) == value


@pytest.mark.parametrize(
    ("plain", "more"),
    [
        ("a woman", "a hijab"),
        ("a man", "a mohawk"),
        ("a queen", "a crown"),
        ("a sailor", "an eye patch"),
        ("a girl", "pigtails"),
    ],
)
def test_what_is_asked_for_can_be_seen(plain: str, more: str) -> None:
    """The picture with it differs from the same person without it."""
    look = Look.read(f"{plain} with {more}")
    bare: dict[str, dict[str, Any]] = {
        "hijab": {"hat": ""}, "crown": {"hat": ""}, "mohawk": {"style": "bald"}, "eye patch": {"patch": False},
    }  # fmt: skip
    without = replace(look, **bare.get(more.removeprefix("an ").removeprefix("a "), {"style": "short"}))
    assert np.abs(rendered(look) - rendered(without)).mean() > 0.5


def rendered(look: Look) -> np.ndarray:
    png = resvg_py.svg_to_bytes(svg_string=_svg(look), width=128, height=128, skip_system_fonts=True)
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"), np.float32)


@pytest.mark.parametrize("description", ["a robot", "a fluffy cat with a hat", "Dragon, green"])
def test_what_cannot_be_drawn_is_said(description: str) -> None:
    """Who is no person is refused by name, with what can be done instead."""
    with pytest.raises(NotDrawn, match=r"no (robot|cat|dragon)\. Describe a person"):
        draw(description, 64)


@pytest.mark.parametrize("description", ["a woman with a cat", "an engineer who builds robots"])
def test_people_with_creatures_are_people(description: str) -> None:
    """A cat beside her does not make her one."""
    assert draw(description, 64)


@pytest.mark.parametrize("description", ["", "😀", "x" * 5000, "<script>&\"'"])
def test_any_text_gives_a_portrait(description: str) -> None:
    """No description breaks the drawing."""
    assert Image.open(BytesIO(draw(description, 64))).size == (64, 64)
