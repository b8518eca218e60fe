"""A film of sixty seconds and twelve shots: each stage, and its assembly beside MoviePy's and beside x264 alone.

    uv run python -m bench.film [--json] [--seconds 60] [--moviepy-seconds 8]

The assembly of twelve clips with captions, upright at 1080 x 1920, 30 frames a second: ours in one shape and in three,
MoviePy's of the first seconds of the same cut, and x264 with our settings on frames that are ready. Each in a process
of its own, whose memory is counted with that of its children. Then a whole film through the embedded stack, stage by
stage, and what the schedule's look at the projects costs while a thousand wait for somebody.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.machine import parser, report
from local.stack import ROOT, Stack
from shared.studio.project import Shape

SHOTS = 12
SHAPE: Shape = "tall"
TEXT = "Every river carries a little stone dust down to the coast and the sea keeps it for four billion years"
MOVIEPY = ("uv", "run", "--isolated", "--no-project", "--with", "moviepy==2.2.1", "python", "bench/moviepy_cut.py")
SWEEP = """
do $$ declare began timestamptz; taken numeric := 1e9; begin
  for n in 1..20 loop
    began := clock_timestamp(); perform count(*) from public.sweep_projects();
    taken := least(taken, extract(epoch from clock_timestamp() - began) * 1000);
  end loop; raise notice 'took %', taken; end $$;
"""


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("--moviepy-seconds", type=float, default=8.0)
    arguments.add_argument("--part", default="")
    args = arguments.parse_args()
    if args.part:
        PARTS[args.part](Path(os.environ["BENCH_FOLDER"]), args)
        return
    with tempfile.TemporaryDirectory() as folder:
        _clips(Path(folder))
        ours, three, x264 = (_run([*_part(args), part], folder) for part in ("ours", "three", "x264"))
        moviepy = _run([*MOVIEPY, str(_moviepy_plan(Path(folder), args))], folder)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), postgres=True) as stack:
        stages, sweep = _whole(stack, args.seconds), _sweep(stack)
    rate = ours["frames"] / ours["seconds"]
    figures = {
        "frames_a_second": round(rate, 1),
        "moviepy_frames_a_second": round(moviepy["frames"] / moviepy["seconds"], 1),
        "x_moviepy": round(rate / (moviepy["frames"] / moviepy["seconds"]), 1),
        "share_of_x264": round(rate / (x264["frames"] / x264["seconds"]), 2),
        "three_shapes_over_one": round(three["seconds"] / ours["seconds"], 2),
        "memory_mb": round(ours["memory"] / 1e6),
        "memory_over_moviepy": round(ours["memory"] / moviepy["memory"], 2),
        "sweep_ms": sweep,
        "stages_s": stages,
    }
    report(args, figures, [f"{name}: {part}" for name, part in (("ours", ours), ("moviepy", moviepy), ("x264", x264))])


def _part(args: Any) -> list[str]:
    return [sys.executable, "-m", "bench.film", "--seconds", str(args.seconds), "--part"]


def _run(command: list[str], folder: str) -> dict[str, float]:
    """Seconds of the part itself, its frames, and the most memory that its process and their children had."""
    environment = {**os.environ, "BENCH_FOLDER": folder}
    child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)  # noqa: S603
    most = 0

    def watch() -> None:
        nonlocal most
        process = psutil.Process(child.pid)
        while child.poll() is None:
            with suppress(psutil.Error):
                most = max(most, sum(one.memory_info().rss for one in (process, *process.children(recursive=True))))
            time.sleep(0.05)

    watching = threading.Thread(target=watch)
    watching.start()
    told, _ = child.communicate()
    watching.join()
    assert child.returncode == 0, command
    return {**json.loads(told.splitlines()[-1]), "memory": most}


def _clips(folder: Path) -> None:
    """Four moving clips, 1080p at 25 frames a second."""
    from local.pexels import draw

    for number in range(4):
        (folder / f"clip-{number}.mp4").write_bytes(draw(number, 1920, 1080))


def _timed(frames: int, work: Callable[[], object]) -> None:
    began = time.perf_counter()
    work()
    print(json.dumps({"frames": frames, "seconds": time.perf_counter() - began}))


def _plan(seconds: float) -> tuple[Any, Any]:
    """Shots of equal length, and words at two and a half a second."""
    from shared.studio.shots import FPS, Shot
    from shared.studio.voiceover import Word

    cuts = [round(place * seconds * FPS / SHOTS) for place in range(SHOTS + 1)]
    shots = [Shot(n, "clip", n, "", "", first, last) for n, (first, last) in enumerate(pairwise(cuts))]
    count, words = int(seconds * 2.5), TEXT.split()
    return shots, [Word(words[n % len(words)], n / 2.5, n / 2.5 + 0.35, n // 10) for n in range(count)]


def _ours(shapes: tuple[Any, ...]) -> Callable[[Path, Any], None]:
    def part(folder: Path, args: Any) -> None:
        from shared.studio import film, loudness
        from shared.studio.captions import Captions

        shots, words = _plan(args.seconds)
        voice = (np.random.default_rng(1).normal(0, 0.05, args.seconds * loudness.RATE)).astype(np.float32)

        def work() -> None:
            captions = {shape: Captions(words, shape, *film.SIZES[shape], highlight=True) for shape in shapes}
            made: dict[Any, list[Path]] = {shape: [] for shape in shapes}
            for shot in shots:
                clip = (folder / f"clip-{shot.number % 4}.mp4").read_bytes()
                frames = film.clip_frames(clip, shot.last - shot.first)
                for shape, path in film.render_shot(frames, shot, {**captions}, folder).items():
                    made[shape].append(path)
            sound = loudness.brought_to(voice)
            for shape, pieces in made.items():
                film.joined(pieces, sound, folder / f"{shape}.mp4")

        _timed(shots[-1].last, work)

    return part


def _moviepy_plan(folder: Path, args: Any) -> Path:
    """The first shots of the same cut, for bench/moviepy_cut.py: a caption for each spoken word."""
    from shared.studio import fonts
    from shared.studio.captions import lines
    from shared.studio.film import SIZES
    from shared.studio.shots import FPS

    shots, words = _plan(args.seconds)
    shots = [shot for shot in shots if shot.start < args.moviepy_seconds]
    until = shots[-1].end
    spoken = [(line, word) for line in lines(words, SHAPE) for word in line.words if word.end < until]
    plan = {
        "width": SIZES[SHAPE][0], "height": SIZES[SHAPE][1], "fps": FPS, "font": fonts.OWN,
        "clips": [[str(folder / f"clip-{shot.number % 4}.mp4"), shot.end - shot.start] for shot in shots],
        "captions": [[" ".join(one.text for one in line.words), word.start, word.end] for line, word in spoken],
        "target": str(folder / "moviepy.mp4"),
    }  # fmt: skip
    path = folder / "plan.json"
    path.write_text(json.dumps(plan))
    return path


def _x264(folder: Path, args: Any) -> None:  # noqa: ARG001
    """Our settings on the film's own pictures, one shot of each clip, that are ready before the clock starts."""
    from shared.studio import film

    count, seconds = 150, 0.0
    for number in range(4):
        fitting = film.Fitting(SHAPE, focus=film.FOCUS, fill=True)
        ready = [fitting.fit(one) for one in film.clip_frames((folder / f"clip-{number}.mp4").read_bytes(), count)]
        began = time.perf_counter()
        file = film.ShotFile(folder / "x264.mp4", SHAPE)
        for frame in ready:
            file.write(frame)
        file.close()
        seconds += time.perf_counter() - began
    print(json.dumps({"frames": 4 * count, "seconds": seconds}))


