"""What is sent to break the backend, by kind. `forge attack` runs it; each kind is a module with `attacks(target)`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

KINDS = ("text", "tokens", "ids", "bodies", "headers", "queries", "addresses", "pictures", "sounds", "database")


@dataclass(frozen=True)
class Target:
    """What an attacker has: an account of their own, a persona with a portrait, a finished and a waiting talk."""

    url: str
    token: str
    persona: str
    finished: str
    waiting: str
    database: str | None = None  # PostgREST's address and the publishable key, where they are known
    key: str = ""


@dataclass(frozen=True)
class Attack:
    """One request. statuses: what it may be answered with; none: anything below 500."""

    kind: str
    name: str
    method: str
    path: str
    statuses: tuple[int, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    database: bool = False  # sent to PostgREST, past our functions


def corpus(target: Target) -> Iterator[Attack]:
    """All of them, kind after kind."""
    for kind in KINDS:
        yield from import_module(f"{__name__}.{kind}").attacks(target)
