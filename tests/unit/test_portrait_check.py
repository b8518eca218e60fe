"""Photos that cannot speak are refused in one sentence that says what to send; others are accepted with warnings."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.faces import photos
from local.portrait import draw
from shared.core.errors import PictureUnusable
from shared.lipsync.cpu.engine import CpuEngine
from shared.lipsync.cpu.head import Pose
from shared.lipsync.cpu.motion import Look
from shared.lipsync.face import WARNINGS
from shared.lipsync.finder import find_faces
from shared.lipsync.picture import MAX_PIXELS, head, read_picture
from shared.lipsync.visemes import Mouth
from tests.support.person import WOMAN


def png(rgb: np.ndarray, **options: object) -> bytes:
    out = BytesIO()
    Image.fromarray(rgb).save(out, "PNG", **options)
    return out.getvalue()


PHOTOS = photos()
Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(params=PHOTOS)
def rgb(request: pytest.FixtureRequest) -> np.ndarray:
    return PHOTOS[request.param]


def points_of(rgb: np.ndarray) -> np.ndarray:
    return find_faces(np.ascontiguousarray(rgb[:, :, ::-1]))[0].points[:, :2]


def covered(rgb: np.ndarray, colour: tuple[int, int, int], *, folds: bool) -> np.ndarray:
    """A mask over nose, mouth and chin."""
    points = points_of(rgb)
    outline = points[[195, 50, 93, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 323, 280]]
    mask = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    rows = np.arange(rgb.shape[0])[:, None, None] / np.hypot(*(points[473] - points[468]))
    cloth = np.clip(np.array(colour) * (1 + 0.12 * folds * np.sin(rows * 25)), 0, 255)
    return np.where(mask[..., None] > 0, cloth, rgb).astype(np.uint8)


def eyes_painted(rgb: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    points, out = points_of(rgb), rgb.copy()
    span = np.hypot(*(points[473] - points[468]))
    for eye in (468, 473):
        cv2.ellipse(out, [int(v) for v in points[eye]], (int(0.42 * span), int(0.33 * span)), 0, 0, 360, colour, -1)
    return out


def scaled_to(rgb: np.ndarray, span: float) -> np.ndarray:
    """Reduced so that the pupils are `span` pixels apart, on a ground that makes the picture large enough."""
    points = points_of(rgb)
    scale = span / np.hypot(*(points[473] - points[468]))
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    out = np.full((300, 300, 3), 128, np.uint8)
    out[: small.shape[0], : small.shape[1]] = small
    return out


def beside(rgb: np.ndarray, scale: float) -> np.ndarray:
    other = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    ground = np.zeros((rgb.shape[0], other.shape[1], 3), np.uint8)
    ground[: other.shape[0]] = other
    return np.hstack([rgb, ground])


def cut_at_the_mouth(rgb: np.ndarray) -> np.ndarray:
    return rgb[: int(points_of(rgb)[14, 1])]


def blurred(rgb: np.ndarray, share: float) -> np.ndarray:
    """share: of the distance between the pupils, the Gaussian's sigma."""
    points = points_of(rgb)
    out: np.ndarray = cv2.GaussianBlur(rgb, (0, 0), share * np.hypot(*(points[473] - points[468])))
    return out


def half(rgb: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rgb[:, int(points_of(rgb)[473, 0]) - 2 :])


