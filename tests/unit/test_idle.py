"""What is shown while a persona does not speak: loops without a seam, in the pose that talks begin and end in."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest

from shared.lipsync.arrays import floats
from shared.lipsync.cpu.engine import CpuEngine
from shared.lipsync.engine import SETTLE, Style
from shared.lipsync.idle import FRAMES, Idle, Mood
from shared.lipsync.picture import Picture, read_picture
from shared.media import colour, video
from shared.media.types import FPS, PER_FRAME, Floats, Pixels, Speech

SIZE = 512


@pytest.fixture(scope="module", params=["drawn", "photo"])
def picture(request: pytest.FixtureRequest, portrait_png: bytes, astronaut: bytes) -> Picture:
    if request.param == "drawn":
        return read_picture(portrait_png, generated=True)
    return read_picture(astronaut)


def decoded(data: bytes) -> Floats:
    """The luma of each frame."""
    with av.open(BytesIO(data), "r") as file:
        frames = [frame.to_ndarray(format="nv12")[:SIZE] for frame in file.decode(video=0)]
    return floats(np.stack(frames))


@pytest.mark.parametrize("mood", FRAMES)
def test_a_loop_has_no_seam_and_never_stands_still(picture: Picture, mood: Mood) -> None:
    """Decoded, the step from the last frame to the first is no larger than steps within; something always moves."""
    idle = Idle(picture.bgr, picture.face, SIZE, Style(), mood)
    data = video.loop(idle.loop(), SIZE, idle.frames)
    frames = decoded(data)
    assert len(frames) == FRAMES[mood]
    steps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2))
    assert np.abs(frames[-1] - frames[0]).mean() <= steps.max()
    half_seconds = np.abs(frames[FPS // 2 :] - frames[: -(FPS // 2)]).mean(axis=(1, 2))
    assert half_seconds.min() > 0.02


def test_a_loop_is_a_file_that_players_repeat(picture: Picture) -> None:
    """Twelve seconds or more at a constant rate, no sound, no frame shown later than it is decoded, no edit list."""
    idle = Idle(picture.bgr, picture.face, SIZE, Style())
    data = video.loop(idle.loop(), SIZE, idle.frames)
    assert b"elst" not in data
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(BytesIO(data), "r") as file:
        assert [stream.type for stream in file.streams] == ["video"]
        packets = [packet for packet in file.demux(video=0) if packet.pts is not None]
    step = packets[0].duration or 0
    assert [(packet.pts, packet.dts) for packet in packets] == [(n * step, n * step) for n in range(len(packets))]
    assert len(packets) / FPS >= 12


@pytest.mark.parametrize("mood", FRAMES)
def test_talk_and_loop_meet_in_one_pose(picture: Picture, mood: Mood) -> None:
    """First and last frame of either are the same picture, with open eyes and closed mouth."""
    idle = Idle(picture.bgr, picture.face, SIZE, Style(liveliness=1, gaze="wandering"), mood)
    frames = list(idle.loop())
    session = CpuEngine().prepare(picture, SIZE).session()
    talk = [*session.render(Speech(np.zeros(40 * PER_FRAME, np.int16))), *session.finish(SETTLE)]
    assert len(talk) == 40 + SETTLE
    for frame in (frames[-1], talk[0], talk[-1]):
        assert np.array_equal(frame, frames[0])


def test_a_talk_comes_to_rest_and_does_not_stop_short(picture: Picture) -> None:
    """Its last frames move no faster than those before, whatever the head did when the voice ended."""
    session = CpuEngine().prepare(picture, SIZE, Style(liveliness=1)).session()
    lot = np.random.default_rng(1)
    voice = Speech(lot.integers(-9000, 9000, 90 * PER_FRAME).astype(np.int16))
    frames = floats(np.stack([*session.render(voice), *session.finish(SETTLE)])[:, : SIZE // 4])  # above the mouth
    steps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2))
    assert steps[-SETTLE:].max() <= 1.5 * np.quantile(steps[:-SETTLE], 0.95)
    assert steps[-1] < steps.mean()


def test_a_persona_blinks_looks_about_and_thinks_upwards(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listening, its lids close a few times and its eyes come back; thinking, it looks up and aside for most of it."""
    looks: list[Any] = []
    idle = Idle(picture.bgr, picture.face, SIZE, Style(gaze="natural"))
    thinking = Idle(picture.bgr, picture.face, SIZE, Style(), "thinking")
    for one in (idle, thinking):
        monkeypatch.setattr(one._portrait, "frame", lambda *given: looks.append(given[2]))
    list(idle.loop())
    blinks = sum(before.shut < 1 <= after.shut for before, after in pairwise(looks))
    assert 3 <= blinks <= 5
    assert 0 < sum(abs(look.aside) > 0.3 for look in looks) < 0.2 * len(looks)
    looks.clear()
    list(thinking.loop())
    assert sum(look.up > 0.3 and abs(look.aside) > 0.3 for look in looks) > 0.8 * len(looks)


def test_a_picture_without_a_face_breathes_and_begins_neutral() -> None:
    """So that a voice is shown with something that lives, whatever the picture is."""
    bgr: Pixels = np.random.default_rng(2).integers(0, 255, (300, 200, 3)).astype(np.uint8)
    frames = list(Idle(bgr, None, SIZE, Style()).loop())
    assert np.array_equal(frames[0], frames[-1])
    assert not np.array_equal(frames[0], frames[len(frames) // 6])


@pytest.mark.parametrize(
    ("bgr", "hue"), [((0, 0, 255), 29), ((0, 255, 0), 142), ((255, 0, 0), 264), ((130, 130, 130), colour.NEUTRAL)]
)
def test_the_hue_is_that_of_the_edge(bgr: tuple[int, int, int], hue: int) -> None:
    """Of sRGB's primaries as CSS Color 4 gives them in OKLCH; a grey has none, and the middle does not count."""
    square = np.full((100, 100, 3), bgr, np.uint8)
    square[20:80, 20:80] = (255, 255, 0)
    assert colour.edge_hue(square) == pytest.approx(hue, abs=1)
