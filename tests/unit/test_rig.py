"""A face that speaks, by its mesh: measured in frames that were encoded and decoded again, on photos and a drawing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import cv2
import numpy as np
import pytest

from bench.faces import TEXT, VOICE, brow_change, photos, video
from bench.score import closed_frames, opening, score, target
from local.elevenlabs import speak
from local.espeak import Espeak
from local.portrait import draw
from shared.lipsync.cpu.engine import CpuEngine, CpuPortrait
from shared.lipsync.cpu.head import Pose
from shared.lipsync.cpu.motion import BLINK, Hearing, Look, Motion
from shared.lipsync.engine import Style
from shared.lipsync.face import Face
from shared.lipsync.picture import Picture, read_picture
from shared.lipsync.visemes import Mouth, curves, from_phonemes
from shared.media.nv12 import from_nv12
from shared.media.types import FPS, PER_FRAME, RATE, Speech, Timing
from tests.support.person import WOMAN

STILL = Look(0, 0, 0, Pose())


def read(name: str) -> Picture:
    if name == "drawn":
        return read_picture(draw(WOMAN, 768), generated=True)
    done, data = cv2.imencode(".png", photos()[name][:, :, ::-1])
    assert done
    return read_picture(data.tobytes())


FACES = {name: read(name) for name in ("astronaut", "hopper", "drawn")}
PARTED = {"astronaut": True, "hopper": False, "drawn": False}  # whether the lips of the picture are open


@pytest.fixture(params=FACES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def prepared(name: str) -> CpuPortrait:
    return CpuEngine().prepare(FACES[name], 512)


def bgr(frame: np.ndarray) -> np.ndarray:
    return from_nv12(frame)


@pytest.mark.slow
def test_the_lips_open_as_the_sounds_ask_at_the_right_time(prepared: CpuPortrait) -> None:
    """Over a spoken text: r of at least 0.89 at lag 0, closed where lips close, never wider than an open a."""
    spoken = Espeak.shared().speak(TEXT, "en-us+f3", 162, 52)
    frames = video(prepared, Speech(speak(TEXT, VOICE, RATE).samples, spoken.phonemes, "phonemes"))
    gaps = np.array([opening(frame) for frame in frames])
    wanted = target(spoken.phonemes, len(frames))
    r, lag = score(gaps[wanted > 0, 0], wanted[wanted > 0], reach=3)
    assert lag == 0
    assert r >= 0.89
    closed = gaps[closed_frames(spoken.phonemes, len(frames)), 0]
    assert len(closed) >= 8
    assert np.median(closed) <= 0.02
    assert np.percentile(gaps[:, 1], 98) <= 0.37
    assert prepared.kept_bytes < 10e6


def test_lips_close_whatever_the_photo_shows(name: str, prepared: CpuPortrait) -> None:
    """A toothy smile, thin lips and drawn ones: shut for p, b and m."""
    closed = bgr(prepared.frame(Mouth(press=1.0), 1, STILL))
    assert opening(closed)[0] <= 0.02
    own = bgr(prepared.frame(Mouth(), 0, STILL))
    assert (opening(own)[0] > 0.1) == PARTED[name]


def test_each_shape_looks_different_and_leaves_nose_and_forehead_alone(prepared: CpuPortrait) -> None:
    """Wide, rounded, spread, f and th are told apart by the pixels of the mouth; above the nose nothing moves."""
    shapes = [Mouth(0.31, 0.95), Mouth(0.22, 0.79), Mouth(0.12, 1.06), Mouth(0.06, 1, 0, 1), Mouth(0.09, 1, 0, 0, 1)]
    frames = [prepared.frame(shape, 1, STILL)[:512].astype(int) for shape in shapes]
    box = prepared.mouth.box
    inside = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
    for place, one in enumerate(frames):
        for other in frames[:place]:
            assert np.abs(one[inside] - other[inside]).mean() > 0.3
        assert np.array_equal(one[: box.y], prepared.luma[: box.y])


def test_a_rounded_mouth_is_narrower_and_a_spread_one_wider(prepared: CpuPortrait) -> None:
    """Seen from the outside, by the finder."""
    from shared.lipsync.finder import find_faces

    def width(mouth: Mouth) -> float:
        points = find_faces(bgr(prepared.frame(mouth, 1, STILL)), 1)[0].points
        return float(np.linalg.norm(points[291] - points[61]))

    rounded, plain, spread = (width(Mouth(0.12, value)) for value in (0.72, 1.0, 1.06))
    assert rounded < 0.92 * plain
    assert spread > 1.01 * plain


def test_in_silence_the_mouth_is_the_photo_itself(name: str) -> None:
    """Before and after words the pixels of the mouth are those of the picture, but for the movement of the head."""
    prepared = CpuEngine().prepare(FACES[name], 512, Style(liveliness=0, gaze="viewer"))
    spoken = Espeak.shared().speak("Map.", "en-us+f3", 162, 52)
    sound = np.concatenate([np.zeros(RATE, np.int16), speak("Map.", VOICE, RATE).samples, np.zeros(2 * RATE, np.int16)])
    later = [type(one)(one.symbol, one.start + 1, one.end + 1) for one in spoken.phonemes]
    session = prepared.session()
    frames = [*session.render(Speech(sound, later, "phonemes")), *session.finish()]
    box = prepared.mouth.box
    points = slice(box.y, min(box.y + box.height, 300))  # above the shoulders, which breathe
    still = prepared.luma[points, box.x : box.x + box.width]
    same = [np.array_equal(frame[points, box.x : box.x + box.width], still) for frame in frames]
    assert all(same[:15])
    assert not any(same[27:30])
    assert all(same[-20:])


def test_a_talk_begins_and_ends_in_the_neutral_pose_with_open_eyes(prepared: CpuPortrait) -> None:
    """Whatever its length, its first and last frame are the picture: idle loops join there."""
    still = np.concatenate([prepared.luma, prepared.chroma.reshape(256, 512)])
    for frames in (5, 26, 61, 64, 67, 90):
        session = prepared.session()
        made = [*session.render(Speech(np.zeros(frames * PER_FRAME, np.int16))), *session.finish()]
        assert len(made) == frames
        assert np.array_equal(made[0], still)
        assert np.array_equal(made[-1], still)


def test_a_blink_shuts_the_eyes_and_leaves_the_brows(name: str, prepared: CpuPortrait) -> None:
    """Brows change by two grey levels at most, five behind glasses; the lids cover what was white."""
    change = brow_change(prepared, FACES[name])
    assert change is not None
    assert change <= (5 if "glasses" in FACES[name].face.warnings else 2)
    from shared.lipsync.finder import find_faces
    from shared.lipsync.topology import LEFT_EYE, RIGHT_EYE

    def height(shut: float) -> float:
        points = find_faces(bgr(prepared.frame(Mouth(), 0, Look(shut, 0, 0, Pose()))), 1)[0].points
        return float(
            np.mean(
                [np.linalg.norm((points[e["upper"][4]] - points[e["lower"][4]])[:2]) for e in (LEFT_EYE, RIGHT_EYE)]
            )
        )

    # Behind glasses the finder sees lids less well.
    assert height(1) < (0.9 if "glasses" in FACES[name].face.warnings else 0.62) * height(0)


def test_the_gaze_moves_the_irises_to_its_side(prepared: CpuPortrait) -> None:
    """To the viewer's right and left, as the finder sees it."""
    from shared.lipsync.finder import find_faces

    def irises(aside: float) -> float:
        points = find_faces(bgr(prepared.frame(Mouth(), 0, Look(0, aside, 0, Pose()))), 1)[0].points
        return float(points[[468, 473], 0].mean())

    left, middle, right = (irises(aside) for aside in (-1, 0, 1))
    assert left < middle - 0.5
    assert right > middle + 0.5


