"""What is deployed holds what it needs: each function works in a process with its image's packages alone."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from functions import ENDPOINTS, FUNCTIONS
from local.stack import ROOT, Stack
from shared.media.audio import encode_wav
from shared.media.types import RATE
from tests.support.operator import rest, row_of, signed
from tests.support.person import Person

pytestmark = pytest.mark.slow

LISTS = sorted(path.stem for path in (ROOT / "requirements").glob("*.txt"))
# What a function must not import at its start, as it would take longer than its answer.
HEAVY = {"numpy", "cv2", "av", "anthropic", "elevenlabs", "PIL"}
WORK = """
import asyncio, json, re, sys
from importlib.metadata import packages_distributions

class Image:  # finds nothing that its list does not pin
    def __init__(self, pinned):
        self._pinned, self._owners = pinned, packages_distributions()

    def find_spec(self, name, path=None, target=None):
        owners = {re.sub("[-_.]+", "-", one).lower() for one in self._owners.get(name.partition(".")[0], ())}
        if owners and not owners & self._pinned:
            raise ModuleNotFoundError(f"No module named {name!r} in this image", name=name)

sys.meta_path.insert(0, Image(set(sys.argv[2].split(","))))
from functions import ENDPOINTS, load
name, work = sys.argv[1], json.loads(sys.stdin.read())
module = load(name)
found = {"loaded": [], "answers": []}

def loaded():
    found["loaded"] = sorted({module.partition(".")[0] for module in sys.modules})

async def endpoint():
    import base64, httpx
    app = module.build()
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=work["headers"]) as http:
            assert (await http.get("/openapi.json")).status_code == 200
            loaded()
            for method, path, body, more in work["requests"]:
                given = {"content": base64.b64decode(body)} if isinstance(body, str) else {"json": body} if body else {}
                answer = await http.request(method, path, headers=more, **given)
                while answer.is_success and "json" in answer.headers["content-type"] and \\
                        method == "GET" and answer.json().get("status") in ("starting", "processing"):
                    await asyncio.sleep(0.3)
                    answer = await http.get(path)
                text = answer.text if "json" in answer.headers["content-type"] else str(len(answer.content))
                found["answers"].append([answer.status_code, text])

if name in ENDPOINTS:
    asyncio.run(endpoint())
else:
    loaded()
    found["answers"] = [repr(asyncio.run(getattr(module, name).local(*work["arguments"])))]
