"""Films: cut by the words' times, captioned, brought to their loudness, checked; each check has a film that fails."""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorTrc

from shared.media.types import RATE, Floats, Timing
from shared.providers.pexels import clips
from shared.studio import checks, film, fonts, footage, loudness, music
from shared.studio.captions import Captions, in_order, lines
from shared.studio.project import Shape
from shared.studio.shots import FPS, Shot, plan
from shared.studio.voiceover import LEAD, Voiceover, Word, words_of
from shared.studio.words import count_words, speakable, tokens

SENTENCES = ["Why is the sea salt?", "Every river carries a little stone dust down.", "And the sea keeps it."]


def spoken(sentences: list[str] = SENTENCES, second_a_character: float = 0.05) -> Voiceover:
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
    report = checks.check(path, "square", voice, shots, captions_of(voice))
    assert failed(report) == set(), report
    assert {"loudness", "bars", "flashing", "clipping", "safe area", "reading speed", "credits"} <= {
        one.name for one in report
    }


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


def test_music_is_quiet_under_words_louder_between_them_and_gone_at_the_end() -> None:
    """By nine decibels, as the two levels differ; a short piece is repeated, and no sample is added to the voice."""
    at = np.arange(12 * loudness.RATE) / loudness.RATE
    voice = (np.sin(2 * np.pi * 200 * at) * 0.2 * ((at < 3) | ((at > 7) & (at < 9)))).astype(np.float32)
    piece = (np.sin(2 * np.pi * 1000 * at[: 2 * loudness.RATE]) * 0.1).astype(np.float32)
    words = [Word("a", 0.0, 3.0, 0), Word("b", 7.0, 9.0, 1)]
    under = music.mixed(voice, piece, words) - voice
    assert len(under) == len(voice)

    def level(start: float, end: float) -> float:
        part = under[round(start * loudness.RATE) : round(end * loudness.RATE)]
        return 20 * float(np.log10(np.sqrt(np.mean(part**2))))

    assert level(4.5, 5.5) - level(1, 2) == pytest.approx(music.BETWEEN - music.UNDER, abs=0.5)
    assert level(11.9, 12) < level(4.5, 5.5) - 20


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
        return failed(checks.check(tmp_path / "faulty.mp4", "square", voice, shots, None))

    count = shots[-1].last
    black = film.Planes(np.full((320, 320), 16, np.uint8), np.full((160, 320), 128, np.uint8))
    assert "black" in report(iter([black] * count))
    still = next(moving(1))
    assert report(iter([still] * count)) == {"frozen"}
    film.joined(
        [film.render_shot(iter([still] * count), shots[0], {"square": None}, tmp_path)["square"]],
        sound,
        path2 := tmp_path / "card.mp4",
    )
    planned = [replace(shots[0], last=count)]
    assert failed(checks.check(path2, "square", voice, planned, None, cards=[shots[0].number])) == set()
    half = count // 2
    assert "frozen" in report((one if n < half else still for n, one in enumerate(moving(count))))
    quiet = sound.copy()
    quiet[2 * loudness.RATE : 4 * loudness.RATE] = 0
    assert "silence" in report(heard=quiet)
    assert {"loudness", "peak"} <= report(heard=np.clip(sound * 4, -1, 1).astype(np.float32))
    late = np.concatenate([np.zeros(loudness.RATE // 10, np.float32), sound])[: len(sound)]
    assert "drift" in report(heard=late)
    fewer = [*shots[:-1], replace(shots[-1], last=shots[-1].last + 5)]
    assert "decodes" in failed(checks.check(path, "square", voice, fewer, None))
    (tmp_path / "none.mp4").write_bytes(b"no film")
    assert failed(checks.check(tmp_path / "none.mp4", "square", voice, shots, None)) == {"decodes"}


def captions_of(voice: Voiceover, shape: Shape = "square") -> Captions:
    return Captions(voice.words, shape, *film.SIZES[shape], highlight=True)


def test_captions_that_lose_a_word_cannot_be_read_or_cannot_be_drawn_are_found(
    good: tuple[Path, Voiceover, list[Shot]],
) -> None:
    """What is drawn is counted against what is said; a glyph that no font has is named, and so is a rush."""
    path, voice, shots = good

    def report(drawn: Captions, said: Voiceover = voice) -> dict[str, checks.Check]:
        found = checks.check(path, "square", said, shots, drawn)
        return {one.name: one for one in found if not one.passed}

    fewer = Captions(voice.words[1:], "square", *film.SIZES["square"], highlight=True)
    assert set(report(fewer)) == {"captions"}
    strange = replace(voice, words=[replace(voice.words[0], text="\U000f1234"), *voice.words[1:]])
    assert "no glyph for" in report(captions_of(strange), strange)["captions"].measured
    rushed = replace(voice, words=[replace(one, start=one.start / 4, end=one.end / 4) for one in voice.words])
    assert set(report(captions_of(rushed), rushed)) == {"reading speed"}
    low = Captions(voice.words, "square", film.SIZES["square"][0], 1400, highlight=True)
    assert set(report(low)) == {"safe area"}


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("لماذا البحر مالح؟ لأن الأنهار تحمل NaCl منذ 4 سنوات.", "لماذا"),
        ("כי YouTube אמר שלום ל hello world 100 פעם.", "כי"),
    ],
)
def test_a_line_from_right_to_left_is_drawn_so(text: str, first: str) -> None:
    """Its first word is at the right; words of the other direction keep their own order."""
    words = words_of([text], [Timing(one, n / 20, (n + 1) / 20) for n, one in enumerate(text)])
    seen = [word.text for word in in_order(words, "R")]
    assert seen[-1] == first
    assert sorted(seen) == sorted(text.split())
    if "hello" in seen:
        assert seen.index("world") == seen.index("hello") + 1
    at_first, at_last = (_highlighted(words, word) for word in (words[0], words[-1]))
    assert at_first > at_last, "the first word is lit at the right, the last at the left"


def _highlighted(words: list[Word], word: Word) -> float:
    """The column at which the spoken word is drawn."""
    captions = Captions(words, "wide", *film.SIZES["wide"], highlight=True)
    band = captions.at(word.start + 0.001)
    assert band is not None
    blue = band.chroma.reshape(len(band.chroma), -1, 2)[..., 0]
    return float(np.argwhere((blue < 90) & (band.cover_chroma[:, ::2] > 127))[:, 1].mean())


def test_what_is_written_without_spaces_is_captioned_without_them() -> None:
    """Japanese: a character for a word, each once and in order, no space between them; Latin within keeps its own."""
    sentences = ["なぜ海は塩辛いのか。川が石の粉を運ぶからです。", "Why NaCl？ 好。"]
    text = " ".join(sentences)
    words = words_of(sentences, [Timing(one, n / 8, (n + 1) / 8) for n, one in enumerate(text)])
    written = "".join(("" if word.joined else " ") + word.text for word in words).strip()
    assert written == text
    shown = [word for line in lines(words, "tall") for word in line.words]
    assert shown == words
    assert max(len(line.words) for line in lines(words, "tall")) < 25


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It works 🚀 in 20 °C\u200b.", "It works in 20 °C."),
        ("👩‍👩‍👧 [music] **Bold** (aside) https://x.y/z", "Bold"),
        ("می‌خواهم", "می‌خواهم"),
        ("\u200b\u2060", ""),
    ],
)
def test_what_is_not_spoken_is_stripped(text: str, words: str) -> None:
    """Emoji, markup, stage directions, links and what cannot be seen; not a degree, nor what joins Persian letters."""
    assert speakable(text) == words


