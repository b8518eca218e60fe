"""Pictures that people send."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from local.portrait import FACE, draw
from shared.errors import PictureUnusable
from shared.lipsync.face import Face
from shared.lipsync.picture import find_face, read_picture
from tests.conftest import WOMAN

# Looked up by eye in the picture, in pixels: eyes, mouth corners, upper and lower edge of the lips.
ASTRONAUT = np.array([[202, 101], [246, 103], [202, 141], [245, 142], [224, 138], [223, 157]])


def png(pixels: np.ndarray) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def test_a_real_photo_gives_six_points_within_a_tenth_of_the_eye_distance(astronaut: bytes) -> None:
    """The face of a real photo is found where a person sees it."""
    picture = read_picture(astronaut)
    off = np.hypot(*(picture.face.pixels(*picture.bgr.shape[1::-1]) - ASTRONAUT).T)
    assert off.max() < 0.11 * 44


@pytest.mark.parametrize("change", ["mirrored", "dark", "tilted", "large", "small"])
def test_the_face_is_found_in_harder_variants_of_the_photo(astronaut: bytes, change: str) -> None:
    """Mirroring, darkness, a tilt of 8 degrees and other sizes do not hide the face."""
    bgr = read_picture(astronaut).bgr
    points = ASTRONAUT.astype(float)
    if change == "mirrored":
        bgr = np.ascontiguousarray(bgr[:, ::-1])
        points[:, 0] = 511 - points[:, 0]
        points = points[[1, 0, 3, 2, 4, 5]]
    elif change == "dark":
        bgr = (bgr * 0.4).astype(np.uint8)
    elif change == "tilted":
        turn = cv2.getRotationMatrix2D((220, 120), 8, 1)
        bgr = cv2.warpAffine(bgr, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
        points = points @ turn[:, :2].T + turn[:, 2]
    else:
        scale = 3.0 if change == "large" else 0.5
        bgr, points = cv2.resize(bgr, None, fx=scale, fy=scale), points * scale
    found = find_face(bgr).pixels(*bgr.shape[1::-1])
    span = np.hypot(*(points[1] - points[0]))
    assert np.hypot(*(found - points).T).max() < 0.2 * span


def test_a_drawn_portrait_carries_its_exact_face() -> None:
    """The face of a drawn portrait is read from the file, not guessed."""
    assert read_picture(draw(WOMAN, 256)).face == FACE


def test_a_foreign_or_damaged_note_is_ignored_and_the_picture_looked_at(astronaut: bytes) -> None:
    """A note that cannot be a face does not decide where the face is."""
    from PIL.PngImagePlugin import PngInfo

    note, out = PngInfo(), BytesIO()
    note.add_text("personaforge:face", '{"left_eye": [9, 9]}')
    Image.open(BytesIO(astronaut)).save(out, "PNG", pnginfo=note)
    assert read_picture(out.getvalue()).face == read_picture(astronaut).face


def test_a_photo_lying_on_its_side_by_exif_is_set_upright(astronaut: bytes) -> None:
    """A phone's orientation mark is obeyed."""
    picture = Image.open(BytesIO(astronaut)).rotate(90, expand=True)
    exif = picture.getexif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to view
    out = BytesIO()
    picture.save(out, "JPEG", quality=95, exif=exif)
    found = read_picture(out.getvalue())
    assert np.hypot(*(found.face.pixels(*found.bgr.shape[1::-1]) - ASTRONAUT).T).max() < 0.2 * 44


def bomb() -> bytes:
    return png(np.zeros((6000, 10000), np.uint8))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lambda: b"<html><body>no picture</body></html>", "not a PNG, JPEG or WebP"),
        (lambda: b"", "not a PNG, JPEG or WebP"),
        (lambda: png(np.zeros((1, 1, 3), np.uint8)), "1x1"),
        (bomb, "60 megapixels"),
        (lambda: png(np.full((400, 400, 3), 128, np.uint8)), "No face was found"),
        (lambda: draw(WOMAN, 512)[:3000], "damaged"),
    ],
    ids=["html", "empty", "1x1", "60-megapixel", "no-face", "cut-off"],
)
def test_an_unusable_picture_is_refused_with_what_to_do(data, says: str) -> None:  # type: ignore[no-untyped-def]
    """Each way of being no portrait has its own clear explanation."""
    with pytest.raises(PictureUnusable, match=says):
        read_picture(data())


@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket", "brick", "coins"])
def test_pictures_without_a_person_show_no_face(name: str) -> None:
    """A cat, a cup, a rocket, a wall and coins are not taken for a person."""
    from skimage import data

    pixels = getattr(data, name)()
    rgb = np.dstack([pixels] * 3) if pixels.ndim == 2 else pixels
    with pytest.raises(PictureUnusable, match="No face"):
        find_face(np.ascontiguousarray(rgb[:, :, ::-1]))


@pytest.mark.parametrize(
    "broken",
    [{"left_eye": [2, 0.3]}, {"left_eye": None}, {"left_eye": [0.9, 0.3]}, {"lip_top": [0.5, 0.1]}],
)
def test_points_that_cannot_be_a_face_are_refused(broken: dict[str, object]) -> None:
    """Outside the picture, missing, left and right exchanged, mouth above the eyes."""
    with pytest.raises(PictureUnusable):
        Face.load({**FACE.dump(), **broken})
