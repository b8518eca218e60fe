"""Does the mouth say what is heard? A score that can fail, with its controls beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from local.elevenlabs import speak
from local.espeak import Espeak
from shared.lipsync.cpu.engine import CpuEngine
from shared.lipsync.engine import FPS, PER_FRAME, RATE, Speech
from shared.lipsync.picture import read_picture
from shared.lipsync.visemes import REST, Mouth, Timing, curves, from_characters, from_phonemes, from_sound
from shared.video import FragmentedMp4

TEXT = (
    "Good evening, my name is Ada. Above the papers on my table you may find a map of the moons of Jupiter. "
    "Five of my friends brought warm bread and apple jam, and we laughed about it all until the morning came."
)
VOICE = "21m00Tcm4TlvDq8ikWAM"
VOWELS = {"a": 1.0, "ɑ": 1.0, "æ": 1.0, "ʌ": 0.9, "ɐ": 0.9, "ɔ": 0.7, "o": 0.7, "e": 0.6, "ɛ": 0.6, "ə": 0.5, "ɜ": 0.6}


def heard(phonemes: list[Timing], frames: int) -> np.ndarray:
    """How open a mouth ought to be in each frame, from phonemes alone: by a rule of its own, not the engine's."""
    steps = np.zeros(frames * 10)
    for phoneme in phonemes:
        sound = phoneme.symbol.strip("ˈˌː")
        closed = sound[:1] in "pbm"
        height = 0.0 if closed else max((VOWELS.get(s, 0.3) for s in sound), default=0.3)
        steps[round(phoneme.start * FPS * 10) : round(phoneme.end * FPS * 10)] = height
    smooth = np.convolve(steps, np.hanning(27) / np.hanning(27).sum(), "same")
    return smooth.reshape(frames, 10).mean(axis=1)


