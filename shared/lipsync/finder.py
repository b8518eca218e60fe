"""Finds a face in a picture: a detector, then a mesh of 478 points in two passes that must agree.

The detector is BlazeFace short range (128 x 128), the mesh the attention mesh (192 x 192), both MediaPipe's; see
face_models.py. Here is what lies around the networks: anchors, crops, and the operators between the two halves of the
mesh. Everything works in pixels of the picture given; points are (x, y, z), z on the scale of x, negative towards the
viewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from shared.lipsync import face_models as models
from shared.lipsync.arrays import floats
from shared.lipsync.face_models import FaceModels
from shared.lipsync.topology import LEFT_EYE_ORDER, LEFT_IRIS, LIPS_ORDER, RIGHT_EYE_ORDER, RIGHT_IRIS
from shared.media.types import Floats, Pixels

DETECTED = 0.5  # least score of a detection; a cat reaches 0.49, noise 0.42
CERTAIN = 0.915  # upright faces score 0.79 to 0.97, turned ones up to 0.91: below this, the other turns are tried
UPRIGHT = 0.06  # by how much a turn must score better than the picture as it is; a covered mouth costs 0.1
LIKELY = 0.8  # score of a face that is one; what only scores less is given when there is no better
DOUBTFUL = 0.85  # below this score a face is looked at again, closer; drawings of circles reach 0.77
PRESENT = 0.9  # least presence in both passes; a cat reaches 0.84 in one of them, faces 1.000
AGREE = 0.08  # most that the two passes may differ on average, in eye distances; faces 0.046, a cat 0.24
_DETECTOR_SIDE, _MESH_SIDE = 128, 192
_CROP = 1.5  # side of the crop over the longer side of the box
_TILES = (0.5, 0.3)  # sides of the squares in which small faces are looked for, of the picture's longer side
_RIVALS = 0.62  # the same for another face beside one that was found
_LARGE = 0.25  # of the picture's longer side: a box from which a look at the whole finds every rival
_BOX = 2.2  # side of a detection's box, in eye distances
_LOOKS = (4.5, 6.5, 9.0)  # sides of the crops of a closer look, in eye distances
_OVERLAP = 0.3  # intersection over union from which two boxes are one face


@dataclass(frozen=True)
class Crop:
    """A square in the picture: centre (2), side in pixels, angle in radians (clockwise, of the line of the eyes)."""

    centre: Floats
    side: float
    angle: float

    def to_picture(self) -> Floats:
        """The affine map from the crop's pixels, 192 a side, to the picture's: (2, 3)."""
        scale = self.side / _MESH_SIDE
        turn = scale * floats([[np.cos(self.angle), -np.sin(self.angle)], [np.sin(self.angle), np.cos(self.angle)]])
        return np.column_stack([turn, self.centre - turn @ floats([_MESH_SIDE / 2, _MESH_SIDE / 2])])

    @classmethod
    def around(cls, points: Floats) -> Crop:
        """The square around a mesh (478, 3)."""
        across = points[263, :2] - points[33, :2]
        angle = float(np.arctan2(across[1], across[0]))
        cos, sin = np.cos(angle), np.sin(angle)
        level = points[:, :2] @ floats([[cos, -sin], [sin, cos]])
        low, high = level.min(axis=0), level.max(axis=0)
        centre = floats([[cos, -sin], [sin, cos]]) @ ((low + high) / 2)
        return cls(centre, _CROP * float((high - low).max()), angle)


@dataclass(frozen=True)
class Detection:
    """What the detector saw: its score and where to look closer."""

    score: float
    box: tuple[float, float, float, float]  # x, y, width, height
    crop: Crop

    @property
    def size(self) -> float:
        return max(self.box[2], self.box[3])


@dataclass(frozen=True)
class Found:
    """A face, or what looks like one: points (478, 3) in pixels, and how sure the networks are."""

    points: Floats
    score: float  # the detector's, the best one of several looks: faces 0.8 and more, circles and noise less
    presence: float  # the smaller one of the two passes
    disagreement: float  # mean distance of the two passes, in eye distances

    @property
    def eye_distance(self) -> float:
        return float(np.hypot(*(self.points[RIGHT_IRIS[0], :2] - self.points[LEFT_IRIS[0], :2])))

    @property
    def certain(self) -> bool:
        return self.presence >= PRESENT and self.disagreement <= AGREE


def find_faces(bgr: Pixels, most: int = 3) -> list[Found]:
    """The faces of a picture, the largest first, at most `most`. Raises FaceModelsMissing.

    About 20 ms warm. Small faces are looked for in tiles (100 ms) when the whole picture shows none.
    """
    nets = FaceModels.load()
    with nets.lock:
        doubtful: list[Found] = []
        for detections in _attempts(nets, bgr):
            found = _located(nets, bgr, detections, most, [])
            if not found or found[0].score < LIKELY:
                doubtful = doubtful or found
                continue
            if most > 1 and detections[0].size < _LARGE * max(bgr.shape[:2]):
                # Another one as small may have been missed in a look at the whole.
                found = _located(nets, bgr, _in_tiles(nets, bgr, (_RIVALS,), 0.3), most, found)
            return found
    return doubtful


def _located(nets: FaceModels, bgr: Pixels, detections: list[Detection], most: int, known: list[Found]) -> list[Found]:
    """The faces that are known and those where detections are, each once, the largest first."""
    found = list(known)
    for detection in sorted(detections, key=lambda one: one.size, reverse=True):
        if any(_within(detection, other) for other in found):
            continue
        if len(found) >= most or (found and detection.size < 0.5 * found[0].eye_distance * _BOX):
            break  # too small to be of interest beside the others
        face = locate(nets, bgr, detection)
        if face.certain and not any(_same(face, other) for other in found):
            found.append(face)
    return sorted(found, key=lambda one: one.eye_distance, reverse=True)[:most]


def _attempts(nets: FaceModels, bgr: Pixels) -> Iterator[list[Detection]]:
    """The whole picture, turned as it shows a face best; then the tiles."""
    upright = detect(nets, bgr)
    if upright and upright[0].score >= CERTAIN:
        yield upright
    scored = [(found[0].score, found) for turns in (1, 2, 3) if (found := detect(nets, bgr, turns))]
    scored += [(upright[0].score + UPRIGHT, upright)] if upright else []
    yield from (found for _, found in sorted(scored, key=lambda one: one[0], reverse=True))
    yield _in_tiles(nets, bgr, _TILES)


def _in_tiles(nets: FaceModels, bgr: Pixels, shares: tuple[float, ...], overlap: float = 0.5) -> list[Detection]:
    height, width = bgr.shape[:2]
    found: list[Detection] = []
    for side in dict.fromkeys(min(round(share * max(height, width)), height, width) for share in shares):
        for y in _starts(height, side, overlap):
            for x in _starts(width, side, overlap):
                for one in detect(nets, bgr[y : y + side, x : x + side]):
                    crop = Crop(one.crop.centre + floats([x, y]), one.crop.side, one.crop.angle)
                    found.append(Detection(one.score, (one.box[0] + x, one.box[1] + y, *one.box[2:]), crop))
    return found


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """Where tiles begin that overlap by at least this share and cover everything."""
    count = 1 + -(-(length - side) // max(1, int(side * (1 - overlap))))
    return [round(place) for place in np.linspace(0, length - side, count)]


def _within(detection: Detection, face: Found) -> bool:
    apart = detection.crop.centre - face.points[:, :2].mean(axis=0)
    return bool(np.hypot(*apart) < face.eye_distance)


def _same(one: Found, other: Found) -> bool:
    apart = np.hypot(*(one.points[:, :2].mean(axis=0) - other.points[:, :2].mean(axis=0)))
    return bool(apart < 2 * max(one.eye_distance, other.eye_distance))


def detect(nets: FaceModels, bgr: Pixels, turns: int = 0) -> list[Detection]:
    """Faces of a picture turned by `turns` quarters anticlockwise before it is looked at; the best score first."""
    height, width = bgr.shape[:2]
    scale = _DETECTOR_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.rot90(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), turns)
    left, top = (_DETECTOR_SIDE - small.shape[1]) // 2, (_DETECTOR_SIDE - small.shape[0]) // 2
    image = np.zeros((_DETECTOR_SIDE, _DETECTOR_SIDE, 3), np.float32)
    image[top : top + small.shape[0], left : left + small.shape[1]] = small[:, :, ::-1] / 127.5
    nets.detector.setInput(np.ascontiguousarray((image - 1).transpose(2, 0, 1)[None]))
    raw, values = (out.reshape(len(_ANCHORS), -1) for out in nets.detector.forward(["classificators", "regressors"]))
    scores = _sigmoid(raw[:, 0])
    likely = np.flatnonzero(scores >= DETECTED)
    places = values[likely].reshape(-1, 8, 2) / _DETECTOR_SIDE  # offset of the centre, size, six points
    places[:, 0] += _ANCHORS[likely]
    places[:, 2:] += _ANCHORS[likely][:, None]
    found = []
    for score, one in _merged(scores[likely], places):
        middle, extent, left_eye, right_eye = (
            one[k] * _DETECTOR_SIDE - (floats([left, top]) if k != 1 else 0) for k in range(4)
        )
        back = _unturned(floats([middle, left_eye, right_eye]), size, turns) / scale
        across = back[2] - back[1]
        long = float(extent.max()) / scale
        box = (float(back[0, 0]) - long / 2, float(back[0, 1]) - long / 2, long, long)
        found.append(Detection(score, box, Crop(back[0], _CROP * long, float(np.arctan2(across[1], across[0])))))
    return sorted(found, key=lambda one: one.score, reverse=True)


def _unturned(points: Floats, size: tuple[int, int], turns: int) -> Floats:
    """Points of a picture turned by quarters anticlockwise, in the picture of `size` (width, height) as it was."""
    width, height = size
    x, y = points[:, 0], points[:, 1]
    return np.column_stack([(x, y), (width - y, x), (width - x, height - y), (y, height - x)][turns])


def _merged(scores: Floats, places: Floats) -> list[tuple[float, Floats]]:
    """Overlapping detections as one, averaged by score: (score, points (8, 2))."""
    order = list(np.argsort(-scores))
    found = []
    while order:
        best = order[0]
        near = [k for k in order if _overlap(places[best], places[k]) > _OVERLAP] or [best]
        found.append((float(scores[best]), np.average(places[near], axis=0, weights=scores[near])))
        order = [k for k in order if k not in near]
    return found


def _overlap(one: Floats, other: Floats) -> float:
    """Intersection over union of two boxes, each centre and size."""
    low = np.maximum(one[0] - one[1] / 2, other[0] - other[1] / 2)
    high = np.minimum(one[0] + one[1] / 2, other[0] + other[1] / 2)
    common = float(np.prod(np.maximum(high - low, 0)))
    return common / max(float(np.prod(one[1]) + np.prod(other[1])) - common, 1e-9)


def _anchors() -> Floats:
    """Centres of the detector's 896 anchors: two on each of 16 x 16 cells, then six on each of 8 x 8."""
    centres = [
        ((x + 0.5) / cells, (y + 0.5) / cells)
        for cells, each in ((16, 2), (8, 6))
        for y in range(cells)
        for x in range(cells)
        for _ in range(each)
    ]
    return floats(centres)


