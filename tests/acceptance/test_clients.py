"""Replicate's official clients, unmodified: only their base URL and token are ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import replicate

from local.node_packages import install, locked, node
from local.stack import ROOT, Stack
from tests.support.person import Person

pytestmark = pytest.mark.slow

CLIENTS = ROOT / "tests" / "clients"


def calls(*command: str) -> dict[str, str | None]:
    """What each call of a client's script came to: None, or what went wrong."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150, cwd=Path("/"))
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def javascript(script: str, *arguments: str) -> dict[str, str | None]:
    home = ROOT / ".forge" / "clients"
    with locked(home):
        install(CLIENTS / "package.json", home)
    shutil.copy(CLIENTS / script, home)
    return calls(node(), str(home / script), *arguments)


@pytest.fixture
def caller(stack: Stack, person: Person, persona: dict[str, Any]) -> tuple[str, str, str]:
    """What every script is given: our address, a token, a persona's id."""
    return stack.url, person.token, persona["id"]


def failed(found: dict[str, str | None]) -> dict[str, str | None]:
    return {name: problem for name, problem in found.items() if problem}


def test_every_documented_call_of_python_1_works(caller: tuple[str, str, str]) -> None:
    """33 calls: `run` in its forms, predictions, models, versions, files as inputs, pages, events, progress."""
    found = calls(sys.executable, str(CLIENTS / "calls_v1.py"), *caller)
    assert (failed(found), len(found)) == ({}, 33)


def test_every_documented_call_of_the_python_beta_works(caller: tuple[str, str, str]) -> None:
    """19 calls, in an environment of its own."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv:
        pytest.skip("uv is not here to make a second environment")
    command = [uv, "run", "--no-project", "--isolated", "--with", "replicate==2.0.0b4", "python"]
    found = calls(*command, str(CLIENTS / "calls_v2.py"), *caller)
    assert (failed(found), len(found)) == ({}, 19)


def test_every_documented_call_of_javascript_works(caller: tuple[str, str, str]) -> None:
    """31 calls, webhooks and their validation among them."""
    found = javascript("calls.mjs", *caller)
    assert (failed(found), len(found)) == ({}, 31)


def test_vercels_ai_sdk_makes_pictures_and_videos(caller: tuple[str, str, str]) -> None:
    """`generateImage` and `generateVideo`, with inputs that no model of ours knows."""
    found = javascript("ai.mjs", *caller)
    assert (failed(found), len(found)) == ({}, 4)


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


def test_a_wait_that_ends_early_says_starting_and_the_job_goes_on(person: Person, persona: dict[str, Any]) -> None:
    """`run` polls on only when the status is `starting`; the talk is not lost."""
    body = {"model": "personaforge/talk", "input": {"persona": persona["id"], "message": "Stars, in 90 seconds."}}
    early = person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=1"})
    assert (early.status_code, early.json()["status"]) == (202, "starting")
    found = person.look(early.json())
    while found["status"] in ("starting", "processing"):
        found = person.look(found)
    assert found["status"] == "succeeded"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our own npm package, built of openapi.json and the player's source as they are, and its examples."""
    tmp_path, home = tmp_path_factory.mktemp("package"), ROOT / "clients" / "typescript"
    with locked(home):
        install(home / "package.json", home, develop=True)
    for folder in ("clients/typescript", "web"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("node_modules", "dist", ".next")
        )
    shutil.copy(ROOT / "openapi.json", tmp_path)
    package = tmp_path / "clients" / "typescript"
    (package / "node_modules").symlink_to(home / "node_modules")
    modules = home / "node_modules"
    for step in (
        ["openapi-typescript/bin/cli.js", "../../openapi.json", "--default-non-nullable=false", "-o", "src/openapi.ts"],
        ["typescript/bin/tsc"],
        ["vite/bin/vite.js", "build", "--config", "vite.config.ts", "--logLevel", "warn"],
        ["typescript/bin/tsc", "-p", "tsconfig.element.json"],
    ):
        command = [node(), str(modules / step[0]), *step[1:]]
        done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return package


def test_our_own_package_is_built_and_calls_everything(caller: tuple[str, str, str], package: Path) -> None:
    """Types, client and <persona-video> in one."""
    exports = json.loads((package / "package.json").read_text())["exports"].values()
    assert all((package / file).exists() for one in exports for file in one.values())
    found = calls(node(), str(CLIENTS / "typescript.mjs"), *caller, str(package / "dist" / "index.js"))
    assert (failed(found), len(found)) == ({}, 6)


def test_the_example_for_nextjs_builds_with_the_package(package: Path) -> None:
    """Its types fit the client's and the element's, and its page is prerendered."""
    example = package / "examples" / "nextjs"
    install(example / "package.json", example, develop=True)
    command = [node(), str(example / "node_modules" / "next" / "dist" / "bin" / "next"), "build"]
    environment = {**os.environ, "NEXT_TELEMETRY_DISABLED": "1"}
    done = subprocess.run(command, cwd=example, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (example / ".next" / "server" / "app" / "index.html").exists()
