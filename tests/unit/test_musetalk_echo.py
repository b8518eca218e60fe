"""The GPU engine's wiring, with networks that return their inputs: each frame shows its face and its sound."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; CI installs its CPU build")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from bench.faces import photos  # noqa: E402
from shared.lipsync.musetalk import engine, model, outline  # noqa: E402
from shared.lipsync.musetalk.engine import MuseTalkEngine  # noqa: E402
from shared.lipsync.musetalk.voice_activity import VoiceActivity  # noqa: E402
from shared.lipsync.picture import Picture, head, read_picture  # noqa: E402
from shared.media.types import Speech  # noqa: E402
from tests.support.musetalk_echo import Echo, counting  # noqa: E402

FRAMES = 24
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def picture() -> Picture:
    _, data = cv2.imencode(".png", photos()["astronaut"][:, :, ::-1])
    return read_picture(data.tobytes())


def expected(picture: Picture, sound: np.ndarray, size: int) -> np.ndarray:
    """The frames, NV12 in float, by a plain reference on a processor, in RGB until the end."""
    bgr, face = head(picture.bgr, picture.face, size)
    found = outline.outline(bgr, face)
    x1, y1, x2, y2 = found.box
    still = bgr[:, :, ::-1].astype(np.float32)
    crop = cv2.resize(bgr[y1:y2, x1:x2], (256, 256), interpolation=cv2.INTER_LANCZOS4)[:, :, ::-1]
    blocks = crop.reshape(32, 8, 32, 8, 3).astype(np.float32).mean(axis=(1, 3))
    alphas = VoiceActivity().openness(sound, 0, 0, FRAMES)
    frames = []
    for number in range(FRAMES):
        heard = blocks.copy()
        heard[24:, :, 0] = (number + 1) / 32 * 255
        face256 = np.round(np.clip(cv2.resize(heard, (256, 256), interpolation=cv2.INTER_LINEAR), 0, 255))
        laid = cv2.resize(face256, (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR)
        frame = still.copy()
        weight = (found.mask * alphas[number])[:, :, None]
        frame[y1:y2, x1:x2] += (laid - frame[y1:y2, x1:x2]) * weight
        r, g, b = frame.transpose(2, 0, 1)
        y = 16 + 0.183 * r + 0.614 * g + 0.062 * b
        u, v = 128 - 0.101 * r - 0.339 * g + 0.439 * b, 128 + 0.439 * r - 0.399 * g - 0.040 * b
        half = [plane.reshape(size // 2, 2, size // 2, 2).mean(axis=(1, 3)) for plane in (u, v)]
        frames.append(np.concatenate([y, np.dstack(half).reshape(size // 2, size)]))
    return np.stack(frames)


def drawn(picture: Picture, sound: np.ndarray, size: int) -> np.ndarray:
    session = MuseTalkEngine(Echo(), batches=(2, 4)).prepare(picture, size).session()
    return np.stack([*session.render(Speech(sound)), *session.finish()]).astype(np.float32)


def distance(picture: Picture, size: int = 512) -> tuple[float, float]:
    """How far drawn frames are from expected ones where they are redrawn: mean levels of luma, and of chroma."""
    sound = counting(FRAMES)
    wanted, found = expected(picture, sound, size), drawn(picture, sound, size)
    changing = np.abs(wanted - wanted[0]).max(axis=0) > 2
    off = np.abs(found - wanted)
    return float(off[:, :size][:, changing[:size]].mean()), float(off[:, size:][:, changing[size:]].mean())


NEAR = (1.0, 1.0)


@pytest.mark.parametrize("size", [512, 1024])
def test_every_frame_is_the_right_face_in_its_place_with_its_own_sound(picture: Picture, size: int) -> None:
    """Within one level of a plain reference: colours, planes, box, mask, grid, window and fading."""
    luma, chroma = distance(picture, size)
    assert luma < NEAR[0]
    assert chroma < NEAR[1]


def _window(shift: int) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(model, "BEFORE", model.BEFORE + 2 * shift)


def _swapped_colours(patch: pytest.MonkeyPatch) -> None:
    speak = model.MuseTalk.speak
    patch.setattr(Echo, "speak", lambda self, *given: speak(self, *given).flip(1), raising=False)


def _swapped_planes(patch: pytest.MonkeyPatch) -> None:
    forward = engine._Draw.forward

    def swapped(self: Any, *given: Any) -> Any:
        frames = forward(self, *given)
        size = frames.shape[2]
        planes = frames[:, size:].reshape(len(frames), size // 2, size // 2, 2).flip(3)
        return torch.cat([frames[:, :size], planes.reshape(len(frames), size // 2, size)], dim=1)

    patch.setattr(engine._Draw, "forward", swapped)


def _grid(dx: float, dy: float) -> Callable[[pytest.MonkeyPatch], None]:
    placed = engine.placed
    return lambda patch: patch.setattr(
        engine, "placed", lambda box, size: placed(box + torch.tensor([dx, dy, dx, dy]), size)
    )


def _corners(patch: pytest.MonkeyPatch) -> None:
    sample = torch.nn.functional.grid_sample

    def aligned(face: Any, grid: Any, **options: Any) -> Any:
        return sample(face, grid, **{**options, "align_corners": True})

    patch.setattr(torch.nn.functional, "grid_sample", aligned)


def _margin(patch: pytest.MonkeyPatch) -> None:
    """A box that ends elsewhere than the face that was cut out."""
    original = engine.MusePortrait.__post_init__

    def lower(self: Any) -> None:
        self.boxes = self.boxes + torch.tensor([0.0, 0, 0, 10])
        original(self)

    patch.setattr(engine.MusePortrait, "__post_init__", lower)


MISTAKES = {
    "the window of the frame before": _window(1),
    "the window of the frame after": _window(-1),
    "red and blue swapped": _swapped_colours,
    "U and V swapped": _swapped_planes,
    "a box that is 9 pixels off": _grid(9, 0),
    "half a pixel off": _grid(0.5, 0.5),
    "corners instead of pixels": _corners,
    "another margin": _margin,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_seen(picture: Picture, monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    """The measure above fails for each mistake that could be made there: it is no comfort otherwise."""
    right = distance(picture)
    MISTAKES[mistake](monkeypatch)
    luma, chroma = distance(picture)
    assert luma > 1.25 * right[0] + 0.02 or chroma > 1.25 * right[1] + 0.02


def test_talks_at_once_hear_their_own_sound_and_show_their_own_face(picture: Picture) -> None:
    """Two faces and two sounds in the same batches: each frame is as it is alone."""
    engine = MuseTalkEngine(Echo(), batches=(2, 8))
    pictures = [picture, Picture(255 - picture.bgr, picture.face)]
    sounds = [counting(FRAMES), counting(FRAMES)[::-1].copy()]

    def frames(number: int) -> np.ndarray:
        session = engine.prepare(pictures[number], 512).session()
        return np.stack([*session.render(Speech(sounds[number])), *session.finish()]).astype(int)

    alone = [frames(number) for number in range(2)]
    assert np.abs(alone[0] - alone[1]).mean() > 5
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(frames, range(2)))
    for one, other in zip(together, alone, strict=True):
        assert np.abs(one - other).max() <= 1