_ANCHORS = _anchors()


def locate(nets: FaceModels, bgr: Pixels, detection: Detection) -> Found:
    """The mesh where a detection is: the mean of two passes, the second one cropped by the first."""
    first, presence = mesh(nets, bgr, detection.crop)
    second, again = mesh(nets, bgr, Crop.around(first))
    points = floats((first + second) / 2)
    span = max(1e-6, float(np.hypot(*(points[RIGHT_IRIS[0], :2] - points[LEFT_IRIS[0], :2]))))
    apart = float(np.hypot(*(first - second)[:, :2].T).mean()) / span
    found = Found(points, detection.score, min(presence, again), apart)
    if detection.score >= DOUBTFUL or not found.certain:
        return found
    return replace(found, score=_looked_closer(nets, bgr, points, span))


def _looked_closer(nets: FaceModels, bgr: Pixels, points: Floats, span: float) -> float:
    """The detector's score of the face alone, level, plain and mirrored, in the crop where it is highest."""
    angle = Crop.around(points).angle
    best = 0.0
    for look in _LOOKS:
        cut = _cut(bgr, Crop(points[:, :2].mean(axis=0), look * span, angle).to_picture())
        both = (detect(nets, one) for one in (cut, np.ascontiguousarray(cut[:, ::-1])))
        best = max(best, sum(found[0].score for found in both if found) / 2)
    return best