def seen(frames: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """How open the mouth is in decoded frames: root of the area of dark and teeth between the lips, in its box."""
    x0, y0, x1, y1 = box
    mouth = frames[:, y0:y1, x0:x1].astype(np.float32)
    reddish = mouth[..., 0] - mouth[..., 2]
    return np.sqrt(((mouth.mean(axis=-1) < 75) | (reddish < 22)).mean(axis=(1, 2)))


def score(mouth: np.ndarray, target: np.ndarray, reach: int = 8) -> tuple[float, int]:
    """The best correlation over shifts, and its lag in frames: positive when the mouth is early."""
    best = (-1.0, 0)
    for lag in range(-reach, reach + 1):
        a, b = mouth[max(0, -lag) : len(mouth) - max(0, lag)], target[max(0, lag) : len(target) - max(0, -lag)]
        r = float(np.corrcoef(a, b)[0, 1]) if a.std() > 1e-9 else 0.0
        best = max(best, (r, lag))
    return best


@pytest.fixture(scope="module")
def truth() -> tuple[np.ndarray, list[Timing]]:
    """The sound at 24 kHz and its exact phonemes."""
    take = speak(TEXT, VOICE, RATE)
    _, voice, speed, pitch = ("", "en-us+f3", 162, 52)
    return take.samples, Espeak.shared().speak(TEXT, voice, speed, pitch).phonemes


def film(portrait: bytes, speech: Speech, decode: Callable[[bytes], object]) -> np.ndarray:
    """Render, encode, and decode again; frames (n, 512, 512, 3)."""
    session = CpuEngine().prepare(read_picture(portrait), 512).session()
    parts: list[bytes] = []
    video = FragmentedMp4(512, parts.append)
    video.sound(speech.samples)
    for frame in (*session.render(speech), *session.finish()):
        video.picture(frame)
    video.close()
    return decode(b"".join(parts)).frames


BOX = (218, 298, 294, 350)  # around the mouth of a drawn portrait at 512 pixels


@pytest.fixture(scope="module")
def films(portrait_png: bytes, truth: tuple[np.ndarray, list[Timing]], decode: Callable[[bytes], object]):  # type: ignore[no-untyped-def]
    samples, phonemes = truth
    take = speak(TEXT, VOICE, RATE)
    letters = [Timing(c, a, b) for c, a, b in zip(take.text, take.starts, take.ends, strict=True)]
    given = {
        "phonemes": Speech(samples, phonemes, "phonemes"),
        "characters": Speech(samples, letters),
        "sound alone": Speech(samples),
    }
    return {name: seen(film(portrait_png, speech, decode), BOX) for name, speech in given.items()}


def null(mouth: np.ndarray, phonemes: list[Timing], frames: int) -> float:
    """The best score that chance reaches: the same phonemes in 200 other orders."""
    lot, best = np.random.default_rng(7), 0.0
    for _ in range(200):
        order, clock, shuffled = lot.permutation(len(phonemes)), phonemes[0].start, []
        for index in order:
            length = phonemes[index].end - phonemes[index].start
            shuffled.append(Timing(phonemes[index].symbol, clock, clock + length))
            clock += length
        best = max(best, score(mouth, heard(shuffled, frames), reach=1)[0])
    return best


@pytest.mark.parametrize("source", ["phonemes", "characters"])
def test_the_mouth_follows_the_speech(films, truth, source: str) -> None:  # type: ignore[no-untyped-def]
    """r >= 0.7 within one frame of lag, and above everything that chance reaches."""
    mouth = films[source]
    r, lag = score(mouth, heard(truth[1], len(mouth)))
    assert abs(lag) <= 1
    assert r >= 0.7
    assert r > null(mouth, truth[1], len(mouth)) + 0.2


def test_the_mouth_follows_words_it_was_not_made_with(portrait_png: bytes, decode: Callable[[bytes], object]) -> None:
    """Another speech, full of words spelled unlike they sound, from its characters alone."""
    text = (
        "She sells sea shells by the sea shore. The quick brown fox jumps over the lazy dog, while everybody else "
        "watches quietly. I would have thought that nobody could possibly answer such a question, but you did."
    )
    take = speak(text, VOICE, RATE)
    letters = [Timing(c, a, b) for c, a, b in zip(take.text, take.starts, take.ends, strict=True)]
    mouth = seen(film(portrait_png, Speech(take.samples, letters), decode), BOX)
    r, lag = score(mouth, heard(Espeak.shared().speak(text, "en-us+f3", 162, 52).phonemes, len(mouth)))
    assert abs(lag) <= 1
    assert r >= 0.7


def test_without_timings_the_mouth_follows_the_sound(films, truth) -> None:  # type: ignore[no-untyped-def]
    """A sound alone still moves the mouth better than chance, at the right time."""
    mouth = films["sound alone"]
    r, lag = score(mouth, heard(truth[1], len(mouth)))
    assert abs(lag) <= 2
    assert r > null(mouth, truth[1], len(mouth)) + 0.1


def test_controls_score_below_chance(films, truth) -> None:  # type: ignore[no-untyped-def]
    """A shifted target and a frozen mouth stay below the null's maximum; 200 ms late is seen as 5 frames."""
    mouth = films["phonemes"]
    target = heard(truth[1], len(mouth))
    chance = null(mouth, truth[1], len(mouth))
    assert score(mouth, np.roll(target, round(2.1 * FPS)), reach=1)[0] < chance
    assert score(np.random.default_rng(1).normal(size=len(mouth)), target, reach=1)[0] < chance
    late = np.concatenate([np.full(5, mouth[0]), mouth[:-5]])
    assert score(late, target)[1] == -5


def test_a_frozen_mouth_scores_nothing(portrait_png: bytes, films, truth, decode: Callable[[bytes], object]) -> None:  # type: ignore[no-untyped-def]
    """A mouth that rests through a whole speech scores below chance."""
    mouth = seen(film(portrait_png, Speech(np.zeros_like(truth[0])), decode), BOX)
    assert len(mouth) == len(films["phonemes"])
    chance = null(films["phonemes"], truth[1], len(mouth))
    assert score(mouth, heard(truth[1], len(mouth)), reach=1)[0] < chance


def test_in_silence_the_mouth_rests_while_the_face_lives(
    portrait_png: bytes, films, decode: Callable[[bytes], object]
) -> None:  # type: ignore[no-untyped-def]
    """Nobody speaks: the mouth stays closed, the eyes blink, the head moves a little."""
    frames = film(portrait_png, Speech(np.zeros(8 * RATE, np.int16)), decode)
    assert seen(frames, BOX).max() < 0.3 * films["phonemes"].max()
    eyes = frames[:, 215:240, 190:236].astype(np.float32)
    white = (eyes.min(axis=-1) > 170).mean(axis=(1, 2))
    assert white.min() < 0.6 * np.median(white), "no blink in eight seconds"
    assert np.abs(frames[0, 60:400].astype(float) - frames[60, 60:400]).mean() > 0.2, "the head does not move"
    assert np.abs(frames[0, :8].astype(float) - frames[60, :8]).mean() < 2.5, "the background moves"


def test_lips_close_on_p_b_and_m() -> None:
    """Every closed consonant has at least one frame with pressed lips, however short it is."""
    spoken = Espeak.shared().speak("Maybe the happy baby amuses papa.", "en-us")
    rows = curves(from_phonemes(spoken.phonemes), 0, 80)
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
    kinds |= {"round"} if any(m.wide < -0.5 for m in mouths) else set()
    kinds |= {"spread"} if any(m.wide > 0.5 for m in mouths) else set()
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
    assert curves([], 0, 3).tolist() == [list(Mouth()) for _ in range(3)]
    assert Mouth() == REST
    session = CpuEngine().prepare(read_picture(portrait_png), 128).session()
    assert list(session.finish()) == []
