"""Faces: how well they are found, how well they speak, what that costs, and a sheet of each to look at.

    uv run python -m bench.faces [--json] [--out FOLDER] [--no-reference] [PHOTO ...]

Without photos: the two that packages ship (scikit-image, matplotlib), changed copies of them, and drawn portraits. The
reference is MediaPipe 0.10.21 itself, in an environment of its own that uv makes for this run; drawn portraits are
held against their exact geometry. Mouths are measured in encoded frames, decoded again, by the same finder.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from bench.machine import parser, report
from bench.score import closed_frames, opening, score, target
from local.elevenlabs import speak
from local.espeak import Espeak
from local.portrait import draw
from shared.lipsync.arrays import floats
from shared.lipsync.cpu.engine import CpuEngine, CpuPortrait
from shared.lipsync.cpu.head import Pose
from shared.lipsync.cpu.motion import Look
from shared.lipsync.finder import Found, find_faces
from shared.lipsync.picture import Picture, head, read_picture
from shared.lipsync.topology import LIPS_ORDER
from shared.lipsync.visemes import Mouth
from shared.media.nv12 import from_nv12
from shared.media.types import RATE, Floats, Pixels, Speech, Timing
from shared.media.video import FragmentedMp4

TEXT = (
    "Good evening, my name is Ada. Above the papers on my table you may find a map of the moons of Jupiter. "
    "Five of my friends brought warm bread and apple jam."
)
VOICE = "21m00Tcm4TlvDq8ikWAM"
_STILL = Look(0, 0, 0, Pose())
# What stands on a sheet: the mouth, how much it speaks, lids and gaze, and the head.
SHEET = {
    "still": (Mouth(), 0.0, _STILL),
    "closed": (Mouth(), 1.0, _STILL),
    "widest": (Mouth(0.31, 0.95), 1.0, _STILL),
    "spread": (Mouth(0.12, 1.06), 1.0, _STILL),
    "rounded": (Mouth(0.22, 0.79), 1.0, _STILL),
    "f, v": (Mouth(0.06, 1.0, 0, 1), 1.0, _STILL),
    "th": (Mouth(0.09, 1.0, 0, 0, 1), 1.0, _STILL),
    "blink": (Mouth(), 0.0, Look(1, 0, 0, Pose())),
    "aside": (Mouth(), 0.0, Look(0, 1, 0, Pose(yaw=0.1))),
}
_REFERENCE = """
import json, sys
import cv2, mediapipe
mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True, max_num_faces=1)
for path in sys.argv[1:]:
    bgr = cv2.imread(path)
    found = mesh.process(bgr[:, :, ::-1].copy()).multi_face_landmarks
    size = bgr.shape[1], bgr.shape[0]
    print(json.dumps([[p.x * size[0], p.y * size[1]] for p in found[0].landmark] if found else None))
