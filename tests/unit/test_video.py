"""Encoding, looked at by decoding again."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import av
import numpy as np
import pytest

from shared.media.types import FPS, PER_FRAME, RATE
from shared.media.video import FragmentedMp4, seekable
from tests.support.media import Decoded


def clip(seconds: float = 3.0, flash_at: float = 1.0) -> tuple[bytes, list[bytes]]:
    """Grey with one white frame, silence with one click at the same moment."""
    parts: list[bytes] = []
    video = FragmentedMp4(128, parts.append)
    samples = np.zeros(round(seconds * RATE), np.int16)
    samples[round(flash_at * RATE) : round(flash_at * RATE) + 240] = 20000
    video.add_audio(samples)
    for number in range(round(seconds * FPS)):
        frame = np.full((192, 128), 128, np.uint8)
        frame[:128] = 235 if number == round(flash_at * FPS) else 60
        video.add_frame(frame)
    video.close()
    return b"".join(parts), parts


@pytest.mark.parametrize("finish", [lambda data: data, seekable], ids=["fragmented", "seekable"])
def test_sound_and_picture_begin_at_zero_meet_and_end_together(
    finish: Callable[[bytes], bytes],
    decode: Callable[[bytes], Decoded],
) -> None:
    """A click and a flash at one second are decoded within 5 ms of each other, and both tracks fill 3 s."""
    found = decode(finish(clip()[0]))
    assert found.codecs == ("h264", "aac")
    assert (found.first_video, found.first_audio) == (0, 0)
    flash = int(np.argmax(found.frames.mean(axis=(1, 2, 3)))) / FPS
    click = int(np.argmax(np.abs(found.samples) > 0.25)) / RATE
    assert flash == pytest.approx(1.0)
    assert click == pytest.approx(1.0, abs=0.005)
    assert found.video_seconds == pytest.approx(3.0)
    assert 3.0 <= found.audio_seconds < 3.0 + 1024 / RATE


def test_the_header_leaves_at_once_and_fragments_follow_every_two_frames() -> None:
    """Nothing waits for the end: the first fragment is out before the fourth frame is given."""
    parts: list[bytes] = []
    video = FragmentedMp4(128, parts.append)
    assert b"".join(parts)[4:8] == b"ftyp"
    assert b"moov" in b"".join(parts)
    video.add_audio(np.zeros(RATE, np.int16))
    for number in range(4):
        assert (b"moof" in b"".join(parts)) == (number > 2)
        video.add_frame(np.full((192, 128), 128, np.uint8))
    video.close()


def test_the_same_frame_again_is_not_encoded_but_shown_for_longer(decode: Callable[[bytes], Decoded]) -> None:
    """100 frames of which each is given twice make 50 pictures of 80 ms, as long as the sound that goes with them."""
    parts: list[bytes] = []
    video = FragmentedMp4(128, parts.append)
    video.add_audio(np.zeros(4 * RATE, np.int16))
    for number in range(50):
        frame = np.full((192, 128), 60 + number, np.uint8)
        video.add_frame(frame)
        video.add_frame(frame)
    video.close()
    assert video.frames == 100
    with av.open(BytesIO(b"".join(parts)), "r") as file:
        times = [round(frame.time * FPS) for frame in file.decode(video=0) if frame.time is not None]
    assert times == list(range(0, 100, 2))
    assert decode(seekable(b"".join(parts))).video_seconds == pytest.approx(4.0, abs=0.05)


def test_the_kept_file_has_its_index_in_front() -> None:
    """A player can seek in it without reading it to the end, and knows its length."""
    data = seekable(clip()[0])
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    import io

    with av.open(io.BytesIO(data), "r") as file:
        assert file.duration is not None
        assert file.duration / av.time_base == pytest.approx(3.0, abs=0.05)


def test_sound_given_in_odd_pieces_is_kept_whole(decode: Callable[[bytes], Decoded]) -> None:
    """Pieces that fit no frame do not shift or lose a sample."""
    parts: list[bytes] = []
    video = FragmentedMp4(128, parts.append)
    tone = (9000 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.int16)
    tone[: PER_FRAME * 2] = 0
    for at in range(0, len(tone), 777):
        video.add_audio(tone[at : at + 777])
    for _ in range(2 * FPS):
        video.add_frame(np.full((192, 128), 128, np.uint8))
    video.close()
    heard = decode(b"".join(parts)).samples[: len(tone)]
    assert np.corrcoef(heard[4000:], tone[4000:])[0, 1] > 0.99
