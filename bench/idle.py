"""Idle loops: seconds of loop per second of work, cold and warm, and what a second of it weighs.

    uv run python -m bench.idle [--json]

A drawn portrait and a photo, each listening and thinking, from the picture to the file. Cold: the first of a process.
"""

from __future__ import annotations

import statistics
import time
from io import BytesIO

from bench.machine import parser, report

ROUNDS = 3


def main() -> None:
    args = parser(__doc__ or "").parse_args()
    began = time.perf_counter()

    from PIL import Image
    from skimage import data

    from local.portrait import draw
    from shared.lipsync.engine import Style
    from shared.lipsync.idle import FRAMES, Idle
    from shared.lipsync.picture import read_picture
    from shared.media import video
    from shared.media.types import FPS

    photo = BytesIO()
    Image.fromarray(data.astronaut()).save(photo, "PNG")  # type: ignore[no-untyped-call]
    pictures = {
        "drawn": read_picture(draw("a friendly woman with auburn hair"), generated=True),
        "photo": read_picture(photo.getvalue()),
    }
    imported = time.perf_counter() - began
    speeds: dict[str, list[float]] = {name: [] for name in pictures}
    bytes_a_second: dict[str, float] = {}
    cold = 0.0
    for _ in range(1 + ROUNDS):
        for name, picture in pictures.items():
            began, weight = time.perf_counter(), 0
            for mood in FRAMES:
                idle = Idle(picture.bgr, picture.face, 512, Style(), mood)
                weight += len(video.loop(idle.loop(), 512, idle.frames))
            seconds = sum(FRAMES.values()) / FPS
            speed = seconds / (time.perf_counter() - began)
            if not cold:
                cold = speed
            speeds[name].append(speed)
            bytes_a_second[name] = weight / seconds
    figures = {"cold_x_real_time": round(cold, 1)}
    for name in pictures:
        figures[f"{name}_x_real_time"] = round(statistics.median(speeds[name][1:]), 1)
        figures[f"{name}_kb_a_second"] = round(bytes_a_second[name] / 1000, 1)
    details = [f"imports and finding the faces {imported:.1f} s", f"loops of {[n / FPS for n in FRAMES.values()]} s"]
    report(args, figures, details)


if __name__ == "__main__":
    main()