REFUSED: dict[str, tuple[Change, str]] = {
    "too small": (lambda rgb: scaled_to(rgb, 12), "too small"),
    "dark mask": (lambda rgb: covered(rgb, (35, 33, 32), folds=False), "mouth is covered"),
    "blue mask with folds": (lambda rgb: covered(rgb, (150, 185, 205), folds=True), "mouth is covered"),
    "white mask": (lambda rgb: covered(rgb, (235, 235, 235), folds=True), "mouth is covered"),
    "upside down": (lambda rgb: np.ascontiguousarray(rgb[::-1, ::-1]), "upside down"),
    "two faces": (lambda rgb: beside(rgb, 0.9), "several faces"),
    "blurred": (lambda rgb: blurred(rgb, 0.2), "blurred|No face"),
    "cut off at the mouth": (cut_at_the_mouth, "cut off|No face|covered"),
    "half a face": (half, "cut off|No face|from the side"),
    "no face": (lambda rgb: np.full_like(rgb, 128), "No face"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_photo_that_cannot_speak_is_refused_with_what_to_send(rgb: np.ndarray, case: str) -> None:
    """One sentence says what is wrong, another what to send instead."""
    change, says = REFUSED[case]
    with pytest.raises(PictureUnusable, match=says) as refused:
        read_picture(png(change(rgb)))
    assert "end " in refused.value.detail  # Send ..., or: send it again
    assert len(refused.value.detail) < 200


def test_a_refusal_takes_hardly_longer_than_looking_for_a_face(rgb: np.ndarray) -> None:
    """Upload, look, refuse, against finding alone in the same minute; loading the networks is not counted."""
    data = png(covered(rgb, (35, 33, 32), folds=False))
    refusing, finding = [], []
    for _ in range(5):
        began = time.perf_counter()
        with pytest.raises(PictureUnusable):
            read_picture(data)
        refusing.append(time.perf_counter() - began)
        began = time.perf_counter()
        find_faces(rgb)
        finding.append(time.perf_counter() - began)
    assert min(refusing) < 8 * min(finding)


WARNED: dict[str, tuple[Change, set[str]]] = {
    "sunglasses": (lambda rgb: eyes_painted(rgb, (12, 12, 12)), {"sunglasses"}),
    "few pixels": (lambda rgb: scaled_to(rgb, 24), {"low_resolution"}),
    "soft": (lambda rgb: blurred(rgb, 0.085), {"soft"}),
}  # fmt: skip


@pytest.mark.parametrize("case", WARNED)
def test_a_photo_with_a_weakness_is_accepted_with_a_warning(rgb: np.ndarray, case: str) -> None:
    """What will look worse is said, in words."""
    change, expected = WARNED[case]
    found = set(read_picture(png(change(rgb))).face.warnings)
    assert expected <= found
    assert found <= WARNINGS.keys()


def test_good_photos_have_no_warning_but_glasses() -> None:
    """An astronaut without, an admiral with glasses."""
    warnings = {name: read_picture(png(rgb)).face.warnings for name, rgb in PHOTOS.items()}
    assert warnings == {"astronaut": (), "hopper": ("glasses",)}


def test_a_smaller_face_behind_does_not_matter(rgb: np.ndarray) -> None:
    """A poster on the wall: a face of half the size leaves no doubt who is meant."""
    face = read_picture(png(beside(rgb, 0.45))).face
    alone = read_picture(png(rgb)).face
    assert face.key_points["left_eye"][1] == pytest.approx(alone.key_points["left_eye"][1], abs=0.02)


def test_a_photo_lying_on_its_side_is_set_upright(rgb: np.ndarray) -> None:
    """By the phone's mark where there is one, and by the face where there is none."""
    upright = read_picture(png(rgb))
    for turns in (1, 3):
        turned = read_picture(png(np.ascontiguousarray(np.rot90(rgb, turns))))
        assert turned.bgr.shape == upright.bgr.shape
        assert np.abs(turned.face.mesh - upright.face.mesh)[:, :2].max() < 0.02
    picture = Image.fromarray(rgb).rotate(90, expand=True)
    exif = picture.getexif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to view
    out = BytesIO()
    picture.save(out, "JPEG", quality=95, exif=exif)
    assert np.abs(read_picture(out.getvalue()).face.mesh - upright.face.mesh)[:, :2].max() < 0.02


def test_a_small_face_in_a_large_photo_keeps_its_pixels(rgb: np.ndarray) -> None:
    """Forty megapixels are not simply reduced: the part around the face is kept as it is."""
    large = np.full((5000, 7000, 3), 120, np.uint8)
    rgb = cv2.resize(rgb, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    height, width = rgb.shape[:2]
    large[2000 : 2000 + height, 3000 : 3000 + width] = rgb
    assert large.shape[0] * large.shape[1] <= MAX_PIXELS
    picture = read_picture(png(large, compress_level=1))
    points = picture.face.pixels(picture.bgr.shape[1], picture.bgr.shape[0])
    assert np.hypot(*(points[473] - points[468])[:2]) > 110  # reduced as a whole: 30 and 58


def test_unusual_files_of_the_same_photo_give_the_same_face(rgb: np.ndarray) -> None:
    """16 bits of grey, transparency, a palette, the first frame of an animation."""
    plain = read_picture(png(rgb)).face.mesh
    grey16 = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.uint16) * 257
    clear = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    frames = [Image.fromarray(rgb), Image.fromarray(255 - rgb)]
    animated = BytesIO()
    frames[0].save(animated, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    palette = BytesIO()
    Image.fromarray(rgb).quantize(200).save(palette, "PNG")
    for data in (png(grey16), png(clear), animated.getvalue(), palette.getvalue()):
        assert np.median(np.abs(read_picture(data).face.mesh - plain)[:, :2]) < 0.004


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lambda: b"<html><body>no picture</body></html>", "not a PNG, JPEG or WebP"),
        (lambda: b"", "not a PNG, JPEG or WebP"),
        (lambda: png(np.zeros((60, 60, 3), np.uint8)), "60x60"),
        (lambda: png(np.zeros((6000, 10000), np.uint8)), "60 megapixels"),
        (lambda: draw(WOMAN, 512)[:9000], "damaged"),
    ],
    ids=["html", "empty", "60x60", "60-megapixel", "cut-off"],
)
def test_an_unusable_file_is_refused_with_what_to_do(data, says: str) -> None:  # type: ignore[no-untyped-def]
    """Each way of being no portrait has its own clear explanation."""
    with pytest.raises(PictureUnusable, match=says):
        read_picture(data())