"""


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("photos", nargs="*", type=Path)
    arguments.add_argument("--out", type=Path, help="where a sheet of each picture goes")
    arguments.add_argument("--no-reference", action="store_true", help="without MediaPipe (36 MB and its packages)")
    args = arguments.parse_args()
    if args.child:
        print(json.dumps(_first_find()))
        return
    pictures = {path.name: read_picture(path.read_bytes()) for path in args.photos} if args.photos else _pictures()
    details: list[str] = []
    figures: dict[str, float] = {
        **_finding(pictures, details, reference=not args.no_reference),
        **_times(next(iter(pictures.values()))),
    }
    spoken = [_speaking(name, picture, details) for name, picture in pictures.items()]
    for key in spoken[0]:
        values = [value for one in spoken if (value := one[key]) is not None]
        figures[f"{key}_median"], figures[f"{key}_worst"] = statistics.median(values), _worst(key, values)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures.items():
            cv2.imwrite(str(args.out / f"{Path(name).stem}.png"), sheet(picture))
    report(args, {name: round(value, 4) for name, value in figures.items()}, details)


def _worst(key: str, values: list[float]) -> float:
    return min(values) if key == "opening_r" else max(values)


def _png(rgb: Pixels) -> bytes:
    done, data = cv2.imencode(".png", rgb[:, :, ::-1])
    assert done
    return bytes(data)


def photos() -> dict[str, Pixels]:
    """Photos of real people that packages ship, RGB."""
    import matplotlib
    from PIL import Image
    from skimage import data

    hopper = Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    astronaut = data.astronaut()  # type: ignore[no-untyped-call]
    return {"astronaut": astronaut, "hopper": np.asarray(hopper.convert("RGB"))}


def changed(rgb: Pixels) -> dict[str, Pixels]:
    """Copies of a photo that are harder to find a face in."""
    height, width = rgb.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 20, 1)
    turned = cv2.warpAffine(rgb, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    grey = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return {
        "mirrored": np.ascontiguousarray(rgb[:, ::-1]),
        "turned": turned,
        "grey": grey,
        "dark": (rgb * 0.3).astype(np.uint8),
        "small": cv2.resize(rgb, (round(width * 0.6), round(height * 0.6)), interpolation=cv2.INTER_AREA),
        "blurred": cv2.GaussianBlur(rgb, (0, 0), 2.0),
    }


def _pictures() -> dict[str, Picture]:
    found: dict[str, Picture] = {}
    for name, rgb in photos().items():
        found[name] = read_picture(_png(rgb))
        found |= {f"{name}, {change}": read_picture(_png(copy)) for change, copy in changed(rgb).items()}
    for number in range(6):
        found[f"drawn {number}"] = read_picture(draw(f"somebody {number}", 768), generated=True)
    return found


def _finding(pictures: dict[str, Picture], details: list[str], *, reference: bool) -> dict[str, float]:
    """How far found points are from exact or reference ones, in eye distances."""
    drawn = {name: picture for name, picture in pictures.items() if name.startswith("drawn")}
    figures = _apart([(_found(one.bgr), _points(one)) for one in drawn.values()], "drawn")
    if not reference or not shutil.which("uv"):
        details.append("no reference: MediaPipe was not run")
        return figures
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.png" for number in range(len(pictures))]
        for path, picture in zip(paths, pictures.values(), strict=True):
            cv2.imwrite(str(path), picture.bgr)
        command = ["uv", "run", "--quiet", "--isolated", "--no-project", "--python", "3.11",
                   "--with", "mediapipe==0.10.21", "python", "-c", _REFERENCE, *map(str, paths)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        details.append(f"no reference: MediaPipe did not run ({done.stderr.strip().splitlines()[-1:]})")
        return figures
    points = [json.loads(line) for line in done.stdout.splitlines()]
    pairs = [
        (_found(picture.bgr), floats(each))
        for picture, each in zip(pictures.values(), points, strict=True)
        if each is not None
    ]
    return figures | _apart(pairs, "mediapipe")


def _found(bgr: Pixels) -> Found:
    return find_faces(bgr, 1)[0]


def _points(picture: Picture) -> Floats:
    return picture.face.pixels(picture.bgr.shape[1], picture.bgr.shape[0])


def _apart(pairs: list[tuple[Found, Floats]], against: str) -> dict[str, float]:
    if not pairs:
        return {}
    whole, lips = [], []
    for found, points in pairs:
        off = np.hypot(*(found.points[:, :2] - points[:, :2]).T) / found.eye_distance
        whole.append(float(np.median(off)))
        lips.append(float(np.median(off[list(LIPS_ORDER)])))
    return {
        f"finder_vs_{against}_median": statistics.median(whole),
        f"finder_vs_{against}_worst": max(whole),
        f"lips_vs_{against}_median": statistics.median(lips),
        f"lips_vs_{against}_worst": max(lips),
    }


def _first_find() -> float:
    """Milliseconds to load the networks and find a first face, all imports done."""
    bgr = np.ascontiguousarray(photos()["astronaut"][:, :, ::-1])
    began = time.perf_counter()
    find_faces(bgr)
    return (time.perf_counter() - began) * 1000


def _times(picture: Picture) -> dict[str, float]:
    child = subprocess.run([sys.executable, "-m", "bench.faces", "--child"], capture_output=True, text=True, check=True)
    figures = {"first_find_ms": float(child.stdout)}
    figures["warm_find_ms"] = _milliseconds(lambda: find_faces(picture.bgr, 1), 15)
    _, data = cv2.imencode(".png", picture.bgr)
    figures["upload_ms"] = _milliseconds(lambda: read_picture(data.tobytes()), 9)  # decoded, found, checked
    figures["rig_ms"] = _milliseconds(lambda: CpuEngine().prepare(picture, 512), 5)
    prepared = CpuEngine().prepare(picture, 512)
    shapes = iter([Mouth(gap, width) for gap in np.linspace(0.03, 0.31, 12) for width in (0.8, 0.95, 1.05)])
    figures["new_shape_ms"] = _milliseconds(lambda: prepared.mouth.patch(next(shapes), 1), 30)
    look = Look(0, 0, 0, Pose(yaw=0.02, pitch=0.01, breath=0.01))
    figures["warm_frame_ms"] = _milliseconds(lambda: prepared.frame(Mouth(0.19), 1, look), 60)
    take = speak(TEXT, VOICE, RATE)
    letters = [Timing(*each) for each in zip(take.text, take.starts, take.ends, strict=True)]
    session = prepared.session()
    for _ in (*session.render(Speech(take.samples, letters)), *session.finish()):
        pass
    figures["face_mb"] = prepared.kept_bytes / 1e6
    return figures


def _milliseconds(work: Callable[[], Any], runs: int) -> float:
    """Median of this thread's processor time."""
    taken = []
    for _ in range(runs):
        began = time.thread_time()
        work()
        taken.append((time.thread_time() - began) * 1000)
    return statistics.median(taken)


