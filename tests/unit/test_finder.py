"""Where a face is: found in photos and drawings, not found in what is none, and what the models' files may do."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.faces import photos
from local.portrait import draw
from shared.core.errors import FaceModelsMissing, InvalidInput, PictureUnusable
from shared.lipsync import face_models
from shared.lipsync.face import KEY_POINTS, Face
from shared.lipsync.face_models import DETECTOR, LANDMARKS, FaceModels, models_folder
from shared.lipsync.finder import find_faces
from shared.lipsync.picture import read_picture
from shared.lipsync.portrait_check import tilt, turn
from shared.lipsync.topology import LIPS_ORDER, TRIANGLES

# Looked up by eye in the picture, in pixels: pupils, mouth corners, upper and lower edge of the lips.
ASTRONAUT = np.array([[202, 101], [246, 103], [202, 141], [245, 142], [224, 138], [223, 157]])


@pytest.fixture(scope="module")
def astronaut_bgr() -> np.ndarray:
    return np.ascontiguousarray(photos()["astronaut"][:, :, ::-1])


def key_points(points: np.ndarray) -> np.ndarray:
    return points[list(KEY_POINTS.values()), :2]


def test_a_face_is_found_where_a_person_sees_it(astronaut_bgr: np.ndarray) -> None:
    """Eyes and mouth within a tenth of the distance between the pupils of what a person marked."""
    (face,) = find_faces(astronaut_bgr)
    assert np.hypot(*(key_points(face.points) - ASTRONAUT).T).max() < 0.1 * 44
    assert face.presence > 0.99
    assert face.disagreement < 0.03
    assert abs(tilt(face)) < 5
    assert abs(turn(face)) < 10


@pytest.mark.parametrize("degrees", [15, -32, 60, 90, 135, 180, 270])
def test_a_turned_picture_has_the_same_face(astronaut_bgr: np.ndarray, degrees: int) -> None:
    """However a picture is turned, its points turn with it."""
    (upright,) = find_faces(astronaut_bgr)
    matrix = cv2.getRotationMatrix2D((256, 256), degrees, 0.7)
    turned = cv2.warpAffine(astronaut_bgr, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    (face,) = find_faces(turned, 1)
    expected = upright.points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    off = np.hypot(*(face.points[:, :2] - expected).T) / face.eye_distance
    assert np.median(off) < 0.06


@pytest.mark.parametrize("change", ["mirrored", "dark", "grey", "large", "small", "blurred", "noisy"])
def test_harder_copies_of_a_photo_have_the_same_face(astronaut_bgr: np.ndarray, change: str) -> None:
    """Light, colour, size, blur and noise move no point by more than a twentieth of the pupils' distance."""
    (plain,) = find_faces(astronaut_bgr)
    expected, bgr = plain.points[:, :2].copy(), astronaut_bgr
    if change == "mirrored":
        (face,) = find_faces(np.ascontiguousarray(bgr[:, ::-1]))
        assert face.points[468, 0] + plain.points[473, 0] == pytest.approx(511, abs=2)
        return
    if change == "dark":
        bgr = (bgr * 0.06).astype(np.uint8)
    elif change == "grey":
        bgr = cv2.cvtColor(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    elif change == "blurred":
        bgr = cv2.GaussianBlur(bgr, (0, 0), 2)
    elif change == "noisy":
        bgr = np.clip(bgr + np.random.default_rng(1).normal(0, 12, bgr.shape), 0, 255).astype(np.uint8)
    else:
        scale = 4.0 if change == "large" else 0.45
        bgr, expected = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), expected * scale
    (face,) = find_faces(bgr)
    off = np.hypot(*(face.points[:, :2] - expected).T) / face.eye_distance
    assert np.median(off) < 0.05


def test_a_small_face_in_a_large_picture_is_found(astronaut_bgr: np.ndarray) -> None:
    """A face of a twentieth of the picture's height, too small for one look at the whole."""
    wide = np.full((1900, 2600, 3), 128, np.uint8)
    wide[1300:1812, 300:812] = astronaut_bgr
    (face,) = find_faces(wide)
    assert np.hypot(*(key_points(face.points) - ASTRONAUT - (300, 1300)).T).max() < 0.15 * 44


