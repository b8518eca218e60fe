"""What is deployed holds what it needs: each function in a process of its own, with its image's packages alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from functions import ENDPOINTS, FUNCTIONS
from local.stack import ROOT, Stack

pytestmark = pytest.mark.slow

# The packages that thin functions must not import at their start, as it would take longer than their answer.
HEAVY = {"numpy", "cv2", "av", "anthropic", "elevenlabs", "PIL"}
START = """
import asyncio, json, sys
from functions import ENDPOINTS, load
name = sys.argv[1]
module = load(name)
found = {}
if name in ENDPOINTS:
    import httpx
    app = module.build()
    async def start():
        async with app.router.lifespan_context(app):
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://here") as http:
                return (await http.get("/openapi.json")).status_code
    found["answered"] = asyncio.run(start())
found["loaded"] = sorted({module.partition(".")[0] for module in sys.modules})
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def pythons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of environments with what each image's requirements pin, and nothing else."""
    return {file: _environment(file, tmp_path_factory) for file in ("requirements.txt", "requirements-thin.txt")}


def _environment(file: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv:
        pytest.skip("uv is not here to make a second environment")
    home = tmp_path_factory.mktemp("image")
    interpreter = home / "bin" / "python"
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(home)],
        [uv, "pip", "install", "--quiet", "--python", str(interpreter), "--require-hashes", "-r", file],
    ):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return interpreter


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_starts_with_the_packages_of_its_image_alone(
    stack: Stack, pythons: dict[str, Path], name: str
) -> None:
    """It is imported, opens its services and answers; the thin ones load nothing heavy until they need it."""
    environment = {**stack.settings, "PATH": os.environ["PATH"], "NO_PROXY": "*", "PYTHONPATH": str(ROOT)}
    thin = "thin_image" in (ROOT / "functions" / f"{name}.py").read_text()
    command = [str(pythons["requirements-thin.txt" if thin else "requirements.txt"]), "-c", START, name]
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    if name in ENDPOINTS:
        assert found["answered"] == 200
    if name not in ("talk", "worker", "lipsync"):
        assert not HEAVY & set(found["loaded"])
    assert not {"local", "tests", "uvicorn", "pytest", "torch"} & set(found["loaded"])


def test_the_thin_image_is_a_part_of_the_other_by_the_same_versions() -> None:
    """And under half its size: nothing that decodes, draws or speaks."""
    pins = re.compile(r"^([a-z0-9.-]+)==(\S+)", re.M)
    thin, whole = (
        dict(pins.findall((ROOT / file).read_text())) for file in ("requirements-thin.txt", "requirements.txt")
    )
    assert thin.items() <= whole.items()
    assert not {"numpy", "av", "opencv-python-headless", "elevenlabs", "anthropic", "pillow", "c2pa-python"} & set(thin)
