"""Replicate's official clients, unmodified: only their base URL and token are ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import replicate
import replicate.exceptions

from local.stack import ROOT, Stack, install_node_packages, node
from tests.support.person import Person

pytestmark = pytest.mark.slow

CLIENTS = ROOT / "tests" / "clients"


@pytest.fixture
def client(stack: Stack, person: Person):  # type: ignore[no-untyped-def]
    found = replicate.Client(api_token=person.token, base_url=stack.url)
    yield found
    found._client.close()


def test_python_1_runs_waits_reloads_lists_and_cancels(
    client: replicate.Client, persona: dict[str, Any], decode: Callable[[bytes], Any]
) -> None:
    """Version and model forms, `run`, `wait`, `reload`, `list` with pages, `cancel`, `models.get`."""
    import httpx

    given = {"persona": persona["id"], "say": "Driven from Python."}
    output = client.run("personaforge/talk", input=given)
    assert decode(httpx.get(str(output), trust_env=False).content).video_seconds > 1
    assert str(client.run("personaforge/talk:talk", input=given)).startswith("http")
    made = client.predictions.create(version="talk", input=given)
    made.wait()
    assert made.status == "succeeded"
    waiting = client.models.predictions.create("personaforge/talk", input=given, stream=True)
    assert waiting.status == "starting"
    waiting.cancel()
    waiting.reload()
    assert waiting.status == "canceled"
    page = client.predictions.list()
    assert {made.id, waiting.id} <= {one.id for one in page.results}
    model = client.models.get("personaforge/talk")
    schemas = model.latest_version.openapi_schema["components"]["schemas"]
    assert {"persona", "message", "say", "size"} == set(schemas["Input"]["properties"])
    assert schemas["Output"]["format"] == "uri"


def test_python_1_follows_pages(sign_up: Callable[[], Person], stack: Stack, portrait_png: bytes) -> None:
    """`paginate` gives every prediction once."""
    person = sign_up()
    persona = person.persona(portrait_png)
    made = {person.talk(persona["id"], say=str(number))["id"] for number in range(55)}
    found = replicate.Client(api_token=person.token, base_url=stack.url)
    seen = [one.id for page in replicate.paginate(found.predictions.list) for one in page]
    found._client.close()
    assert len(seen) == 55
    assert set(seen) == made


def test_python_1_gets_our_errors_as_its_own(client: replicate.Client, persona: dict[str, Any], fault: Any) -> None:
    """problem+json becomes a ReplicateError with status and detail; a failed talk becomes a ModelError."""
    with pytest.raises(replicate.exceptions.ReplicateError) as wrong:
        client.run("personaforge/talk", input={"persona": persona["id"]})
    assert (wrong.value.status, "either" in wrong.value.detail) == (422, True)
    fault("elevenlabs", path="/v1", status=429, calls=3)
    with pytest.raises(replicate.exceptions.ModelError) as failed:
        client.run("personaforge/talk", input={"persona": persona["id"], "say": "Hi."})
    assert "elevenlabs" in str(failed.value)


def test_a_wait_that_ends_early_says_starting_and_the_job_goes_on(person: Person, persona: dict[str, Any]) -> None:
    """`run` polls on only when the status is `starting`; the talk is not lost."""
    body = {"model": "personaforge/talk", "input": {"persona": persona["id"], "message": "Stars, in 90 seconds."}}
    early = person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=1"})
    assert (early.status_code, early.json()["status"]) == (202, "starting")
    found = person.look(early.json())
    while found["status"] in ("starting", "processing"):
        found = person.look(found)
    assert found["status"] == "succeeded"


def test_javascript_drives_it_too(stack: Stack, person: Person, persona: dict[str, Any]) -> None:
    """npm replicate: `run`, `create`, `wait`, `cancel`, `paginate`, `models.get`, `validateWebhook`, errors."""
    home = ROOT / ".forge" / "clients"
    install_node_packages(CLIENTS / "package.json", home)
    shutil.copy(CLIENTS / "client.mjs", home)
    command = [node(), str(home / "client.mjs"), stack.url, person.token, persona["id"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["output"].endswith(".mp4")
    assert (seen["waited"], seen["canceled"], seen["missing"], seen["ids"]) == ("succeeded", "canceled", 404, True)
    assert seen["valid"] == {"genuine": True, "changed": False}
    assert seen["listed"] == seen["unique"] > 2
    assert seen["stream"].startswith(stack.url)
    assert set(seen["inputs"]) == {"persona", "message", "say", "size"}


def test_the_beta_of_the_python_client_drives_it(stack: Stack, person: Person, persona: dict[str, Any]) -> None:
    """replicate 2.0 beta, in an environment of its own."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv:
        pytest.skip("uv is not here to make a second environment")
    command = [uv, "run", "--no-project", "--isolated", "--with", "replicate==2.0.0b4", "python"]
    command += [str(CLIENTS / "client_v2.py"), stack.url, person.token, persona["id"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=Path("/"))
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    output = seen.pop("output")
    assert output.endswith(".mp4")
    assert seen == {
        "waited": "succeeded", "polled": "succeeded", "canceled": "canceled", "listed": True, "missing": 404,
    }  # fmt: skip