def test_all_faces_are_found_the_largest_first(astronaut_bgr: np.ndarray) -> None:
    """Two of one size and one half as large."""
    half = cv2.resize(astronaut_bgr, (256, 256), interpolation=cv2.INTER_AREA)
    row = np.hstack([astronaut_bgr[:256, 80:380], np.full((256, 40, 3), 90, np.uint8), half])
    found = find_faces(np.vstack([row, row]), most=5)
    assert len(found) >= 2
    sizes = [face.eye_distance for face in found]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == pytest.approx(44, rel=0.1)


@pytest.mark.parametrize("number", range(6))
def test_the_finder_agrees_with_what_was_drawn(number: int) -> None:
    """On drawn portraits, whose exact points are known: 0.02 eye distances at the median, 0.03 at the lips."""
    drawn = read_picture(draw(f"somebody {number}", 768), generated=True)
    exact = drawn.face.pixels(768, 768)[:, :2]
    (face,) = find_faces(drawn.bgr)
    off = np.hypot(*(face.points[:, :2] - exact).T) / face.eye_distance
    assert np.median(off) < 0.02
    assert np.median(off[list(LIPS_ORDER)]) < 0.03


def drawing_of_a_circle() -> np.ndarray:
    bgr = np.full((400, 400, 3), 230, np.uint8)
    cv2.circle(bgr, (200, 200), 120, (60, 180, 240), -1)
    for x in (160, 240):
        cv2.circle(bgr, (x, 170), 15, (0, 0, 0), -1)
    cv2.ellipse(bgr, (200, 230), (60, 30), 0, 0, 180, (0, 0, 0), 5)
    return bgr


def noise(blur: float) -> np.ndarray:
    bgr = np.random.default_rng(3).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    bgr = cv2.GaussianBlur(bgr, (0, 0), blur) if blur else bgr
    out: np.ndarray = cv2.normalize(bgr, None, 0, 255, cv2.NORM_MINMAX)
    return out


def shipped(name: str) -> np.ndarray:
    from skimage import data

    pixels = getattr(data, name)()
    rgb = np.dstack([pixels] * 3) if pixels.ndim == 2 else pixels
    return np.ascontiguousarray(rgb[:, :, ::-1])


@pytest.mark.parametrize(
    "picture",
    ["circle", "noise", "smooth noise", "blobs", "chelsea", "coffee", "rocket", "brick", "coins", "cell"],
)
def test_what_is_no_face_is_none(picture: str) -> None:
    """A smiling circle, noise, a cat, a cup, a rocket, a wall, coins and a cell are refused as no face."""
    made: dict[str, Callable[[], np.ndarray]] = {
        "circle": drawing_of_a_circle,
        "noise": lambda: noise(0),
        "smooth noise": lambda: noise(6),
        "blobs": lambda: noise(25),
    }
    _, data = cv2.imencode(".png", made[picture]() if picture in made else shipped(picture))
    with pytest.raises(PictureUnusable, match="No face"):
        read_picture(data.tobytes())


def test_threads_share_the_networks(astronaut_bgr: np.ndarray) -> None:
    """Four threads that look at once find the same points as one alone."""
    alone = find_faces(astronaut_bgr)[0].points
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(find_faces(astronaut_bgr)[0].points)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.array_equal(points, alone) for points in found)


