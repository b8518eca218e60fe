"""Thumbnails: three that differ, with words that are read on any picture, whole and within it."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest

from shared.media.image import decode
from shared.media.types import Pixels
from shared.studio import thumbnail
from shared.studio.thumbnail import CONTRAST, LAYOUTS, SIZES, compose, luminance


@pytest.fixture(scope="module")
def persona(astronaut: bytes) -> Pixels:
    return np.asarray(cv2.resize(decode(astronaut), (1024, 1024)), np.uint8)


def bright() -> Pixels:
    """A frame that is white with a fine pattern: the worst to read white words on."""
    y, x = np.mgrid[0:720, 0:1280]
    return np.repeat((255 - 20 * ((x // 3 + y // 3) % 2))[:, :, None], 3, 2).astype(np.uint8)


@pytest.mark.parametrize("shape", ["wide", "tall", "square"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("words", ["Salt?", "You have never seen this before", "Donaudampfschifffahrtsgesellschaft"])
def test_words_are_whole_and_have_their_contrast(layout: str, shape: str, words: str, persona: Pixels) -> None:
    """White on what lies below them, at least 4.5 to 1 but for single pixels; clear of the edges."""
    for footage in (bright(), None):
        with_words, without = (decode(compose(layout, shape, one, persona, footage)) for one in (words, ""))
        assert with_words.shape[1::-1] == SIZES[shape]
        changed = np.abs(with_words.astype(int) - without.astype(int)).max(2) > 60
        assert changed.mean() > 0.004
        rows, columns = np.nonzero(changed.any(1))[0], np.nonzero(changed.any(0))[0]
        height, width = changed.shape
        assert rows[0] > 0.02 * height
        assert rows[-1] < 0.98 * height
        assert columns[0] > 0.02 * width
        assert columns[-1] < 0.98 * width
        ground = luminance(without)[cv2.erode(changed.astype(np.uint8), np.ones((3, 3))) > 0]
        assert 1.05 / (np.percentile(ground, 95) + 0.05) >= CONTRAST


def test_three_layouts_are_three_pictures(persona: Pixels) -> None:
    """With footage and without; files that YouTube takes anywhere."""
    for footage in (bright(), None):
        files = [compose(layout, "wide", "Salt?", persona, footage) for layout in LAYOUTS]
        assert all(one.startswith(b"\xff\xd8") and len(one) < 2_000_000 for one in files)
        for one, other in combinations([decode(file).astype(int) for file in files], 2):
            assert np.abs(one - other).mean() > 12


def test_no_words_are_no_error(persona: Pixels) -> None:
    """A concept may lack them."""
    assert decode(compose("split", "wide", "", persona, None)).shape == (720, 1280, 3)
    assert set(thumbnail.SIZES) == {"wide", "tall", "square"}
