"""The GPU's engine on a processor: pieces, silence, several speakers, and where a face is."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; CI installs its CPU build")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")


from shared.core.errors import PictureUnusable  # noqa: E402
from shared.lipsync.face import Face  # noqa: E402
from shared.lipsync.musetalk.batching import Batcher  # noqa: E402
from shared.lipsync.musetalk.engine import MusePortrait, MuseTalkEngine, to_hearing  # noqa: E402
from shared.lipsync.musetalk.model import MuseTalk  # noqa: E402
from shared.lipsync.musetalk.outline import outline  # noqa: E402
from shared.lipsync.picture import Picture, read_picture  # noqa: E402
from shared.media.types import PER_FRAME, RATE, Speech  # noqa: E402
from tests.support.musetalk_small import speech  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture
def model(muse: MuseTalk) -> MuseTalk:
    return muse


@pytest.fixture(scope="module")
def engine(muse: MuseTalk) -> MuseTalkEngine:
    return MuseTalkEngine(muse, batches=(2, 4))


@pytest.fixture(scope="module")
def picture(portrait_png: bytes) -> Picture:
    return read_picture(portrait_png)


def frames_of(session: Any, *pieces: Any) -> Any:
    found = [frame for piece in pieces for frame in session.render(Speech(piece))]
    return np.stack([*found, *session.finish()])


def test_a_voice_becomes_as_many_frames_as_it_lasts(engine: MuseTalkEngine, picture: Picture) -> None:
    """NV12 at 25 a second, ending with the sound to the frame; only the lower face is redrawn."""
    portrait = engine.prepare(picture, 512)
    for seconds in (0.04, 0.1, 1.0, 1.21):
        sound = speech(seconds)
        frames = frames_of(portrait.session(), sound)
        assert frames.shape == (-(-len(sound) // PER_FRAME), 768, 512)
    assert frames.dtype == np.uint8
    still = portrait.luma[0].numpy()
    mask = portrait.mask[0].numpy() > 0
    assert np.array_equal(frames[10, :512][~mask], still[~mask])
    assert (frames[10, :512][mask] != still[mask]).mean() > 0.5


def test_pieces_make_the_same_frames_as_the_whole(engine: MuseTalkEngine, picture: Picture) -> None:
    """No seam: with its context a piece is drawn as if the rest were there; each frame leaves as early as it can."""
    portrait, sound = engine.prepare(picture, 512), speech(1.3)
    whole = frames_of(portrait.session(), sound)
    session = portrait.session()
    early = len(list(session.render(Speech(sound[: 20 * PER_FRAME]))))
    assert early == 17
    pieces = frames_of(portrait.session(), *np.array_split(sound, [7000, 15_001, 20_000]))
    assert pieces.shape == whole.shape
    different = np.abs(pieces.astype(int) - whole)
    moving = np.abs(np.diff(whole.astype(int), axis=0))
    assert different.mean() < 0.5 * moving.mean()


def test_long_speech_forgets_its_beginning_and_shows_no_seam(engine: MuseTalkEngine, picture: Picture) -> None:
    """More sound than is kept, in pieces: as many frames as it lasts, and like those of the last pieces alone."""
    portrait, sound = engine.prepare(picture, 512), speech(4.6)
    session = portrait.session()
    frames = [frame for piece in np.array_split(sound, 5) for frame in session.render(Speech(piece))]
    assert session._since > 0
    frames += list(session.finish())
    assert len(frames) == 115
    late = portrait.session()
    again = [*late.render(Speech(sound[: 40 * PER_FRAME])), *late.finish()]
    assert np.abs(frames[20].astype(int) - again[20]).mean() < np.abs(frames[20].astype(int) - frames[24]).mean()


def test_talks_of_both_sizes_share_a_device(engine: MuseTalkEngine, picture: Picture) -> None:
    """512 and 1024 pixels at once: never in one batch, and both are drawn."""
    portraits = [engine.prepare(picture, size) for size in (512, 1024)]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda one: frames_of(one.session(), speech(0.3)), portraits))
    assert [one.shape for one in made] == [(8, 768, 512), (8, 1536, 1024)]


def test_the_mouth_rests_in_silence(engine: MuseTalkEngine, picture: Picture) -> None:
    """Without a voice the still face is shown, and it is faded to, not cut to."""
    portrait = engine.prepare(picture, 512)
    sound = np.concatenate([speech(0.6), np.zeros(RATE, np.int16), speech(0.4, seed=1)])
    frames = frames_of(portrait.session(), sound)
    still = np.concatenate([portrait.luma[0].numpy(), portrait.chroma[0].numpy().reshape(256, 512)]).astype(int)
    away = np.abs(frames - still).mean(axis=(1, 2))
    assert away[24:34].max() == 0
    assert away[8] > 0.1
    assert away[36:].max() > 0.1
    fade = away[15:24]
    assert ((fade > 0) & (fade < away[8])).sum() >= 3


def test_an_idle_loop_is_played_forth_and_back(engine: MuseTalkEngine, picture: Picture) -> None:
    """Driving frames follow each other without a jump at either end."""
    brighter = [Picture(cv2.add(picture.bgr, (n * 8, n * 8, n * 8, 0)), picture.face) for n in range(4)]
    portrait = engine.prepare_loop(brighter, 512)
    assert [portrait.place(n) for n in range(9)] == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    frames = frames_of(portrait.session(), np.zeros(7 * PER_FRAME, np.int16))
    for n, frame in enumerate(frames):
        assert np.array_equal(frame[:512], portrait.luma[portrait.place(n)].numpy())


def test_several_talks_at_once_do_not_mix(model: MuseTalk, picture: Picture) -> None:
    """Two portraits speak on one device: each gets its own frames."""
    engine = MuseTalkEngine(model, batches=(2, 8))
    pictures = [picture, Picture(picture.bgr // 2, picture.face)]
    portraits = [engine.prepare(one, 512) for one in pictures]
    sounds = [speech(0.36, seed=n) for n in range(2)]
    alone = [frames_of(portraits[n].session(), sounds[n]) for n in range(2)]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda n: frames_of(portraits[n].session(), sounds[n]), range(2)))
    for one, other in zip(made, alone, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_what_is_asked_for_while_the_device_is_busy_is_drawn_in_one_batch() -> None:
    """Padded to a fixed size, in the order of asking; what no longer fits begins the next one."""
    busy, drawn = threading.Event(), []

    def draw(given: Any) -> Any:
        busy.wait(10)
        drawn.append(given.tolist())
        return given

    device = Batcher(draw, (2, 4))
    answers = [device.submit(torch.tensor([1]))]
    time.sleep(0.2)
    answers += [device.submit(torch.tensor(asked)) for asked in ([2, 3], [4], [5, 6], [7])]
    busy.set()
    assert [[int(one) for one in answer.result(10)()] for answer in answers] == [[1], [2, 3], [4], [5, 6], [7]]
    assert drawn == [[1, 0], [2, 3, 4, 0], [5, 6, 7, 0]]
    device.close()


def test_the_first_frames_of_a_talk_go_ahead_and_alone() -> None:
    """What is urgent is drawn before what waits, in the smallest batch that holds it; sizes between are used."""
    busy, drawn = threading.Event(), []

    def draw(given: Any) -> Any:
        busy.wait(10)
        drawn.append(given.tolist())
        return given

    device = Batcher(draw, (4, 8, 16, 32))
    first = device.submit(torch.tensor([1]))
    time.sleep(0.2)
    waiting = [device.submit(torch.full((count,), count)) for count in (5, 3)]
    urgent = [device.submit(torch.tensor([9, 9]), urgent=True), device.submit(torch.tensor([8]), urgent=True)]
    late = device.submit(torch.full((6,), 6))
    busy.set()
    for answer in (first, *waiting, *urgent, late):
        list(answer.result(10)())
    assert drawn[:3] == [[1, 0, 0, 0], [9, 9, 0, 0], [8, 0, 0, 0]]
    assert drawn[3] == [5] * 5 + [3] * 3 + [6] * 6 + [0, 0]
    device.close()


def test_a_talk_asks_for_its_first_frames_urgently(engine: MuseTalkEngine, picture: Picture) -> None:
    """Only for them, and only a smallest batch of them."""
    asked: list[tuple[int, bool]] = []
    submit = engine.device.submit

    class Listening:
        def submit(self, *tensors: Any, urgent: bool = False) -> Any:
            asked.append((len(tensors[0]), urgent))
            return submit(*tensors, urgent=urgent)

    portrait, device = engine.prepare(picture, 512), engine.device
    engine.device = cast("Batcher", Listening())
    try:
        frames_of(portrait.session(), speech(0.4), speech(0.4))
    finally:
        engine.device = device
    assert asked[0] == (2, True)
    assert not any(urgent for _, urgent in asked[1:])


def test_speakers_are_as_many_as_the_device_can_draw_for(model: MuseTalk) -> None:
    """By its own frames a second: a slow one has one, a fast one many."""
    slow, fast = MuseTalkEngine(model, batches=(2,)), MuseTalkEngine(model, batches=(2,))

    def sleepy(*given: Any) -> Any:
        time.sleep(0.05)
        return torch.zeros(len(given[2]), 768, 512, dtype=torch.uint8)

    slow.device = Batcher(sleepy, (2,))
    fast.device = Batcher(lambda *given: torch.zeros(len(given[2]), 768, 512, dtype=torch.uint8), (2,))
    assert slow.speakers(512) == 1
    assert fast.speakers(512) > 4


def test_a_device_that_fails_fails_the_talks_that_asked(engine: MuseTalkEngine) -> None:
    """The error reaches whoever waits, and the device goes on."""
    with pytest.raises(TypeError):
        engine.device.submit(torch.zeros(1, 8, 32, 32), torch.zeros(1, 1, 1)).result(30)
    engine.warm()


def test_a_prepared_portrait_is_found_again_by_another_container(engine: MuseTalkEngine, picture: Picture) -> None:
    """Kept as bytes and restored it draws the same frames."""
    portrait, sound = engine.prepare(picture, 512), speech(0.4)
    data = portrait.dump()
    assert len(data) < 1_500_000
    again = MusePortrait.restore(engine, data)
    different = frames_of(portrait.session(), sound).astype(int) - frames_of(again.session(), sound)
    assert np.abs(different).max() <= 2  # latents and mask are kept in half precision and in 256 steps


def test_the_sound_is_brought_to_what_the_model_hears() -> None:
    """A tone keeps its height, length and strength; what is too high for 16 kHz is gone."""
    at = np.arange(RATE) / RATE
    tone = to_hearing((8000 * np.sin(2 * np.pi * 1000 * at)).astype(np.int16))
    assert len(tone) == 16_000
    expected = 8000 / 32768 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    assert np.abs(tone - expected)[200:-200].max() < 0.005
    assert np.abs(to_hearing((8000 * np.sin(2 * np.pi * 9500 * at)).astype(np.int16)))[200:-200].max() < 0.005


def test_the_drawing_is_one_graph(model: MuseTalk, picture: Picture) -> None:
    """From latents and tokens to NV12 torch takes it whole, without a break: so that it can be compiled as one."""
    eager = MuseTalkEngine(model, batches=(2, 2))
    exported = torch._dynamo.explain(eager.draw)
    portrait = eager.prepare(picture, 512)
    tokens = model.tokens(model.hear(to_hearing(speech(0.5))))[:2]
    place = torch.tensor([0, 0])
    given = (
        portrait.latents[place], tokens, portrait.luma[place], portrait.chroma[place], portrait.grid[place],
        portrait.mask[place], torch.ones(2),
    )  # fmt: skip
    with torch.inference_mode():
        seen = exported(*given)
    assert (seen.graph_count, seen.graph_break_count) == (1, 0)


def moved(face: Face, x: float, y: float, scale: float = 1.0) -> Face:
    """The face at another place and size; x and y in shares of the picture."""
    mesh = face.mesh.copy()
    mesh[:, :2] = (mesh[:, :2] - 0.5) * scale + 0.5 + np.array([x, y])
    return Face(mesh)


@pytest.mark.parametrize(
    ("place", "says"),
    [((0, 0, 0.4), "Send a larger one"), ((-0.4, 0, 1), "cut off"), ((0, 0.45, 1), "cut off")],
)
def test_a_face_that_cannot_be_used_says_what_to_send(
    picture: Picture, place: tuple[float, float, float], says: str
) -> None:
    """Too small, cut off at the side or below."""
    with pytest.raises(PictureUnusable, match=says):
        outline(np.zeros((512, 512, 3), np.uint8), moved(picture.face, *place))