def mesh(nets: FaceModels, bgr: Pixels, crop: Crop) -> tuple[Floats, float]:
    """One pass over a crop: points (478, 3) in the picture's pixels, and the presence of a face, 0..1."""
    to_picture = crop.to_picture()
    image = _cut(bgr, to_picture).astype(np.float32)[:, :, ::-1] / 255
    nets.mesh.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
    flat, flag, features = nets.mesh.forward([models.MESH, models.PRESENCE, models.FEATURES])
    points = np.vstack([flat.reshape(468, 3), np.zeros((10, 3), np.float32)])
    _refine(nets, points, features[0])
    placed = np.column_stack(
        [points[:, :2] @ to_picture[:, :2].T + to_picture[:, 2], points[:, 2] * crop.side / _MESH_SIDE]
    )
    return floats(placed), float(_sigmoid(flag.reshape(1))[0])


def _sigmoid(values: Floats) -> Floats:
    return floats(1 / (1 + np.exp(-np.clip(values, -80, 80))))  # beyond, float32 has no exponential


def _cut(bgr: Pixels, to_picture: Floats) -> Pixels:
    """The crop, 192 x 192; a large one is halved first so that no pixel is skipped."""
    matrix = to_picture.copy()
    while np.hypot(*matrix[:, 0]) > 2:
        x0, y0 = np.maximum(np.floor(_corners(matrix).min(axis=0)).astype(int) - 2, 0)
        x1, y1 = np.ceil(_corners(matrix).max(axis=0)).astype(int) + 2
        part = bgr[y0 : max(y1, y0 + 2), x0 : max(x1, x0 + 2)]
        if not part.size:
            break
        bgr = cv2.resize(part, (max(1, part.shape[1] // 2), max(1, part.shape[0] // 2)), interpolation=cv2.INTER_AREA)
        ratio = floats([bgr.shape[1] / part.shape[1], bgr.shape[0] / part.shape[0]])
        matrix[:, 2] -= (x0, y0)
        matrix *= ratio[:, None]
    cut: Pixels = cv2.warpAffine(
        bgr,
        matrix,
        (_MESH_SIDE, _MESH_SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cut


def _corners(matrix: Floats) -> Floats:
    square = floats([[0, 0], [_MESH_SIDE, 0], [0, _MESH_SIDE], [_MESH_SIDE, _MESH_SIDE]])
    return square @ matrix[:, :2].T + matrix[:, 2]


# Each region of the second network: the pair that is made level, its points in the mesh, its inputs and outputs.
@dataclass(frozen=True)
class _Region:
    pair: tuple[int, int]
    points: tuple[int, ...]
    given: str
    contour: str
    iris: str = ""
    iris_points: tuple[int, ...] = ()


_REGIONS = (
    _Region((61, 291), LIPS_ORDER, models.REGIONS[0], models.LIPS),
    _Region((33, 133), LEFT_EYE_ORDER, models.REGIONS[1], models.LEFT_EYE, models.LEFT_IRIS, LEFT_IRIS),
    _Region((362, 263), RIGHT_EYE_ORDER, models.REGIONS[2], models.RIGHT_EYE, models.RIGHT_IRIS, RIGHT_IRIS),
)


def _refine(nets: FaceModels, points: Floats, features: Floats) -> None:
    """Lips, eyes and irises anew, from a closer look at the features (32, 48, 48) around each. Changes `points`."""
    maps, quarter = [], floats(points[:, :2] / 4)
    for region in _REGIONS:
        turn, shift = _region_map(quarter[list(region.points)], quarter[list(region.pair)])
        nets.regions.setInput(_sampled(features, turn, shift), region.given)
        maps.append((turn, shift))
    names = [name for region in _REGIONS for name in (region.contour, region.iris) if name]
    found = dict(zip(names, nets.regions.forward(names), strict=True))
    for region, (turn, shift) in zip(_REGIONS, maps, strict=True):
        points[list(region.points), :2] = found[region.contour].reshape(-1, 2) @ turn.T + 4 * shift
        if region.iris:
            points[list(region.iris_points), :2] = found[region.iris].reshape(-1, 2) @ turn.T + 4 * shift
            points[list(region.iris_points), 2] = points[list(region.points[:16]), 2].mean()


def _region_map(points: Floats, pair: Floats) -> tuple[Floats, Floats]:
    """From a region's 16 x 16 pixels to the features' 48 x 48: turn (2, 2) and shift (2)."""
    across = pair[1] - pair[0]
    angle = np.arctan2(across[1], across[0])
    turn = floats([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    level = points @ turn
    low, high = level.min(axis=0), level.max(axis=0)
    scaled = turn * (_CROP * (high - low) / 16)
    return scaled, turn @ ((low + high) / 2) - scaled @ floats([8, 8])


def _sampled(features: Floats, turn: Floats, shift: Floats) -> Any:
    """The region cut out of the features by bilinear sampling, zeros outside: (1, 32, 16, 16)."""
    ys, xs = np.mgrid[0:16, 0:16].astype(np.float32) + 0.5
    places = np.stack([xs, ys], axis=-1) @ turn.T + shift - 0.5
    cut = cv2.remap(
        np.ascontiguousarray(features.transpose(1, 2, 0)),
        floats(places),
        None,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return np.ascontiguousarray(cut.transpose(2, 0, 1)[None])