def video(prepared: CpuPortrait, speech: Speech) -> list[Pixels]:
    """Rendered, encoded, and decoded again: BGR frames."""
    session, parts = prepared.session(), BytesIO()
    video = FragmentedMp4(prepared.size, parts.write)
    video.add_audio(speech.samples)
    for frame in (*session.render(speech), *session.finish()):
        video.add_frame(frame)
    video.close()
    parts.seek(0)
    with av.open(parts, "r") as file:
        return [frame.to_ndarray(format="bgr24").astype(np.uint8) for frame in file.decode(video=0)]


def _speaking(name: str, picture: Picture, details: list[str]) -> dict[str, float | None]:
    prepared = CpuEngine().prepare(picture, 512)
    spoken = Espeak.shared().speak(TEXT, "en-us+f3", 162, 52)
    frames = video(prepared, Speech(speak(TEXT, VOICE, RATE).samples, spoken.phonemes, "phonemes"))
    gaps = floats([opening(frame) for frame in frames])
    wanted = target(spoken.phonemes, len(frames))
    # In silence an open mouth is the photo's own again: only what is said is compared.
    r, lag = score(gaps[wanted > 0, 0], wanted[wanted > 0], reach=3)
    closed = float(np.median(gaps[closed_frames(spoken.phonemes, len(frames)), 0]))
    widest = float(np.percentile(gaps[:, 1], 98))
    brow = brow_change(prepared, picture)
    details.append(
        f"{name}: r {r:.2f} at lag {lag}, closed {closed:.3f} e, widest {widest:.2f} mw, "
        f"brow {'-' if brow is None else f'{brow:.1f}'} {' '.join(picture.face.warnings)}"
    )
    return {"opening_r": r, "lag_frames": abs(lag), "closed_e": closed, "widest_mw": widest, "brow_levels": brow}


def brow_change(prepared: CpuPortrait, picture: Picture) -> float | None:
    """Mean change of the brows' pixels when the lids shut, in grey levels; None where they never do."""
    if not prepared.sees:
        return None
    still, shut = (prepared.frame(Mouth(), 0, Look(lids, 0, 0, Pose()))[: prepared.size] for lids in (0, 1))
    _, face = head(picture.bgr, picture.face, prepared.size)
    points = face.pixels(prepared.size, prepared.size)[:, :2]
    mask = np.zeros(still.shape, np.uint8)
    for brow in ((46, 53, 52, 65, 55, 107, 66, 105, 63, 70), (285, 295, 282, 283, 276, 300, 293, 334, 296, 336)):
        cv2.fillPoly(mask, [np.round(points[list(brow)]).astype(np.int32)], 1)
    return float(np.abs(shut.astype(int) - still)[mask > 0].mean())


def sheet(picture: Picture) -> Pixels:
    """The face in each of SHEET, three in a row, 512 pixels each."""
    prepared = CpuEngine().prepare(picture, 512)
    tiles = []
    for name, (mouth, speaking, look) in SHEET.items():
        tile = from_nv12(prepared.frame(mouth, speaking, look))
        tiles.append(cv2.putText(tile, name, (12, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2, cv2.LINE_AA))
    rows = [np.hstack(tiles[row : row + 3]) for row in range(0, len(tiles), 3)]
    return np.asarray(np.vstack(rows), np.uint8)


if __name__ == "__main__":
    main()
