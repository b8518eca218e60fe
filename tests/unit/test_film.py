"""Films: cut by the words' times, captioned, brought to their loudness, checked; each check has a film that fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from shared.media.types import RATE, Floats, Timing
from shared.providers.pexels import clips
from shared.studio import checks, film, footage, loudness
from shared.studio.captions import Captions, lines
from shared.studio.project import Shape
from shared.studio.shots import FPS, Shot, plan
from shared.studio.voiceover import LEAD, Voiceover, words_of

SENTENCES = ["Why is the sea salt?", "Every river carries a little stone dust down.", "And the sea keeps it."]


def spoken(sentences: list[str] = SENTENCES, second_a_character: float = 0.07) -> Voiceover:
    """A hum for each character, silence for each space."""
    text = " ".join(sentences)
    times = [LEAD + place * second_a_character for place in range(len(text) + 1)]
    characters = [Timing(one, a, b) for one, a, b in zip(text, times, times[1:], strict=False)]
    count = round((times[-1] + 0.8) * RATE)
    at = np.arange(count) / RATE
    loud = np.zeros(count)
    for one in characters:
        if not one.symbol.isspace():
            loud[round(one.start * RATE) : round(one.end * RATE)] = 1
    sound = (loud * np.sin(2 * np.pi * 180 * at) * 6000).astype(np.int16)
    return Voiceover(sound, words_of(sentences, characters), characters)


def at_48_khz(voice: Voiceover) -> Floats:
    return np.repeat(voice.samples.astype(np.float32) / 32768, 2)


def moving(count: int, width: int = 320, height: int = 320) -> Iterator[film.Planes]:
    """A pattern that never stands still."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    for number in range(count):
        luma = (110 + 80 * np.sin((x + y + 6 * number) / 19)).astype(np.uint8)
        yield film.Planes(luma, np.full((height // 2, width), 128, np.uint8))


def made(
    folder: Path, voice: Voiceover, shots: list[Shot], shape: Shape = "square", sound: Floats | None = None
) -> Path:
    pieces = []
    for shot in shots:
        drawn = Captions(voice.words, shape, *film.SIZES[shape], highlight=True)
        captions: dict[Shape, Captions | None] = {shape: drawn}
        pieces.append(film.render_shot(moving(shot.last - shot.first), shot, captions, folder)[shape])
    target = folder / "film.mp4"
    film.joined(pieces, loudness.brought_to(at_48_khz(voice)) if sound is None else sound, target)
    return target


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Voiceover, list[Shot]]:
    voice = spoken()
    shots = plan([{"text": one, "footage": ""} for one in SENTENCES], voice)
    return made(tmp_path_factory.mktemp("film"), voice, shots), voice, shots


def failed(report: list[checks.Check]) -> set[str]:
    return {one.name for one in report if not one.passed}


def test_a_film_that_is_as_planned_passes_every_check(good: tuple[Path, Voiceover, list[Shot]]) -> None:
    """Joined from shots: every frame there, sound and picture together, index in front, no edit list."""
    path, voice, shots = good
    report = checks.check(path, "square", voice, shots, captioned=True)
    assert failed(report) == set()
    assert {"loudness", "peak", "drift", "captions", "frozen"} <= {one.name for one in report}


def test_every_shot_begins_with_its_sentence_and_all_frames_are_planned_once() -> None:
    """On the film's own time line: no frame is lost or shown twice by rounding, and none is a flicker."""
    voice = spoken([*SENTENCES, "No.", "That is all there is to say about it."])
    shots = plan([{"text": one, "footage": "sea"} for one in [*SENTENCES, "No.", "That is all of it."]], voice)
    assert shots[0].first == 0
    assert all(a.last == b.first for a, b in pairwise(shots))
    assert abs(shots[-1].last / FPS - voice.seconds) <= 1 / FPS
    assert min(shot.last - shot.first for shot in shots) >= 2 * FPS
    assert all(shot.kind == "presenter" for shot in shots)
    slow, shown = spoken(SENTENCES, 0.12), [{"text": one, "footage": "sea"} for one in SENTENCES]
    with_footage = plan(shown, slow, with_footage=True)
    assert [shot.kind for shot in with_footage] == ["presenter", "clip", "presenter"]


@pytest.mark.parametrize("shape", ["wide", "tall", "square"])
def test_every_word_is_captioned_once_in_order_within_the_picture(shape: Shape) -> None:
    """In no more than two rows, none wider than the picture; the spoken word is another colour."""
    voice = spoken(
        [
            *SENTENCES,
            "Extraordinarily counterintuitive characteristics notwithstanding, everybody agrees.",
            "Donaudampfschifffahrtsgesellschaftskapitänswitwenrente.",
        ]
    )
    shown = [word for line in lines(voice.words, shape) for word in line.words]
    assert shown == voice.words
    width, height = film.SIZES[shape]
    captions = Captions(voice.words, shape, width, height, highlight=True)
    seen = [captions.at(word.start + 0.01) for word in voice.words]
    for band in seen:
        assert band is not None
        assert band.top + len(band.luma) <= height
        assert not band.cover[:, :4].any()
        assert not band.cover[:, -4:].any()
    assert captions.at(0.0) is None
    first, second = captions.at(voice.words[0].start + 0.01), captions.at(voice.words[1].start + 0.01)
    assert first is not None
    assert second is not None
    assert not np.array_equal(first.chroma, second.chroma)


@pytest.mark.parametrize("gain", [0.02, 0.3, 3.0])
def test_a_voice_is_brought_to_its_loudness_whatever_it_was(gain: float) -> None:
    """-14 LUFS, its peaks under -1 dBTP, as many samples."""
    rng = np.random.default_rng(1)
    at = np.arange(6 * loudness.RATE) / loudness.RATE
    hum = np.sin(2 * np.pi * 190 * at) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * at))
    voice = (hum + rng.normal(0, 0.05, len(at))) * 0.2
    done = loudness.brought_to((voice * gain).astype(np.float32))
    heard = loudness.measure(done)
    assert len(done) == len(voice)
    assert heard.integrated == pytest.approx(loudness.TARGET, abs=0.5)
    assert heard.peak <= loudness.HIGHEST


