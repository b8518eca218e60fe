"""A face in the process of a voice agent: what is fed comes back with pictures, none of it lost."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

from shared.lipsync.live import FRAME_BYTES, LiveFace
from shared.media.types import RATE, Pixels

LUMA = 512


def speech(seconds: float) -> bytes:
    """Syllables of a quarter of a second, with pauses between."""
    at = np.arange(round(seconds * RATE)) / RATE
    voiced = np.sin(2 * np.pi * 180 * at) * np.clip(np.sin(2 * np.pi * 2 * at), 0, 1)
    return bytes((voiced * 9000).astype(np.int16).tobytes())


@pytest.fixture(scope="module")
def face(portrait_png: bytes) -> LiveFace:
    return LiveFace(portrait_png, generated=True)


def step(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one[:LUMA].astype(int) - other[:LUMA]).mean())


@pytest.mark.parametrize("piece", [960, 1920, 4801, 200_000])
def test_all_sound_comes_back_in_order_with_a_picture_for_each_frame(face: LiveFace, piece: int) -> None:
    """However it is cut: nothing is lost, the last pair is filled up with silence, and nothing is left over."""
    sound = speech(3) + b"\1\0" * 333
    pairs = [pair for at in range(0, len(sound), piece) for pair in face.feed(sound[at : at + piece])]
    pairs += face.flush()
    heard = b"".join(part for _, part in pairs)
    assert heard[: len(sound)] == sound
    assert not any(heard[len(sound) :])
    assert {len(part) for _, part in pairs} == {FRAME_BYTES}
    assert {frame.shape for frame, _ in pairs} == {(768, 512)}
    assert face.flush() == []


def test_the_mouth_moves_with_the_sound(face: LiveFace) -> None:
    """Where there is a syllable the picture changes more than in a pause."""
    face.reset()
    pairs = face.feed(speech(4)) + face.flush()
    loud = np.array([np.abs(np.frombuffer(part, np.int16)).max() > 2000 for _, part in pairs[1:]])
    mouth = slice(280, 400)  # rows of the lower face
    moved = np.array([
        np.abs(b[mouth, 160:352].astype(int) - a[mouth, 160:352]).mean()
        for (a, _), (b, _) in itertools.pairwise(pairs)
    ])  # fmt: skip
    assert moved[loud].mean() > 1.5 * moved[~loud].mean()


def test_it_goes_from_idle_to_talk_and_back_without_a_jump(face: LiveFace) -> None:
    """Steps at the seams are no larger than those within speech; so are those after an interruption."""
    face.reset()
    before = [face.idle() for _ in range(5)]
    talk = [frame for frame, _ in face.feed(speech(2)) + face.flush()]
    after = [face.idle() for _ in range(30)]
    within = max(step(a, b) for a, b in itertools.pairwise(talk))
    row = [before[-1], *talk[:6]], [talk[-1], *after]
    assert max(step(a, b) for part in row for a, b in itertools.pairwise(part)) <= 1.2 * within
    spoken = face.feed(speech(2))[-1][0]
    face.reset()
    rest = [spoken, *(face.idle() for _ in range(8))]
    assert max(step(a, b) for a, b in itertools.pairwise(rest)) <= 1.5 * within
    assert face.flush() == [], "what was interrupted is forgotten"


def test_two_minutes_of_speech_leave_nothing_behind(face: LiveFace) -> None:
    """Memory is flat: it may run for days."""
    sound, kept = speech(20), []
    tracemalloc.start()
    for _ in range(6):
        for at in range(0, len(sound), 9600):
            face.feed(sound[at : at + 9600])
        face.flush()
        kept.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert kept[-1] < kept[1] + 2**20
