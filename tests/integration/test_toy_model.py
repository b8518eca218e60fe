"""A new model is one file, and one row of the table that the database decides by."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.stack import ROOT

pytestmark = pytest.mark.slow

MODEL = '''
"""personaforge/echo: the text, once more."""

from uuid import uuid4

from pydantic import Field

from shared.models.model import Input, Model
from shared.predictions.outcome import Outcome
from shared.predictions.receipt import Receipt
from shared.predictions.work import Work
from shared.runners.spawned import Spawned


class EchoInput(Input):
    """What is to be heard again."""

    text: str = Field(min_length=1, max_length=100)


class Echo(Work):
    def __init__(self, services, prediction):
        self._store, self._prediction = services.store, prediction

    async def run(self, ends):
        self.text = self._prediction.input["text"] * 2

    async def keep(self):
        owner = self._prediction.owner
        path = f"{owner}/{uuid4().hex}.txt"
        await self._store.put(path, self.text.encode(), "text/plain", owner=owner)
        return Outcome("succeeded", output=path, text=self.text, receipt=Receipt(cost_usd=0.003), files=(path,))


async def make_work(services, prediction, user):
    return Echo(services, prediction)


MODEL = Model(name="echo", code=200, input=EchoInput, runner=Spawned(make_work), reserve=5, output="video")
'''
ROW = "insert into public.models (name, code, reserve) values ('echo', 200, 5);\n"
RUN = """
import json, sys
from pathlib import Path
from local.stack import Stack
with Stack(Path(sys.argv[1])) as stack:
    print(json.dumps({"url": stack.url, "token": stack.user(), "supabase": stack.settings["SUPABASE_URL"],
                      "key": stack.settings["SUPABASE_PUBLISHABLE_KEY"]}), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A whole stack of a copy of this project with one file more."""
    copy = tmp_path_factory.mktemp("project")
    for folder in ("functions", "shared", "local", "supabase", "web"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / ".forge").mkdir()
    (copy / ".forge" / "node").symlink_to(ROOT / ".forge" / "node")
    (copy / "shared" / "models" / "echo.py").write_text(MODEL)
    (copy / "supabase" / "migrations" / "20990101000000_echo.sql").write_text(ROW)
    command = [sys.executable, "-c", RUN, str(copy / "data")]
    with subprocess.Popen(command, cwd=copy, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdin
        yield json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_toy_model_runs_from_end_to_end(toy: dict[str, Any]) -> None:
    """Listed with its schema, checked, reserved, spawned, kept, charged: nothing else had to know of it."""
    headers = {"Authorization": f"Bearer {toy['token']}"}
    with httpx.Client(base_url=toy["url"], headers=headers, timeout=30, trust_env=False) as http:
        names = [model["name"] for model in http.get("/v1/models").json()["results"]]
        assert names == ["talk", "portrait", "lipsync", "idle", "clip", "loop", "echo"]
        body = {"input": {"text": "Hello? "}}
        refused = http.post("/v1/models/personaforge/echo/predictions", json={"input": {"text": ""}})
        assert (refused.status_code, "input.text" in refused.json()["detail"]) == (422, True)
        made = http.post("/v1/models/personaforge/echo/predictions", json=body).raise_for_status().json()
        assert (made["model"], made["status"], made.get("persona")) == ("personaforge/echo", "starting", None)
        limit = time.monotonic() + 20
        while (done := http.get(made["urls"]["get"]).json())["status"] != "succeeded" and time.monotonic() < limit:
            time.sleep(0.1)
        assert (done["status"], done["text"]) == ("succeeded", "Hello? Hello? ")
        assert httpx.get(done["output"], trust_env=False).text == "Hello? Hello? "
        assert http.get("/v1/gallery").json()["results"] == []
    rest = {"apikey": toy["key"], **headers}
    lines = httpx.get(f"{toy['supabase']}/rest/v1/usage?order=id", headers=rest, trust_env=False).json()
    assert [(line["kind"], float(line["credits"])) for line in lines] == [
        ("grant", 5000), ("reserve", -5), ("release", 5), ("charge", -3),
    ]  # fmt: skip