def test_words_are_counted_by_how_long_they_take() -> None:
    """A minute of Chinese or Thai is about as many as a minute of English."""
    assert count_words("Every river carries a little stone dust.") == 7
    assert 5 <= count_words("每条河都带着一点石头的粉末。") <= 10
    assert 5 <= count_words("แม่น้ำทุกสายพาเอาฝุ่นหินลงมาเล็กน้อย") <= 10
    thai = tokens("ทะเลเค็มเพราะแม่น้ำพาเกลือจากหิน")
    assert "".join(text for text, _ in thai) == "ทะเลเค็มเพราะแม่น้ำพาเกลือจากหิน"
    assert max(len(text) for text, _ in thai) <= 14
    assert not any(unicodedata.category(text[0]) == "Mn" for text, _ in thai)


def test_letters_beyond_english_are_drawn_and_not_as_boxes() -> None:
    """Latin of Europe, Greek and Cyrillic come with the font that is installed with us."""
    for text in ("Ångström’s naïve café — “déjà vu”, 3 €", "Łódź, İstanbul, Ærø", "Почему море солёное", "Σίσυφος"):
        assert fonts.missing(text) == ""
        found = fonts.font(text, 40)
        assert found is not None
        assert str(found.path) == fonts.OWN
    assert fonts.missing("A \U000f1234 sign") == "\U000f1234"