@pytest.mark.slow
def test_each_fault_of_a_film_is_found(tmp_path: Path, good: tuple[Path, Voiceover, list[Shot]]) -> None:
    """Black or frozen to the end, silent in the middle, too loud, late sound, a missing shot, no film at all."""
    path, voice, shots = good
    sound = loudness.brought_to(at_48_khz(voice))

    pieces = sorted(path.parent.glob("square-*.mp4"))

    def report(frames: Iterator[film.Planes] | None = None, heard: Floats = sound, of: list[Path] = pieces) -> set[str]:
        if frames:
            whole = Shot(0, "presenter", 0, "", "", 0, count)
            of = [film.render_shot(frames, whole, {"square": None}, tmp_path)["square"]]
        film.joined(of, heard, tmp_path / "faulty.mp4")
        return failed(checks.check(tmp_path / "faulty.mp4", "square", voice, shots, captioned=False))

    count = shots[-1].last
    black = film.Planes(np.full((320, 320), 16, np.uint8), np.full((160, 320), 128, np.uint8))
    assert "black" in report(iter([black] * count))
    still = next(moving(1))
    assert report(iter([still] * count)) == {"frozen"}
    half = count // 2
    assert "frozen" in report((one if n < half else still for n, one in enumerate(moving(count))))
    quiet = sound.copy()
    quiet[2 * loudness.RATE : 4 * loudness.RATE] = 0
    assert "silence" in report(heard=quiet)
    assert {"loudness", "peak"} <= report(heard=np.clip(sound * 4, -1, 1).astype(np.float32))
    late = np.concatenate([np.zeros(loudness.RATE // 10, np.float32), sound])[: len(sound)]
    assert "drift" in report(heard=late)
    assert "decodes" in report(of=pieces[:-1])
    (tmp_path / "none.mp4").write_bytes(b"no film")
    assert failed(checks.check(tmp_path / "none.mp4", "square", voice, shots, captioned=True)) == {"decodes"}


def test_captions_that_lose_a_word_are_found(
    good: tuple[Path, Voiceover, list[Shot]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report counts what is drawn against what is said."""
    path, voice, shots = good
    monkeypatch.setattr(checks, "lines", lambda words, shape: lines(words[1:], shape))
    assert failed(checks.check(path, "square", voice, shots, captioned=True)) == {"captions"}


def video(number: int, slug: str, seconds: int = 9, **file: object) -> dict[str, object]:
    """As Pexels lists one."""
    whole = {"id": number, "quality": "hd", "width": 1920, "height": 1080, "fps": 25.0, "link": "https://x/1.mp4"}
    user = {"id": 1, "name": "Ann", "url": "https://www.pexels.com/@ann"}
    page = f"https://www.pexels.com/video/{slug}-{number}/"
    return {"id": number, "duration": seconds, "url": page, "user": user, "video_files": [{**whole, **file}]}


def test_a_clip_is_chosen_by_what_it_shows_or_none_is() -> None:
    """Called by a word that was searched for, long and large enough, not shown before; never any clip at all."""
    answer = {
        "videos": [
            video(1, "a-globe-turning"), video(2, "river-and-stones", 2), video(3, "river-tiny", width=640, height=360),
            video(4, "mountain-river"), video(5, "river-with-stone-dust"), video(6, "river", width=None),
            {"id": 7, "video_files": None}, video(8, "river-stream", quality="hls"),
        ]
    }  # fmt: skip
    shot = Shot(1, "clip", 1, "Every river carries stone dust.", "river", 0, 5 * FPS)
    found = clips(answer)
    assert [one.id for one in found] == [1, 2, 3, 4, 5]
    assert [one.id for one in footage.ranked(found, shot, set())] == [5, 4]
    assert [one.id for one in footage.ranked(found, shot, {5})] == [4]
    assert footage.ranked(found, replace(shot, footage="zeppelin"), set()) == []
    assert clips({}) == []


def test_the_filters_that_films_need_are_in_the_wheel() -> None:
    """Another build of FFmpeg that lacks one is noticed here, not in a film."""
    needed = {"ebur128", "volume", "alimiter", "pan", "aformat", "scale", "blackdetect", "freezedetect"}
    assert needed <= set(av.filter.filters_available)