@pytest.fixture
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the models, and a process that has loaded none."""
    monkeypatch.setenv("FORGE_MODELS", str(tmp_path))
    monkeypatch.setattr(FaceModels, "_shared", None)
    return tmp_path


def test_without_the_models_photos_are_refused_and_drawings_read(
    no_models: Path, portrait_png: bytes, astronaut: bytes
) -> None:
    """What is missing is named; a drawn portrait brings its face along."""
    with pytest.raises(FaceModelsMissing, match="is not there"):
        read_picture(astronaut)
    assert read_picture(portrait_png, generated=True).face.key_points["left_eye"][0] == pytest.approx(0.416, abs=0.001)
    assert list(no_models.iterdir()) == []


def test_a_damaged_model_is_not_used(no_models: Path, astronaut: bytes) -> None:
    """A byte that differs, or half a file, is told before anything is loaded."""
    for file in (DETECTOR, LANDMARKS):
        data = bytearray((models_of_the_machine() / file.name).read_bytes())
        data[len(data) // 2] ^= 1
        (no_models / file.name).write_bytes(data if file is DETECTOR else data[:1000])
    with pytest.raises(FaceModelsMissing, match="damaged"):
        read_picture(astronaut)


def models_of_the_machine() -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FORGE_MODELS", raising=False)
        return models_folder()


def test_models_that_cannot_be_fetched_say_why_and_leave_nothing(
    no_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package index that does not answer ends in one sentence, not in half a file."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(no_models / "cache"))
    with pytest.raises(FaceModelsMissing, match="could not be downloaded"):
        face_models.fetch(no_models / "models")
    assert list((no_models / "models").iterdir()) == []


def test_fetched_models_are_not_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there and whole needs no network."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV", "/nowhere/uv")
    face_models.fetch(models_of_the_machine())


def test_the_finder_needs_nothing_heavy() -> None:
    """Finding a face imports neither torch nor mediapipe, nor anything of the vendors."""
    code = (
        "import sys, shared.lipsync.finder, shared.lipsync.portrait_check\n"
        "print([name for name in ('torch', 'mediapipe', 'anthropic', 'supabase', 'av') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def face_of(points: np.ndarray, size: int = 512) -> Face:
    return Face.of_pixels(points.astype(np.float32), size, size)


def test_a_kept_face_is_what_was_found(astronaut_bgr: np.ndarray) -> None:
    """About 4 kB of JSON, exact to a tenth of a pixel, with its warnings."""
    face = Face(face_of(find_faces(astronaut_bgr)[0].points).mesh, ("glasses",))
    again = Face.load(face.dump())
    assert np.abs(again.pixels(512, 512) - face.pixels(512, 512)).max() < 0.1
    assert again.warnings == ("glasses",)
    assert len(str(face.dump())) < 4200


@pytest.mark.parametrize(
    "broken", [{}, {"mesh": 3}, {"mesh": "####"}, {"mesh": "AAAA"}, [], None, {"mesh": "A" * 3824}], ids=str
)
def test_what_is_no_face_is_not_loaded(broken: object) -> None:
    """Nothing, other types, other lengths, and points that form no face."""
    with pytest.raises(PictureUnusable):
        Face.load(broken)


def test_corrected_points_move_the_mesh_with_them(astronaut_bgr: np.ndarray) -> None:
    """The six points land where they were put; their surroundings follow, what is far stays."""
    face = face_of(find_faces(astronaut_bgr)[0].points)
    before = face.pixels(512, 512)[:, :2]
    moved = {
        "mouth_left": (198 / 512, 146 / 512),
        "mouth_right": (249 / 512, 147 / 512),
        "lip_bottom": (223 / 512, 163 / 512),
    }
    after = face.corrected(moved).pixels(512, 512)[:, :2]
    for name, place in moved.items():
        assert np.abs(after[KEY_POINTS[name]] - np.array(place) * 512).max() < 0.3, name
    for name in ("left_eye", "right_eye"):
        assert np.hypot(*(after - before)[KEY_POINTS[name]]) < 0.3
    assert np.hypot(*(after - before)[14]) > 1, "the lower lip did not follow"
    assert np.hypot(*(after - before).T)[10] < 4, "the forehead moved along"
    first, second = (points[TRIANGLES[:, 1:]] - points[TRIANGLES[:, :1]] for points in (before, after))
    flipped = np.sign(np.linalg.det(first)) != np.sign(np.linalg.det(second))
    assert flipped.mean() < 0.02, "the mesh is folded"


@pytest.mark.parametrize("points", [{"left_eye": (0.9, 0.2)}, {"lip_top": (0.43, 0.9)}, {"mouth_right": (0.1, 0.28)}])
def test_corrections_that_form_no_face_are_refused(
    astronaut_bgr: np.ndarray, points: dict[str, tuple[float, float]]
) -> None:
    """Eyes exchanged, the upper lip below the lower one, corners exchanged."""
    with pytest.raises(InvalidInput, match="upright face"):
        face_of(find_faces(astronaut_bgr)[0].points).corrected(points)
