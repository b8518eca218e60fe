"""Processor time of a container's start, by function, over that of a FastAPI app that does nothing.

    uv run python -m bench.cold_start [--json] [--rounds 5]

Each start is a process of its own on the embedded stack: it imports the function and opens its services, as Modal does.
Modal's own client (0.16 s) is imported before the clock starts, for the bare app as for ours: its containers have it.
Of `talk`, whose memory Modal restores from a snapshot taken after its imports, also what comes after them: from opening
its services to the first bytes of a talk. Elapsed time depends on the machine's other work, so processor time is told.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from bench.load import make_person
from bench.machine import parser, report
from functions import ENDPOINTS
from local.portrait import draw
from local.stack import ROOT, Stack

CHILD = """
import asyncio, json, os, sys, time
import modal._container_entrypoint
name, address, token = sys.argv[1:]
began = time.process_time()
if name == "bare":
    from fastapi import FastAPI
    app = FastAPI()
else:
    if name == "talk":
        import modal
        modal.is_local = lambda: False  # as in a container of Modal's
    from functions import load
    module = load(name)
    imported = time.process_time()
    app = module.build()
found = {}
async def start():
    async with app.router.lifespan_context(app):
        found["ready"] = time.process_time() - began
        if address:
            import httpx
            path = httpx.URL(address).path
            scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path,
                     "raw_path": path.encode(), "query_string": b"", "scheme": "http", "root_path": "",
                     "headers": [(b"host", b"here"), (b"authorization", f"Bearer {token}".encode())],
                     "client": ("127.0.0.1", 1), "server": ("here", 80)}
            answered = asyncio.Event()
            async def receive():
                await asyncio.Event().wait()
            async def send(message):
                if message.get("body"):
                    answered.set()
            task = asyncio.create_task(app(scope, receive, send))
            await asyncio.wait_for(answered.wait(), 60)
            found["first_answer"] = time.process_time() - imported
            print(json.dumps(found), flush=True)
            os._exit(0)
        print(json.dumps(found))
asyncio.run(start())
"""


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rounds", type=int, default=5)
    args = arguments.parse_args()
    ready: dict[str, list[float]] = {name: [] for name in ("bare", *ENDPOINTS)}
    restored: list[float] = []
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        person = make_person(stack, draw("a friendly woman with auburn hair"))
        for _ in range(args.rounds):
            for name, taken in ready.items():
                taken.append(_start(stack, name)["ready"])
            body = {"model": "talk", "stream": True, "input": {"persona": person.persona, "message": "Who are you?"}}
            made = httpx.post(f"{stack.url}/v1/predictions", json=body, headers=person.headers, trust_env=False)
            address = made.raise_for_status().json()["urls"]["stream"]
            restored.append(_start(stack, "talk", address, person.token)["first_answer"])
    bare = statistics.median(ready.pop("bare"))
    over = {name: round(statistics.median(taken) - bare, 2) for name, taken in ready.items()}
    after = round(statistics.median(restored), 2)
    figures = {"bare_s": round(bare, 2), "over_fastapi_s": over, "talk_restored_s": after}
    details = [f"{name}: {min(taken):.2f} to {max(taken):.2f} s" for name, taken in ready.items()]
    report(args, figures, [*details, f"talk, restored: {min(restored):.2f} to {max(restored):.2f} s"])


def _start(stack: Stack, name: str, address: str = "", token: str = "") -> dict[str, float]:
    environment = {**stack.settings, "PATH": os.environ["PATH"], "NO_PROXY": "*", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CHILD, name, address, token]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