@pytest.mark.slow
def test_each_fault_of_a_films_file_and_sources_is_found(
    tmp_path: Path, good: tuple[Path, Voiceover, list[Shot]]
) -> None:
    """Bars, flashes, clipped sound, another size, length, index, edit list, file size, unknown clips, no manifest."""
    path, voice, shots = good
    count = shots[-1].last

    def report(of: Path = path, shape: Shape = "square", said: Voiceover = voice, **more: Any) -> set[str]:
        return failed(checks.check(of, shape, said, shots, None, **more))

    def rendered(frames: Iterator[film.Planes], heard: Floats | None = None) -> Path:
        whole = Shot(0, "presenter", 0, "", "", 0, count)
        piece = film.render_shot(frames, whole, {"square": None}, tmp_path)["square"]
        film.joined([piece], loudness.brought_to(at_48_khz(voice)) if heard is None else heard, tmp_path / "film.mp4")
        return tmp_path / "film.mp4"

    def barred() -> Iterator[film.Planes]:
        for one in moving(count):
            one.luma[:20] = one.luma[-20:] = 16
            yield one

    def flashing(every: int) -> Iterator[film.Planes]:
        for number, one in enumerate(moving(count)):
            one.luma[:200] = 220 if number // every % 2 else 40
            yield one

    footage_in_all: dict[str, Any] = {
        "clips": {one.number: "a" * 64 for one in shots},
        "ledger": {one.number: "a" * 64 for one in shots},
    }
    assert report(rendered(barred()), **footage_in_all) == {"bars"}
    assert report(tmp_path / "film.mp4") == set(), "the persona may stand before black"
    assert report(rendered(flashing(3))) == {"flashing"}
    assert report(rendered(flashing(12))) == set()
    torn = (np.sin(np.arange(len(voice.samples) * 2) / 40) * 3).clip(-1, 1).astype(np.float32)
    assert {"clipping", "peak", "loudness", "drift"} <= report(rendered(moving(count), torn))
    assert report(shape="wide") == {"picture"}
    longer = replace(voice, samples=np.concatenate([voice.samples, np.zeros(RATE // 5, np.int16)]))
    assert report(said=longer) == {"length"}
    with av.open(str(path)) as source, av.open(str(tmp_path / "plain.mp4"), "w") as target:
        streams = {one.index: target.add_stream_from_template(one) for one in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    assert {"index first", "edit list"} <= report(tmp_path / "plain.mp4")
    padding = film.largest(voice.seconds)
    (tmp_path / "padded.mp4").write_bytes(path.read_bytes() + padding.to_bytes(4) + b"free" + bytes(padding - 8))
    assert report(tmp_path / "padded.mp4") == {"size"}
    assert report(clips={1: "a" * 64}, ledger={1: "b" * 64}) == {"credits"}
    assert report(clips={1: "a" * 64}, ledger={1: "a" * 64}) == set()
    assert report(provenance="Invalid") == {"provenance"}


def test_clips_of_phones_are_turned_upright_and_stretched_to_square_pixels(tmp_path: Path) -> None:
    """A quarter turn in the file's matrix, and pixels that are twice as wide as high; HDR is refused."""
    bright = np.full((60, 120, 3), 30, np.uint8)
    bright[:, :30] = 220  # the left quarter

    def clip(name: str, **context: Any) -> bytes:
        with av.open(str(tmp_path / name), "w") as file:
            stream = file.add_stream("libx264", rate=30, width=120, height=60, pix_fmt="yuv420p")
            for key, value in context.items():
                setattr(stream.codec_context, key, value)
            for number in range(30):
                frame = av.VideoFrame.from_ndarray(bright, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 30)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        return (tmp_path / name).read_bytes()

    plain = clip("plain.mp4")
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    quarter = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 60 << 16, 0, 1 << 30)
    at = plain.index(identity, plain.index(b"tkhd"))
    turned = next(film.clip_frames(plain[:at] + quarter + plain[at + len(quarter) :], 10))
    assert turned.luma.shape == (120, 60)
    assert turned.luma[:20].mean() > 150 > turned.luma[-20:].mean(), "what was left is above"
    assert turned.chroma.shape == (60, 60)
    wide = next(film.clip_frames(clip("wide.mp4", sample_aspect_ratio=Fraction(2, 1)), 10))
    assert wide.luma.shape == (60, 240)
    with pytest.raises(ValueError, match="HDR"):
        next(film.clip_frames(clip("hdr.mp4", color_trc=ColorTrc.SMPTE2084), 10))


def test_a_card_shows_its_whole_sentence_in_every_shape_and_grows() -> None:
    """Letters within what an upright film shows of a square; each frame a little larger than the one before."""
    for text in (
        "なぜ海は塩辛いのか。川が石の粉を運び、四十億年のあいだ海に積もったからです。",
        "ทะเลเค็มเพราะแม่น้ำพาเกลือจากหินลงสู่ทะเลตลอดสี่พันล้านปี",
        "مرحبا means hello, and שלום means peace.",
        "It is so.",
        "Extraordinarily counterintuitive characteristics notwithstanding, everybody agrees with it.",
    ):
        ink = np.argwhere((film.card(text) > 200).all(axis=2))
        side, shown = film.CARD, 1080 / 1920
        assert ink[:, 1].min() > side * (1 - shown) / 2
        assert ink[:, 1].max() < side * (1 + shown) / 2
        assert abs(ink[:, 0].min() + ink[:, 0].max() - side) < side * 0.06, "in the middle"
    frames = [one.luma.astype(int) for one in film.still_frames(film.card("It is so."), 60)]
    assert min(np.abs(a - b).mean() for a, b in pairwise(frames)) > 0.002


def test_the_persona_in_the_corner_leaves_captions_and_the_rest_alone(tmp_path: Path) -> None:
    """A disc at the upper right of each shape; every other pixel is the footage's."""
    shot = Shot(0, "clip", 0, "", "", 0, 3)
    white = film.Planes(np.full((200, 200), 235, np.uint8), np.full((100, 200), 128, np.uint8))
    shapes: dict[Shape, Captions | None] = dict.fromkeys(film.SIZES)
    seen = film.render_shot(moving(3), shot, shapes, tmp_path, corner=iter([white] * 3))
    for shape, path in seen.items():
        (tmp_path / shape).mkdir()
        plain = film.render_shot(moving(3), shot, {shape: None}, tmp_path / shape)
        with av.open(str(path)) as with_corner, av.open(str(plain[shape])) as without:
            one, other = (
                next(file.decode(video=0)).to_ndarray(format="gray").astype(int) for file in (with_corner, without)
            )
        changed = np.argwhere(np.abs(one - other) > 24)
        height, width = one.shape
        (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
        assert left > width / 2
        assert right < width
        assert bottom < height * 0.6
        assert top > 0
        share = len(changed) / ((bottom - top) * (right - left))
        assert 0.6 < share < 0.85, "a disc"


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
