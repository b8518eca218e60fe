"""The functions in a process of their own, to be watched, slowed down and killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from local.stack import ROOT, Stack, free_port
from tests.support.person import Person
from tests.support.proxy import Proxy


class Container:
    """The functions in a process of their own, whose Supabase is seen through a proxy."""

    def __init__(self, stack: Stack, log: Path, **settings: str) -> None:
        self.proxy = Proxy(stack.settings["SUPABASE_URL"])
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        env = {
            **stack.settings,
            "SUPABASE_URL": self.proxy.url,
            "FORGE_URL": self.url,
            "PATH": "/usr/bin",
            "NO_PROXY": "*",
            **settings,
        }
        command = [sys.executable, "-m", "uvicorn", "local.gateway:app", "--port", str(port), "--log-level", "warning"]
        command += ["--timeout-graceful-shutdown", "1", "--timeout-keep-alive", "65"]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
        while True:
            assert self.process.poll() is None, log.read_text()
            try:
                httpx.get(self.url, trust_env=False)
                return
            except httpx.TransportError:
                time.sleep(0.05)

    def answers(self) -> bool:
        """Whether it still works: a test may have ended it."""
        try:
            return self.process.poll() is None and httpx.get(self.url, trust_env=False).status_code < 500
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.proxy.close()

    def client(self, person: Person) -> httpx.Client:
        headers = {"Authorization": f"Bearer {person.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


def start_unheard(stack: Stack, person: Person, persona: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A portrait that the provider has finished, but whose webhook never arrived."""
    container = Container(stack, folder / "unheard.log", FORGE_URL="http://127.0.0.1:9")
    try:
        with container.client(person) as http:
            body = {"model": "portrait", "input": {"persona": persona["id"], "prompt": "an old miller"}}
            job = http.post("/v1/predictions", json=body).raise_for_status().json()
    finally:
        container.close()
    time.sleep(2)
    return dict(job)