@pytest.mark.parametrize(("pose", "axis", "sign"), [
    (Pose(yaw=0.1), 0, 1), (Pose(aside=0.05), 0, 1), (Pose(pitch=0.1), 1, 1), (Pose(down=0.05), 1, 1)])  # fmt: skip
def test_the_head_turns_with_depth(prepared: CpuPortrait, pose: Pose, axis: int, sign: int) -> None:
    """The nose goes where the pose says; turning, it goes further than the ears."""
    from shared.lipsync.finder import find_faces

    still, moved = (find_faces(bgr(prepared.frame(Mouth(), 0, Look(0, 0, 0, p))), 1)[0].points for p in (Pose(), pose))
    by = (moved - still)[:, axis] * sign
    assert by[1] > 1.5
    if pose.yaw:
        assert by[1] > by[[234, 454]].mean() + 1.5


@pytest.mark.parametrize("warning", ["sunglasses", "closed_eyes"])
def test_eyes_that_cannot_be_seen_do_not_move(warning: str) -> None:
    """No blink and no gaze behind dark lenses, or on eyes that are shut already."""
    picture = FACES["hopper"]
    prepared = CpuEngine().prepare(Picture(picture.bgr, Face(picture.face.mesh, (warning,))), 256, Style(liveliness=0))
    session = prepared.session()
    frames = [*session.render(Speech(np.zeros(10 * RATE, np.int16))), *session.finish()]
    eyes = [frame[60:125] for frame in frames]
    assert all(np.array_equal(one, eyes[0]) for one in eyes)


def test_the_jaw_is_slower_than_the_lips_and_lips_round_early() -> None:
    """Between sounds: the jaw's way is shorter than the gap's, and the width is on its way before its vowel begins."""
    spoken = Espeak.shared().speak("Maybe the happy baby amuses papa.", "en-us")
    rows, jaw = curves(from_phonemes(spoken.phonemes), 0, 60)
    assert np.abs(np.diff(jaw)).sum() < 0.8 * np.abs(np.diff(rows[:, 0])).sum()
    stew = Espeak.shared().speak("stew", "en-us").phonemes
    vowel = next(one for one in stew if one.symbol.strip("ˈː")[0] in "uʉʊ")
    widths = curves(from_phonemes(stew), 0, 25)[0][:, 1]
    assert widths[int(vowel.start * FPS) - 1] < 0.97


