"""The command line, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

pytestmark = pytest.mark.slow
MARK = "FORGE_STARTED_BY"  # in the environment of a run, and so of all that it starts


@pytest.fixture(scope="module", autouse=True)
def _data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Not among what the developer keeps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORGE_DATA", str(tmp_path_factory.mktemp("forge")))
        yield


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run `forge` in an empty folder; afterwards nothing that it started may be left."""
    mark = uuid4().hex

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("forge")), *words]
        env = {**os.environ, MARK: mark}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=180, check=False)

    yield run
    left = [p.info for p in psutil.process_iter(["pid", "cmdline"]) if _marked(p, mark)]
    assert left == []


def _marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except psutil.Error:
        return False


def test_the_demo_makes_a_real_photo_speak(
    forge: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    astronaut: bytes,
    decode: Callable[[Path], Any],
) -> None:
    """`forge demo --photo --json`: one object on stdout, a video that decodes, a mouth that moves, nothing left."""
    (tmp_path / "astronaut.png").write_bytes(astronaut)
    done = forge(
        "demo",
        "--photo",
        "astronaut.png",
        "--ask",
        "Who are you, and how is life in orbit?",
        "--name",
        "Eileen",
        "--voice",
        "woman",
        "--out",
        "a.mp4",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made.keys() >= {"output", "duration_s", "first_frame_ms", "total_ms", "receipt"}
    assert "embedded" in done.stderr
    assert Path(made["output"]) == tmp_path / "a.mp4"
    video = decode(tmp_path / "a.mp4")
    assert video.video_seconds == pytest.approx(made["duration_s"])
    assert video.audio_seconds == pytest.approx(video.video_seconds, abs=0.085)
    assert 0 < made["first_frame_ms"] < made["total_ms"]
    assert np.abs(video.samples).max() > 0.1
    mouth = video.frames[:, 268:330, 190:300].astype(float)
    assert mouth.std(axis=0).mean() > 4, "the mouth does not move"
    assert (tmp_path / "a.vtt").read_text().startswith("WEBVTT")
    assert "Eileen" in made["text"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--photo", "page.png"], "not a PNG, JPEG or WebP"),
        (["--photo", "wall.png"], "No face was found"),
        (["--photo", "missing.png"], "missing.png"),
        (["--say", " "], "blank"),
        (["--say", ""], "blank"),
        (["--say", "a", "--ask", "b"], "not both"),
        (["--size", "600"], "512 or 1024"),
        (["--out", "nowhere/talk.mp4"], "cannot be written"),
    ],
)
def test_bad_input_is_one_clear_line_and_a_non_zero_exit(
    forge: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, words: list[str], says: str
) -> None:
    """Nothing on stdout, no traceback, no file."""
    (tmp_path / "page.png").write_text("<html></html>")
    Image.new("RGB", (300, 300), (120, 90, 60)).save(tmp_path / "wall.png")
    done = forge("demo", *words)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "talk.mp4").exists()


def test_nothing_outlives_a_killed_forge_and_a_busy_port_is_named(tmp_path: Path) -> None:
    """`kill -9`: every child ends by itself. A port that is taken is said before anything is called ready."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [str(Path(sys.executable).with_name("forge")), "up", "--port", str(taken.getsockname()[1])]
        refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "in use" in refused.stderr
    assert "Ready" not in refused.stderr
    command[-1] = "0"
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if "Ctrl-C stops" in line:
                break
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_up_runs_until_ctrl_c_keeps_its_data_and_stops_every_child(tmp_path: Path, portrait_png: bytes) -> None:
    """The token and the curl it prints work; a second run has the same personas; Ctrl-C ends all, with a reason."""
    personas: list[Any] = []
    talk = ""
    for run in range(2):
        command = [
            str(Path(sys.executable).with_name("forge")),
            "up",
            "--port",
            "0",
            *(["--reset"] if run == 0 else []),
        ]
        env = {**os.environ, "COLUMNS": "200"}
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=env) as process:
            try:
                lines: list[str] = []
                assert process.stderr
                for line in process.stderr:
                    lines.append(line)
                    if "Ctrl-C stops" in line:
                        break
                printed = "".join(lines)
                children = psutil.Process(process.pid).children(recursive=True)
                assert len(children) >= 5, printed
                curl = printed[printed.index("curl ") : printed.index("Data and logs")]
                made = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True).stdout
                assert json.loads(made)["name"] == "Ada"
                url = printed.split("#token=")[0].split()[-1].rstrip("/")
                token = printed.split("#token=")[1].split()[0]
                page = httpx.get(url, trust_env=False)
                assert "PersonaForge" in page.text
                headers = {"Authorization": f"Bearer {token}"}
                found = httpx.get(f"{url}/v1/personas", headers=headers, trust_env=False).json()["results"]
                personas.append(len(found))
                forge = command[0]
                with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as http:
                    if run == 0:
                        claude = printed.split("  anthropic   http")[1].split()[0]
                        talk = _stalled_talk(http, f"http{claude}", json.loads(made)["id"], portrait_png)
                    else:
                        ended = http.get(f"/v1/predictions/{talk}").json()
                        assert (ended["status"], ended["receipt"]["error_code"]) == ("failed", "stopped")
                        _look_around(forge, tmp_path)
                process.send_signal(signal.SIGINT)
                assert process.wait(15) == 130
            finally:
                process.kill()
        time.sleep(0.2)
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert personas == [1, 2]
    nothing = subprocess.run([forge, "jobs"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (nothing.returncode, "forge up" in nothing.stderr) == (1, True)


def _stalled_talk(http: httpx.Client, claude: str, persona: str, portrait: bytes) -> str:
    """A talk that Claude stops writing in the middle of."""
    http.put(f"/v1/personas/{persona}/portrait", params={"consent": "true"}, content=portrait).raise_for_status()
    httpx.post(f"{claude}/_faults", json={"path": "/v1", "stall_after": 2}, trust_env=False).raise_for_status()
    body = {"model": "talk", "input": {"persona": persona, "message": "Hello?"}}
    job = http.post("/v1/predictions", json=body).raise_for_status().json()
    while http.get(job["urls"]["get"]).json()["status"] == "starting":
        time.sleep(0.1)
    return str(job["id"])


def _look_around(forge: str, folder: Path) -> None:
    """`forge doctor`, `jobs` and `videos` beside a running `forge up`, for people and as JSON."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([forge, *words], cwd=folder, capture_output=True, text=True, check=False)

    health = run("doctor", "--json")
    assert health.returncode == 0, health.stdout
    assert {check["name"] for check in json.loads(health.stdout)} >= {
        "settings",
        "supabase",
        "migrations",
        "replicate",
        "engine",
    }
    assert all(check["ok"] for check in json.loads(health.stdout))
    assert set(json.loads(run("jobs", "--json").stdout)) == {"recent", "stuck", "failed"}
    assert [one["name"] for one in json.loads(run("videos", "--json").stdout)] == ["Ada", "Ada"]
    assert "ok" in run("doctor").stdout
    assert "recent" in run("jobs").stdout
    (folder / ".env").write_text("SUPABASE_URL=http://127.0.0.1:9\nSUPABASE_SECRET_KEY=x\nSUPABASE_PUBLISHABLE_KEY=x\n")
    broken = run("jobs")
    assert (broken.returncode, "could not be reached" in broken.stderr, "Traceback" in broken.stderr) == (
        1,
        True,
        False,
    )
    (folder / ".env").unlink()
