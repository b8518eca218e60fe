"""The cpu engine: text to fragmented MP4 at 512x512, cold and warm, beside x264 alone in the same process.

uv run python -m bench.engine [--json]
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from bench.machine import parser, report

TEXT = (
    "Good evening, my name is Ada. Above the papers on my table you may find a map of the moons of Jupiter. "
    "Five of my friends brought warm bread and apple jam, and we laughed about it all until the morning came. "
    "Look twice, go slowly, and let the sky surprise you; that is all I ever learned from my teachers."
)
RUNS = 7


def main() -> None:
    args = parser(__doc__ or "").parse_args()
    if args.child:
        print(json.dumps(_measure()))
        return
    bare = subprocess.run(
        [sys.executable, "-c", "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"],
        capture_output=True,
        text=True,
        check=True,
    )
    # A fresh process: nothing imported, no mouth drawn yet.
    child = subprocess.run(
        [sys.executable, "-m", "bench.engine", "--child"], capture_output=True, text=True, check=True
    )
    found = json.loads(child.stdout)
    peak = (found.pop("peak_kb") - int(bare.stdout)) / 1024
    details = [
        f"{found['seconds']:.1f} s of speech, {found['frames']} frames of 512x512; medians of {RUNS} warm runs",
        f"cold {found['cold_fps']:.0f} frames/s, warm {found['warm_fps']:.0f}, x264 alone {found['x264_fps']:.0f}",
        f"cold includes {found['prepare_ms']:.0f} ms to prepare the picture, "
        f"not {found['import_ms']:.0f} ms of imports nor {found['voice_ms']:.0f} ms to draw the portrait and speak",
    ]
    figures = {
        "x_realtime_cold": round(found["cold_fps"] / 25, 1),
        "x_realtime_warm": round(found["warm_fps"] / 25, 1),
        "share_of_x264": round(found["warm_fps"] / found["x264_fps"], 2),
        "first_moof_ms": round(found["first_moof_ms"], 1),
        "peak_mb": round(peak, 1),
    }
    report(args, figures, details)


def _measure() -> dict[str, Any]:
    began = time.perf_counter()
    import numpy as np

    from local.elevenlabs import speak
    from local.portrait import draw
    from shared.lipsync.cpu.engine import CpuEngine
    from shared.lipsync.picture import read_picture
    from shared.media.types import PER_FRAME, RATE, Speech, Timing
    from shared.media.video import FragmentedMp4
    from shared.talk.video_renderer import VideoRenderer

    imported = time.perf_counter()
    picture = read_picture(draw("a friendly woman with auburn hair", 1024))
    take = speak(TEXT, "21m00Tcm4TlvDq8ikWAM", RATE)
    ready = time.perf_counter()
    prepared = CpuEngine().prepare(picture, 512)
    prepare_s = time.perf_counter() - ready

    def render(text: str | None = None) -> tuple[float, float, int]:
        """Seconds to the first moof, to the end, and frames; with a text, its voice is part of the time."""
        first: list[float] = []

        def write(data: bytes) -> None:
            if not first and b"moof" in data:
                first.append(time.perf_counter())

        async def run() -> VideoRenderer:
            made = VideoRenderer(prepared, write)
            said = speak(text, "21m00Tcm4TlvDq8ikWAM", RATE) if text else take
            letters = [Timing(*each) for each in zip(said.text, said.starts, said.ends, strict=True)]
            made.append(Speech(said.samples, letters))
            made.finish()
            await made.run()
            return made

        start = time.perf_counter()
        made = asyncio.run(run())
        return first[0] - start, time.perf_counter() - start, made.frames

    _, cold_s, frames = render()
    warm = [render()[1] for _ in range(RUNS)]
    moof = [render("Good evening, my friend.")[0] for _ in range(RUNS)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    letters = [Timing(*each) for each in zip(take.text, take.starts, take.ends, strict=True)]
    pictures = list(prepared.session().render(Speech(take.samples, letters)))
    alone = []
    for _ in range(3):
        video = FragmentedMp4(512, lambda _: None)
        video.add_audio(np.zeros(len(pictures) * PER_FRAME + RATE, np.int16))
        start = time.perf_counter()
        for each in pictures:
            video.add_frame(each)
        video.close()
        alone.append(len(pictures) / (time.perf_counter() - start))
    return {
        "import_ms": (imported - began) * 1000,
        "voice_ms": (ready - imported) * 1000,
        "prepare_ms": prepare_s * 1000,
        "seconds": len(take.samples) / RATE,
        "frames": frames,
        "cold_fps": frames / (prepare_s + cold_s),
        "warm_fps": frames / statistics.median(warm),
        "x264_fps": statistics.median(alone),
        "first_moof_ms": statistics.median(moof) * 1000,
        "peak_kb": peak,
    }


if __name__ == "__main__":
    main()