def _whole(stack: Stack, seconds: int) -> dict[str, float]:
    """Seconds of each stage of a film, by the database's clock."""
    from local.portrait import draw
    from tests.support.person import WOMAN, Person
    from tests.support.projects import begin, until, waits

    person = Person(stack)
    persona = person.persona(draw(WOMAN, 512))
    project = until(person, begin(person, persona, seconds=seconds, shapes=["wide"]), waits("script"))
    chosen = {"script": project["scripts"][0]["id"]}
    person.http.post(f"/v1/projects/{project['id']}/approve", json=chosen).raise_for_status()
    until(person, project, waits("film"), 600)
    steps = person.http.get(f"/v1/projects/{project['id']}/history").json()["steps"]
    taken = {}
    for stage in dict.fromkeys(step["stage"] for step in steps):
        of = [step for step in steps if step["stage"] == stage]
        first, last = (min(_read(one["started_at"]) for one in of), max(_read(one["ended_at"]) for one in of))
        taken[stage] = round((last - first).total_seconds(), 1)
    return taken


def _read(time_: str) -> datetime:
    return datetime.fromisoformat(time_)


def _sweep(stack: Stack) -> float:
    """Milliseconds of the schedule's one query, of twenty the fastest, while a thousand projects wait."""
    from bench.gallery import psql

    psql(
        stack,
        "insert into public.projects (owner, input, status, waiting_for, gate_until, wake_at) "
        "select gen_random_uuid(), '{}', 'waiting', 'script', now() + interval '5 days', now() - interval '1 day' "
        "from generate_series(1, 1000)",
    )
    psql(stack, "analyze")
    return round(float(psql(stack, SWEEP).rpartition("took ")[2].split()[0]), 2)


PARTS: dict[str, Callable[[Path, Any], None]] = {
    "ours": _ours((SHAPE,)), "three": _ours(("wide", "tall", "square")), "x264": _x264,
}  # fmt: skip

if __name__ == "__main__":
    main()