def motion(seconds: float, style: Style, hearing: Hearing = Hearing(True), seed: int = 3) -> list[Look]:  # noqa: B008
    moves = Motion(seed, style)
    return [moves.step(hearing) for _ in range(round(seconds * FPS))]


def test_nothing_repeats_within_a_minute() -> None:
    """However the movement of a minute is shifted against itself, it is another one."""
    poses = np.array([look.pose[:5] for look in motion(75, Style())])[50:]
    poses = poses / poses.std(axis=0)
    for shift in range(10, 60 * FPS, 2):
        apart = np.abs(poses[shift:] - poses[:-shift]).mean()
        assert apart > 0.45, f"after {shift / FPS} s"


def test_blinks_come_as_often_as_people_blink() -> None:
    """15 to 35 a minute while talking, each at least 0.9 s after the one before, at uneven times."""
    shut = np.array([look.shut for look in motion(180, Style())])
    starts = np.flatnonzero((shut[1:] > 0) & (shut[:-1] == 0))
    assert 15 <= len(starts) / 3 <= 35
    apart = np.diff(starts) / FPS
    assert apart.min() >= 0.9
    assert apart.std() > 0.4
    assert set(np.round(shut, 2)) == {0.0, *BLINK}


def test_a_phrase_that_ends_is_blinked_at() -> None:
    """More often than chance: at seven of ten pauses a blink begins."""
    moves, met = Motion(5, Style()), 0
    for _ in range(60):
        looks = [moves.step(Hearing(True)) for _ in range(40)]
        looks.append(moves.step(Hearing(False, phrase_end=True)))
        met += looks[-1].shut == BLINK[0]
        looks = [moves.step(Hearing(False)) for _ in range(12)]
    assert met > 20


def test_a_talk_comes_to_rest_with_open_eyes() -> None:
    """Of three hundred ends, at phrase ends and between them: no blink begins in them, and the last two are open."""
    for seed in range(300):
        moves = Motion(seed, Style(gaze="wandering"))
        before = [moves.step(Hearing(True)) for _ in range(60 + seed)][-1]
        looks = [before, *(moves.step(Hearing(False, phrase_end=left == 7), left) for left in range(7, -1, -1))]
        shut = [look.shut for look in looks]
        assert not any(one == 0 < other for one, other in pairwise(shut)), (seed, shut)
        assert shut[-2:] == [0, 0], (seed, shut)


def test_stressed_words_are_nodded_to() -> None:
    """The head goes down at an accent, and every third time the brows go up."""
    plain, nodding = Motion(1, Style()), Motion(1, Style())
    pitch, brows = [], []
    for frame in range(300):
        accent = frame % 50 == 30
        one, other = plain.step(Hearing(True)), nodding.step(Hearing(True, accent=accent))
        pitch.append(other.pose.pitch - one.pose.pitch)
        brows.append(other.pose.brows)
    assert max(pitch) == pytest.approx(0.018, rel=0.05)
    assert min(pitch) >= 0
    raised = [max(brows[at - 5 : at + 10]) > 0.01 for at in range(30, 300, 50)]
    assert raised == [False, False, True, False, False, True]


def test_a_style_decides_how_much_moves() -> None:
    """Liveliness 0 holds the head still, 1 moves it more than 0.5; a gaze at the viewer never leaves."""

    def moved(liveliness: float) -> float:
        return float(np.std([look.pose.yaw for look in motion(30, Style(liveliness=liveliness))]))

    assert moved(0) == 0
    assert moved(1) > 1.5 * moved(0.5) > 0
    assert {look.aside for look in motion(60, Style(gaze="viewer"))} == {0}
    away = {
        gaze: np.mean([look.aside != 0 for look in motion(120, Style(gaze=gaze))]) for gaze in ("natural", "wandering")
    }
    assert 0.05 < away["natural"] < 0.35
    assert away["wandering"] > away["natural"]


def test_a_kept_shape_is_drawn_once(prepared: CpuPortrait) -> None:
    """The same shape is the same patch; what is not used is let go before it takes more than 8 MB."""
    first = prepared.mouth.patch(Mouth(0.2), 1)
    assert prepared.mouth.patch(Mouth(0.2001), 1) is first
    for gap in np.linspace(0, 0.31, 24):
        for width in np.linspace(0.7, 1.06, 6):
            prepared.mouth.patch(Mouth(float(gap), float(width)), 1)
    assert prepared.mouth.kept_bytes <= 8 << 20


def test_talks_of_one_picture_at_once_draw_what_each_draws_alone(prepared: CpuPortrait) -> None:
    """Two threads that share what is drawn, and throw out what is old, get the same frames as one."""
    take = speak("One two three, four five six.", VOICE, RATE)
    letters = [Timing(*each) for each in zip(take.text, take.starts, take.ends, strict=True)]

    def frames(_: int) -> list[np.ndarray]:
        session = prepared.session()
        return [*session.render(Speech(take.samples, letters)), *session.finish()]

    alone = frames(0)
    with ThreadPoolExecutor(3) as pool:
        for made in pool.map(frames, range(3)):
            assert all(np.array_equal(one, other) for one, other in zip(made, alone, strict=True))
