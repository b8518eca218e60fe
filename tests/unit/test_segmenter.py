"""Cutting text while it is written, and captions."""

from __future__ import annotations

import math
import time
from html import unescape

import pytest

from shared.media.types import Timing
from shared.talk.captions import webvtt
from shared.talk.segmenter import LONGEST, Segmenter


def cut(text: str, step: int = 3) -> list[str]:
    cutter = Segmenter()
    pieces = [piece for at in range(0, len(text), step) for piece in cutter.feed(text[at : at + step])]
    return pieces + cutter.rest()


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
def test_the_first_piece_is_a_clause_and_the_others_are_sentences(step: int) -> None:
    """However the text arrives, it is cut in the same places and nothing is lost."""
    text = "Good evening to you, I like the stars. They are far away! Do you like them?"
    assert cut(text, step) == ["Good evening to you,", "I like the stars.", "They are far away!", "Do you like them?"]


@pytest.mark.parametrize("text", ["Well, I like stars, and moons.", "Oh! Hm. I like stars, and moons."])
def test_the_first_piece_is_no_single_word(text: str) -> None:
    """A word of half a second would be over before the next piece is spoken: the video stalled there."""
    first = cut(text)[0]
    assert first.endswith("stars,")


@pytest.mark.parametrize(
    "text",
    ["It costs 3.14 or 1,000 dollars today", "Dr. Smith met J. R. Tolkien at St. Mary", "We met at 10:30 today"],
)
def test_numbers_and_abbreviations_are_not_cut(text: str) -> None:
    """A point within a number or after a title ends no sentence."""
    assert cut(text) == [text]


def test_a_sentence_without_end_is_cut_at_a_clause_or_a_space() -> None:
    """Text that never ends does not wait for ever, and no word is broken."""
    text = "Yes, " + "and so on and on " * 60
    pieces = cut(text)
    assert max(map(len, pieces)) <= LONGEST
    assert " ".join(pieces).split() == text.split()
    endless = cut("x" * 1000)
    assert "".join(endless) == "x" * 1000


@pytest.mark.parametrize("text", ["", "   \n ", "..."])
def test_blank_text_gives_no_empty_piece(text: str) -> None:
    """There is never an empty piece to be spoken."""
    assert all(piece.strip() for piece in cut(text))


def test_line_breaks_in_the_text_do_not_break_captions() -> None:
    """A blank line within a cue would end it: white space is folded."""
    text = "One\nTwo\n\nThree and so on."
    vtt = webvtt([Timing(c, i * 0.06, (i + 1) * 0.06) for i, c in enumerate(text)])
    assert vtt.strip().split("\n\n")[1].endswith("One Two Three and so on.")


def test_captions_are_short_lines_that_follow_each_other() -> None:
    """Captions break at sentence ends and before they get long, and their times never overlap."""
    text = "Good evening. This is a rather long sentence that has to be broken into several lines & <more>."
    timings = [Timing(c, i * 0.06, (i + 1) * 0.06) for i, c in enumerate(text)]
    vtt = webvtt(timings)
    blocks = vtt.strip().split("\n\n")
    assert blocks[0] == "WEBVTT"
    assert blocks[1] == "00:00:00.000 --> 00:00:00.840\nGood evening."
    assert "&amp; &lt;more&gt;." in vtt
    assert all(len(unescape(block.split("\n")[1])) <= 54 for block in blocks[1:])
    starts = [block.split(" --> ")[0] for block in blocks[1:]]
    ends = [block.split(" --> ")[1].split("\n")[0] for block in blocks[1:]]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))


@pytest.mark.parametrize("text", ["a" + "!" * 3999, "a" + "." * 1999 + '"' * 2000, "A. " * 1333, "é" + " " * 3999])
def test_no_text_takes_longer_than_in_proportion_to_its_length(text: str) -> None:
    """Runs of dots and quotes were looked at once for each of them: 1.9 s for 4,000 characters."""

    def seconds(times: int) -> float:
        best = math.inf
        for _ in range(3):
            began, segmenter = time.perf_counter(), Segmenter()
            segmenter.feed(text * times)
            segmenter.rest()
            best = min(best, time.perf_counter() - began)
        return best

    assert seconds(4) < 8 * max(seconds(1), 0.0005)
