"""The API as the command line calls it: as any client would, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console
from rich.status import Status

from local.stack import Stack

console = Console(stderr=True, highlight=False)


class Refused(Exception):
    """The backend answered with a problem; the text is its explanation."""


@dataclass
class Client:
    """status: what is shown while it works."""

    http: httpx.Client
    status: Status

    def ask(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        answer = self.http.request(method, path, **arguments)
        if answer.is_error:
            raise refusal(answer)
        found: dict[str, Any] = answer.json()
        return found

    def portrait(self, persona: str) -> None:
        body = {"model": "personaforge/portrait", "input": {"persona": persona}}
        job = self.ask("POST", "/v1/predictions", json=body, headers={"Prefer": "wait=60"})
        while job["status"] in ("starting", "processing"):
            time.sleep(1)
            job = self.ask("GET", job["urls"]["get"])
        if job["status"] != "succeeded":
            raise Refused(f"The portrait {job['status']}: {job['error']}")


@contextmanager
def connected(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {stack.user()}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=180, trust_env=False) as http:
        yield http


def refusal(answer: httpx.Response) -> Refused:
    try:
        problem = answer.json()
        return Refused(f"{problem['title']}: {problem['detail']}")
    except (ValueError, KeyError):
        return Refused(f"The backend answered {answer.status_code}.")