def test_a_face_written_in_an_upload_is_not_believed() -> None:
    """What a user writes into a file does not decide where the face is."""
    from PIL.PngImagePlugin import PngInfo

    rgb, note = PHOTOS["astronaut"], PngInfo()
    note.add_text("personaforge:face", Image.open(BytesIO(draw(WOMAN, 512))).info["personaforge:face"])
    noted = read_picture(png(rgb, pnginfo=note))
    assert noted.face.key_points == read_picture(png(rgb)).face.key_points


def test_two_people_in_a_large_photo_are_refused_as_in_a_small_one(rgb: np.ndarray) -> None:
    """Who else is in the picture is looked at before the part around one face is cut out."""
    pair = beside(rgb, 0.9)
    for scale in (1.0, 2.5):
        larger = cv2.resize(pair, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        with pytest.raises(PictureUnusable, match="several faces"):
            read_picture(png(larger))


@pytest.mark.filterwarnings("ignore:Truncated File Read")  # Pillow's, of the damaged field
@pytest.mark.parametrize("kind", range(1, 14))
def test_a_damaged_field_beside_the_orientation_is_ignored(kind: int) -> None:
    """Whatever stands in other fields of EXIF: the picture is read, and set upright."""
    rgb = np.ascontiguousarray(np.rot90(PHOTOS["astronaut"], 1))
    field = struct.pack("<HHII", 0x011A, kind, 1, 40)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIHH", 2, 0x0112, 3, 1, 6, 0) + field + bytes(4)
    out = BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=95, exif=exif)
    assert read_picture(out.getvalue()).bgr.shape == (512, 512, 3)


def test_a_strip_is_refused_at_once() -> None:
    """96 x 60,000 pixels would be looked at in thousands of tiles."""
    began = time.perf_counter()
    with pytest.raises(PictureUnusable, match="strip"):
        read_picture(png(np.full((96, 60_000, 3), 128, np.uint8)))
    assert time.perf_counter() - began < 2


def test_a_border_around_a_photo_changes_nothing() -> None:
    """Nor does what looks like a face when the picture is turned."""
    rgb = PHOTOS["astronaut"]
    for pad in (192, 256, 320):
        bordered = cv2.copyMakeBorder(rgb, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        face = read_picture(png(bordered)).face.pixels(*bordered.shape[1::-1])
        assert np.hypot(*(face[468, :2] - pad - (202, 101))) < 6


@pytest.mark.parametrize("tint", [(1.2, 1.0, 0.8), (1.0, 0.95, 0.85), (0.8, 0.95, 1.2)])
def test_warm_and_cold_light_cover_no_mouth(rgb: np.ndarray, tint: tuple[float, float, float]) -> None:
    """A lamp's colour is no cloth."""
    read_picture(png(np.clip(rgb * np.array(tint), 0, 255).astype(np.uint8)))


@pytest.mark.parametrize("width", [110, 130, 170])
def test_a_narrow_portrait_speaks_with_its_whole_mouth(rgb: np.ndarray, width: int) -> None:
    """Where a photo ends beside the face, the square for the video is filled up: the chin stays in it."""
    points = points_of(rgb)
    scale = 60 / np.hypot(*(points[473] - points[468]))
    middle = int(points[[468, 473], 0].mean() * scale)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    narrow = np.ascontiguousarray(small[:400, max(0, middle - width // 2) : middle + width // 2])
    try:
        picture = read_picture(png(narrow))
    except PictureUnusable:
        assert width < 170
        return
    bgr, face = head(picture.bgr, picture.face, 512)
    assert bgr.shape == (512, 512, 3)
    assert face.pixels(512, 512)[152, 1] < 500
    prepared = CpuEngine().prepare(picture, 512)
    for mouth in (Mouth(0.31, 0.95), Mouth(press=1), Mouth(0.36, 1.08, 1, 1, 1)):
        assert prepared.frame(mouth, 1, Look(0.5, 1, 1, Pose(yaw=0.1, jaw=0.1))).shape == (768, 512)
