"""What the GPU's engine redraws of a face, beside what upstream does with the same face."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.faces import photos
from local.portrait import draw
from shared.lipsync.face import Face
from shared.lipsync.musetalk.outline import outline
from shared.lipsync.picture import Picture, head, read_picture
from shared.lipsync.topology import LOWER_LIP, OVAL, UPPER_LIP

SKIN, NOSE, UPPER, LOWER = 1, 10, 12, 13  # classes of the face parser
NOSE_OUTLINE = [168, 6, 48, 64, 98, 97, 2, 326, 327, 294, 278, 129, 358, 49, 279, 217, 437]


def faces() -> dict[str, Picture]:
    found = {"drawn": read_picture(draw("somebody", 1024), generated=True)}
    for name, rgb in photos().items():
        _, data = cv2.imencode(".png", rgb[:, :, ::-1])
        found[name] = read_picture(data.tobytes())
    return found


FACES = faces()


def parsed(points: np.ndarray, crop: tuple[int, int, int, int]) -> np.ndarray:
    """What a parser would see of the mesh: a class for each pixel of a crop, at 512 x 512."""
    x, y, right, _ = crop
    placed = (points - (x, y)) * (512 / (right - x))
    classes = np.zeros((512, 512), np.uint8)
    for outline_, value in (
        (placed[list(OVAL)], SKIN),
        (cv2.convexHull(placed[NOSE_OUTLINE].astype(np.float32))[:, 0], NOSE),
        (placed[[*UPPER_LIP[3], *UPPER_LIP[0][::-1]]], UPPER),
        (placed[[*LOWER_LIP[0], *LOWER_LIP[3][::-1]]], LOWER),
        (placed[[*UPPER_LIP[0], *LOWER_LIP[0][::-1]]], 11),
    ):
        cv2.fillPoly(classes, [np.round(outline_).astype(np.int32)], value)
    return classes


def upstream_mask(points: np.ndarray, box: tuple[int, int, int, int], shape: tuple[int, int]) -> np.ndarray:
    """The mask over a whole picture, by upstream's steps (jaw mode, cheeks of 90) on a parser's classes; in PIL."""
    x1, y1, x2, y2 = box
    middle, half = ((x1 + x2) // 2, (y1 + y2) // 2), int(max(x2 - x1, y2 - y1) // 2 * 1.5)
    crop = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
    classes = parsed(points, crop)
    kernel = np.zeros((33, 33), np.uint8)
    for row in range(10, 33):
        wide = 2 * (min(row, 20) - 10) + 1
        kernel[row, 16 - wide // 2 : 16 + wide // 2 + 1] = 1
    grown = cv2.dilate((classes == SKIN).astype(np.uint8) * 255, kernel)
    eroded = cv2.erode(grown, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (35, 3)), iterations=2)
    cheeks = np.zeros((512, 512), np.uint8)
    cv2.rectangle(cheeks, (0, 0), (256 - 90, 512), 255, -1)
    cv2.rectangle(cheeks, (256 + 90, 0), (512, 512), 255, -1)
    region = (eroded & cheeks) | (grown & ~cheeks)
    speaking = ((region == 255) & (classes != NOSE)) | np.isin(classes, [11, 12, 13])
    size = 2 * half
    whole = np.asarray(Image.fromarray(speaking.astype(np.uint8) * 255).resize((size, size)))
    kept = np.zeros_like(whole)
    inside = np.s_[y1 - crop[1] : y2 - crop[1], x1 - crop[0] : x2 - crop[0]]
    kept[inside] = whole[inside]
    kept[: size // 2] = 0
    blur = int(0.1 * size // 2 * 2) + 1
    blurred = cv2.GaussianBlur(kept, (blur, blur), 0)
    mask = np.zeros(shape, np.float32)
    mask[y1:y2, x1:x2] = blurred[inside] / 255
    return mask


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.minimum(one, other).sum() / np.maximum(one, other).sum())


def whole(picture: Picture, size: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int, int]]:
    """Points, our mask over the picture of this size, and the box."""
    bgr, face = head(picture.bgr, picture.face, size)
    found = outline(bgr, face)
    x1, y1, x2, y2 = found.box
    mask = np.zeros((size, size), np.float32)
    mask[y1:y2, x1:x2] = found.mask
    return face.pixels(size, size)[:, :2], mask, found.box


@pytest.mark.parametrize("size", [512, 1024])
@pytest.mark.parametrize("name", FACES)
def test_the_mask_is_upstreams(name: str, size: int) -> None:
    """Intersection over union of at least 0.95 with what upstream's kernels make of the same face and a margin of 10
    pixels at 256."""
    points, mask, (x1, y1, x2, y2) = whole(FACES[name], size)
    jaw = points[[*OVAL, 127, 356]]
    lowest, bridge = jaw[:, 1].max(), points[5, 1]
    top = int(bridge - (lowest - bridge))
    margin = round((int(lowest) - top) * 10 / 256)
    box = (int(jaw[:, 0].min()), max(0, top), int(jaw[:, 0].max()), min(int(lowest) + margin, size))
    assert np.abs(np.array(box) - (x1, y1, x2, y2)).max() <= 2
    assert iou(mask, upstream_mask(points, box, mask.shape)) >= 0.95


@pytest.mark.parametrize("name", FACES)
def test_both_sizes_have_the_same_mask(name: str) -> None:
    """At 1024 the chin moves as at 512: nothing is counted in pixels."""
    small, large = (whole(FACES[name], size)[1] for size in (512, 1024))
    assert iou(cv2.resize(large, (512, 512), interpolation=cv2.INTER_AREA), small) >= 0.97


@pytest.mark.parametrize("name", FACES)
def test_lips_and_chin_are_redrawn_the_nose_and_the_eyes_are_not(name: str) -> None:
    """The mask is whole at the lips, well open at the chin, and as good as shut on the nose."""
    points, mask, _ = whole(FACES[name], 512)

    def at(number: int) -> float:
        x, y = np.round(points[number]).astype(int)
        return float(mask[y, x])

    assert min(at(number) for number in (0, 13, 14, 17, 18)) > 0.9
    assert at(199) > 0.9
    assert at(152) > 0.4
    assert max(at(number) for number in (5, 168, 468, 473)) < 0.05
    assert max(at(number) for number in (1, 4)) < 0.25  # the tip, where the mask fades
    assert at(152) > 0, "the chin is frozen"


def test_the_face_of_another_place_has_the_mask_of_that_place() -> None:
    """Box and mask go where the mesh goes."""
    bgr, face = head(FACES["drawn"].bgr, FACES["drawn"].face, 512)
    mesh = face.mesh.copy()
    mesh[:, 0] += 20 / 512
    first, second = outline(bgr, face), outline(bgr, Face(mesh))
    assert np.array(second.box) - first.box == pytest.approx([20, 0, 20, 0], abs=1)
    assert np.abs(second.mask - cv2.resize(first.mask, second.mask.shape[::-1])).mean() < 0.02