print(json.dumps(found))
"""
Request = tuple[str, str, Any, dict[str, str]]


def image_of(name: str) -> str:
    found = re.search(r"image=(\w+)_image", (ROOT / "functions" / f"{name}.py").read_text())
    assert found
    return {"studio": "talk"}.get(found[1], found[1])


def pins(packages: str) -> dict[str, str]:
    """What a list pins, with the versions."""
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", _list(packages), re.M))


class Deployment:
    """Functions as their containers run them, on the stack's services. run: a function's work, with its answers."""

    def __init__(self, stack: Stack, person: Person) -> None:
        self.stack, self.person = stack, person

    def run(self, name: str, *requests: Request, arguments: tuple[Any, ...] = (), **settings: str) -> Any:
        environment = {
            **self.stack.settings, "PATH": os.environ["PATH"], "NO_PROXY": "*", "PYTHONPATH": str(ROOT), **settings,
        }  # fmt: skip
        headers = {"authorization": f"Bearer {self.person.token}"}
        work = json.dumps({"headers": headers, "requests": requests, "arguments": arguments})
        command = [sys.executable, "-c", WORK, name, ",".join(pins(image_of(name)))]
        done = subprocess.run(
            command, cwd="/", env=environment, input=work, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        if name not in ("talk", "worker"):
            assert not HEAVY & set(found["loaded"])
        assert not {"local", "tests", "uvicorn", "pytest", "torch"} & set(found["loaded"])
        return found["answers"]

    def unheard(self, model: str, **given: Any) -> dict[str, Any]:
        """A hosted job, started by the function itself, whose provider reaches nobody when it is done."""
        request: Request = ("POST", "/v1/predictions", {"model": model, "input": given}, {})
        [[status, text]] = self.run("create_prediction", request, FORGE_URL="http://127.0.0.1:9")
        assert status in (201, 202), text
        return dict(json.loads(text))


@pytest.fixture
def deployment(stack: Stack, sign_up: Callable[[], Person]) -> Deployment:
    return Deployment(stack, sign_up())


def ok(answers: list[list[Any]]) -> list[Any]:
    assert all(status in (200, 201, 202, 204) for status, _ in answers), answers
    return [json.loads(text) if text.startswith(("{", "[")) else text for _, text in answers]


def test_a_persona_gets_its_picture_and_its_voice(deployment: Deployment, portrait_png: bytes) -> None:
    """`personas` decodes pictures, finds faces and asks for voices."""
    persona = deployment.person.persona()
    picture = base64.b64encode(portrait_png).decode()
    shown, voices = ok(deployment.run(
        "personas", ("PUT", f"/v1/personas/{persona['id']}/portrait?consent=true", picture, {}),
        ("GET", "/v1/voices", None, {}),
    ))  # fmt: skip
    assert shown["face"]
    assert voices["results"]


def test_jobs_at_providers_are_started_and_kept(deployment: Deployment, portrait_png: bytes) -> None:
    """`create_prediction` speaks and uploads; `prediction_status`, `webhooks` and `reconcile` each keep a result."""
    own = deployment.person.persona(portrait_png)["id"]
    spoken = deployment.unheard("lipsync", persona=own, say="Good evening.")
    [kept] = ok(deployment.run("prediction_status", ("GET", f"/v1/predictions/{spoken['id']}", None, {})))
    assert kept["status"] == "succeeded", kept["error"]

    drawn = deployment.unheard("portrait", persona=own, prompt="an old miller")
    time.sleep(2)  # the stand-in draws that long
    body = json.dumps({"id": row_of(deployment.stack, {"id": own})["provider_id"]}).encode()
    at, headers = f"/v1/webhooks/replicate/{drawn['id']}", signed(deployment.stack, body)
    ok(deployment.run("webhooks", ("POST", at, base64.b64encode(body).decode(), headers)))
    assert deployment.person.http.get(f"/v1/predictions/{drawn['id']}").json()["status"] == "succeeded"

    deployment.unheard("clip", scene="A lighthouse in a storm.")
    assert "'failed': 0" in deployment.run("reconcile")[0]


def test_a_talk_streams_and_a_worker_makes_loops(deployment: Deployment, portrait_png: bytes) -> None:
    """`talk` answers with its video, `worker` draws, `pregenerate` begins what is missing."""
    own = deployment.person.persona(portrait_png)["id"]
    talk = deployment.person.talk(own, message="Who are you?")
    [[status, size]] = deployment.run("talk", ("GET", httpx.URL(talk["urls"]["stream"]).path, None, {}))
    assert (status, int(size) > 50_000) == (200, True)
    body = {"model": "talk", "input": {"persona": own, "say": "Good evening."}, "stream": True}
    waiting = deployment.person.http.post("/v1/predictions", json=body).raise_for_status().json()
    row = row_of(deployment.stack, {"id": own})
    assert deployment.run("worker", arguments=(row["id"],)) == ["'succeeded'"]
    assert deployment.person.look(waiting)["status"] == "succeeded"
    assert int(deployment.run("pregenerate")[0]) >= 0


def test_films_credits_and_the_gallery_need_no_media(deployment: Deployment, portrait_png: bytes) -> None:
    """`projects`, `gallery`, `billing`, `payments` and `analytics`; `producer` does what is next of a project."""
    own = deployment.person.persona(portrait_png)["id"]
    music = {"content": ("bed.wav", encode_wav(np.zeros(RATE, np.int16)), "audio/wav")}
    kept = deployment.person.http.post("/v1/files", files=music).raise_for_status().json()["urls"]["get"]
    given = {"idea": "why the sea is salt", "persona": own, "seconds": 15, "shapes": ["square"], "music": kept}
    project, page = ok(
        deployment.run("projects", ("POST", "/v1/projects", given, {}), ("GET", "/v1/projects", None, {}))
    )
    assert [one["id"] for one in page["results"]] == [project["id"]]
    with rest(deployment.stack) as service:  # one that nobody was told of
        row = {"owner": deployment.person.id, "persona_id": own, "input": {**given, "music": None}}
        unseen = service.post("/projects", json=row).raise_for_status().json()[0]["id"]
        deployment.run("producer", arguments=(unseen,))
        assert service.get("/projects", params={"id": f"eq.{unseen}"}).json()[0]["waiting_for"] == "script"
    [shown] = ok(deployment.run("gallery", ("GET", "/v1/gallery", None, {})))
    assert "results" in shown
    sold, order = ok(deployment.run(
        "billing", ("GET", "/v1/billing", None, {}), ("POST", "/v1/billing/checkout", {"pack": "small"}, {})
    ))  # fmt: skip
    assert sold
    assert order["url"].startswith("http")
    for name in ("payments", "analytics"):
        deployment.run(name)


def test_every_function_is_among_those_above() -> None:
    """A new one gets its work here; the GPU's has tests of its own."""
    told = set(re.findall(r'"(\w+)"', Path(__file__).read_text()))
    assert set(FUNCTIONS) - {"lipsync"} <= told
    assert set(ENDPOINTS) < set(FUNCTIONS)


def test_smaller_images_are_parts_of_larger_ones_by_the_same_versions() -> None:
    """A function that touches no media has nothing that decodes, draws or speaks; vendors are where they are called."""
    for smaller, larger in (("thin", "payments"), ("thin", "media"), ("media", "voices"), ("voices", "talk")):
        assert pins(smaller).items() < pins(larger).items()
    assert not {"numpy", "av", "opencv-python-headless", "pillow", "c2pa-python", "stripe"} & set(pins("thin"))
    assert not {"elevenlabs", "anthropic", "stripe"} & set(pins("media"))
    assert {name for name in LISTS if "torch" in pins(name)} == {"gpu"}


def _list(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def test_the_lists_are_what_the_command_exports(tmp_path: Path) -> None:
    """`requirements/export`, as docs/deploy.md names it, with hashes and without the name of any index."""
    (tmp_path / "requirements").mkdir()
    for file in ("pyproject.toml", "README.md", "requirements/export"):
        shutil.copy(ROOT / file, tmp_path / file)
    done = subprocess.run(
        ["bash", "requirements/export"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    for name in LISTS:
        text = (tmp_path / "requirements" / f"{name}.txt").read_text()
        assert text == _list(name), f"requirements/{name}.txt is not what pyproject.toml asks for"
        assert text.count("--hash=sha256:") >= len(re.findall("^[a-z].*==", text, re.M))
        assert "://" not in text
