"""Does the mouth say what is heard? A score that can fail, with its controls beside it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from bench.score import COARSE, chance, score, target
from local.elevenlabs import speak
from local.espeak import Espeak
from shared.lipsync.cpu.engine import CpuEngine
from shared.lipsync.picture import read_picture
from shared.lipsync.visemes import REST, Mouth, curves, from_characters, from_phonemes, from_sound
from shared.media.types import FPS, PER_FRAME, RATE, Speech, Timing
from shared.media.video import FragmentedMp4
from tests.support.media import Decoded

TEXT = (
    "Good evening, my name is Ada. Above the papers on my table you may find a map of the moons of Jupiter. "
    "Five of my friends brought warm bread and apple jam, and we laughed about it all until the morning came."
)
VOICE = "21m00Tcm4TlvDq8ikWAM"


def seen(frames: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """How open the mouth is in decoded frames: root of the area of dark and teeth between the lips, in its box."""
    x0, y0, x1, y1 = box
    mouth = frames[:, y0:y1, x0:x1].astype(np.float32)
    reddish = mouth[..., 0] - mouth[..., 2]
    opened: np.ndarray = np.sqrt(((mouth.mean(axis=-1) < 75) | (reddish < 22)).mean(axis=(1, 2)))
    return opened


@pytest.fixture(scope="module")
def truth() -> tuple[np.ndarray, list[Timing]]:
    """The sound at 24 kHz and its exact phonemes."""
    take = speak(TEXT, VOICE, RATE)
    _, voice, speed, pitch = ("", "en-us+f3", 162, 52)
    return take.samples, Espeak.shared().speak(TEXT, voice, speed, pitch).phonemes


def video(portrait: bytes, speech: Speech, decode: Callable[[bytes], Decoded]) -> np.ndarray:
    """Render, encode, and decode again; frames (n, 512, 512, 3)."""
    session = CpuEngine().prepare(read_picture(portrait), 512).session()
    parts: list[bytes] = []
    video = FragmentedMp4(512, parts.append)
    video.add_audio(speech.samples)
    for frame in (*session.render(speech), *session.finish()):
        video.add_frame(frame)
    video.close()
    return decode(b"".join(parts)).frames


BOX = (218, 298, 294, 350)  # around the mouth of a drawn portrait at 512 pixels


@pytest.fixture(scope="module")
def videos(portrait_png: bytes, truth: tuple[np.ndarray, list[Timing]], decode: Callable[[bytes], Decoded]):  # type: ignore[no-untyped-def]
    samples, phonemes = truth
    take = speak(TEXT, VOICE, RATE)
    letters = [Timing(c, a, b) for c, a, b in zip(take.text, take.starts, take.ends, strict=True)]
    given = {
        "phonemes": Speech(samples, phonemes, "phonemes"),
        "characters": Speech(samples, letters),
        "sound alone": Speech(samples),
    }
    return {name: seen(video(portrait_png, speech, decode), BOX) for name, speech in given.items()}


@pytest.mark.parametrize(("source", "least"), [("phonemes", 0.8), ("characters", 0.7)])
def test_the_mouth_follows_the_speech(videos, truth, source: str, least: float) -> None:  # type: ignore[no-untyped-def]
    """Within one frame of lag, above everything that chance reaches, also by a coarser target."""
    mouth = videos[source]
    r, lag = score(mouth, target(truth[1], len(mouth)))
    assert abs(lag) <= 1
    assert r >= least
    assert score(mouth, target(truth[1], len(mouth), COARSE))[0] >= least - 0.1
    assert r > chance(mouth, truth[1], len(mouth)) + 0.2


def test_the_mouth_follows_words_it_was_not_made_with(portrait_png: bytes, decode: Callable[[bytes], Decoded]) -> None:
    """Another speech, full of words spelled unlike they sound, from its characters alone."""
    text = (
        "She sells sea shells by the sea shore. The quick brown fox jumps over the lazy dog, while everybody else "
        "watches quietly. I would have thought that nobody could possibly answer such a question, but you did."
    )
    take = speak(text, VOICE, RATE)
    letters = [Timing(c, a, b) for c, a, b in zip(take.text, take.starts, take.ends, strict=True)]
    mouth = seen(video(portrait_png, Speech(take.samples, letters), decode), BOX)
    r, lag = score(mouth, target(Espeak.shared().speak(text, "en-us+f3", 162, 52).phonemes, len(mouth)))
    assert abs(lag) <= 1
    assert r >= 0.7


def test_without_timings_the_mouth_follows_the_sound(videos, truth) -> None:  # type: ignore[no-untyped-def]
    """A sound alone still moves the mouth better than chance, at the right time."""
    mouth = videos["sound alone"]
    r, lag = score(mouth, target(truth[1], len(mouth)))
    assert abs(lag) <= 2
    assert r > chance(mouth, truth[1], len(mouth)) + 0.1


def test_controls_score_below_chance(videos, truth) -> None:  # type: ignore[no-untyped-def]
    """A shifted target and a frozen mouth stay below the null's maximum; 200 ms late is seen as 5 frames."""
    mouth = videos["phonemes"]
    wanted = target(truth[1], len(mouth))
    by_chance = chance(mouth, truth[1], len(mouth))
    assert score(mouth, np.roll(wanted, round(2.1 * FPS)), reach=1)[0] < by_chance
    noise: np.ndarray = np.random.default_rng(1).normal(size=len(mouth))
    assert score(noise, wanted, reach=1)[0] < by_chance
    late = np.concatenate([np.full(5, mouth[0]), mouth[:-5]])
    assert score(late, wanted)[1] == -5


def test_a_frozen_mouth_scores_nothing(portrait_png: bytes, videos, truth, decode: Callable[[bytes], Decoded]) -> None:  # type: ignore[no-untyped-def]
    """A mouth that rests through a whole speech scores below chance."""
    mouth = seen(video(portrait_png, Speech(np.zeros_like(truth[0])), decode), BOX)
    assert len(mouth) == len(videos["phonemes"])
    by_chance = chance(videos["phonemes"], truth[1], len(mouth))
    assert score(mouth, target(truth[1], len(mouth)), reach=1)[0] < by_chance


def test_in_silence_the_face_lives(portrait_png: bytes, decode: Callable[[bytes], Decoded]) -> None:
    """Nobody speaks: the eyes blink, the head moves a little, the picture's rim does not."""
    frames = video(portrait_png, Speech(np.zeros(8 * RATE, np.int16)), decode)
    eyes = frames[:, 215:240, 190:236].astype(np.float32)
    white = (eyes.min(axis=-1) > 170).mean(axis=(1, 2))
    assert white.min() < 0.6 * np.median(white), "no blink in eight seconds"
    assert np.abs(frames[0, 60:400].astype(float) - frames[60, 60:400]).mean() > 0.2, "the head does not move"
    assert np.abs(frames[0, :8].astype(float) - frames[60, :8]).mean() < 2.5, "the background moves"


def test_lips_close_on_p_b_and_m() -> None:
    """Every closed consonant has at least one frame with pressed lips, however short it is."""
    spoken = Espeak.shared().speak("Maybe the happy baby amuses papa.", "en-us")
    rows, _ = curves(from_phonemes(spoken.phonemes), 0, 80)
    closed = [t for t in spoken.phonemes if t.symbol in "pbm"]
    assert len(closed) >= 6
    for timing in closed:
        frame = int((timing.start + timing.end) / 2 * FPS)
        assert rows[max(0, frame - 1) : frame + 2, 2].max() == 1
        assert rows[max(0, frame - 1) : frame + 2, 0].min() == 0


def test_pieces_give_the_same_frames_as_one_stretch(portrait_png: bytes) -> None:
    """Where speech is cut into pieces between words cannot be seen."""
    take = speak("One two three, four five six.", VOICE, RATE)
    letters = [Timing(c, a, b) for c, a, b in zip(take.text, take.starts, take.ends, strict=True)]
    prepared = CpuEngine().prepare(read_picture(portrait_png), 256)
    whole = prepared.session()
    at_once = [*whole.render(Speech(take.samples, letters)), *whole.finish()]
    session, frames = prepared.session(), []
    cut = take.text.index(",") + 1
    middle = round(take.ends[cut - 1] * RATE)
    shift = middle / RATE
    later = [Timing(t.symbol, t.start - shift, t.end - shift) for t in letters[cut:]]
    for speech in (Speech(take.samples[:middle], letters[:cut]), Speech(take.samples[middle:], later)):
        frames += list(session.render(speech))
    frames += list(session.finish())
    assert len(frames) == len(at_once) == -(-len(take.samples) // PER_FRAME)
    assert all(np.array_equal(a, b) for a, b in zip(frames, at_once, strict=True))


@pytest.mark.parametrize(
    ("word", "has"),
    [("map", {"press"}), ("five", {"tuck"}), ("think", {"tongue"}), ("shoe", {"round"}), ("see", {"spread"})],
)
def test_written_words_become_the_right_mouths(word: str, has: set[str]) -> None:
    """Spelling alone tells lips apart: m and p close, f and v tuck, th shows the tongue."""
    letters = [Timing(c, i * 0.1, (i + 1) * 0.1) for i, c in enumerate(word)]
    mouths = [cue.mouth for cue in from_characters(letters)]
    kinds = {name for m in mouths for name in ("press", "tuck", "tongue") if getattr(m, name) >= 0.7}
    kinds |= {"round"} if any(m.width < 0.8 for m in mouths) else set()
    kinds |= {"spread"} if any(m.width > 1.03 for m in mouths) else set()
    assert has <= kinds


@pytest.mark.parametrize("text", ["Привет мир", "こんにちは", "Ça va très bien, où êtes-vous?", "123, 45!", "", "…"])
def test_any_script_moves_the_mouth_or_rests(text: str) -> None:
    """Letters of any alphabet open the mouth; digits and signs alone do not break anything."""
    letters = [Timing(c, i * 0.1, (i + 1) * 0.1) for i, c in enumerate(text)]
    cues = from_characters(letters)
    assert bool(cues) == any(c.isalpha() for c in text)
    assert all(cue.end > cue.start for cue in cues)


def test_silence_has_no_cues_and_a_session_without_speech_no_frames(portrait_png: bytes) -> None:
    """Nothing said, nothing shown."""
    assert from_sound(np.zeros(RATE, np.int16), RATE) == []
    assert curves([], 0, 3)[0].tolist() == [list(Mouth()) for _ in range(3)]
    assert Mouth() == REST
    session = CpuEngine().prepare(read_picture(portrait_png), 128).session()
    assert list(session.finish()) == []


def test_a_session_that_is_behind_draws_every_other_frame_and_ends_as_it_would(portrait_png: bytes, truth) -> None:  # type: ignore[no-untyped-def]
    """Nothing moves in time: frames that are drawn are those of a session that is not behind."""
    sound, phonemes = truth
    speech = Speech(sound[: 2 * RATE], [one for one in phonemes if one.end < 2], "phonemes")
    portrait = CpuEngine().prepare(read_picture(portrait_png), 512)
    whole, behind = portrait.session(), portrait.session()
    behind.behind = True
    drawn = [*whole.render(speech), *whole.finish()]
    shown = [*behind.render(speech), *behind.finish()]
    assert len(shown) == len(drawn) == 2 * FPS
    assert behind.repeated == sum(one is other for one, other in pairwise(shown)) >= 20
    different = [place for place, (one, other) in enumerate(zip(shown, drawn, strict=True)) if (one != other).any()]
    assert all(shown[place] is shown[place - 1] for place in different)
    assert not (shown[-1] != drawn[-1]).any()


def test_a_long_speech_may_come_at_once(portrait_png: bytes) -> None:
    """Half a minute in one stretch moves as the same half minute in parts does."""
    lot = np.random.default_rng(1)
    sound = (lot.normal(0, 3000, 27 * RATE) * (np.sin(np.arange(27 * RATE) / 9000) > 0)).astype(np.int16)
    prepared = CpuEngine().prepare(read_picture(portrait_png, generated=True), 64)
    whole, parts = prepared.session(), prepared.session()
    at_once = [*whole.render(Speech(sound)), *whole.finish()]
    in_parts = [frame for part in np.split(sound, 27) for frame in parts.render(Speech(part))]
    in_parts += list(parts.finish())
    assert len(at_once) == len(in_parts) == 27 * FPS
    nods = [not np.array_equal(a[: len(a) // 6], b[: len(b) // 6]) for a, b in pairwise(at_once)]
    assert sum(nods) > 20 * FPS
