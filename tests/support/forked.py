"""Functions of Modal in processes of their own, forked from one that has imported everything they need."""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [
        "anthropic",
        "elevenlabs",
        "postgrest",
        "storage3",
        "shared.lipsync.cpu.engine",
        "shared.studio.stages",
        "functions.analytics",
        "functions.payments",
        "functions.pregenerate",
        "functions.producer",
        "functions.reconcile",
        "functions.worker",
    ]
)


def begin(function: str, settings: dict[str, str], *given: Any) -> ForkServerProcess:
    """The function of that name is called with what is given, under these settings alone; it may be killed."""
    return _begin(function, settings, given)[0]


def call(function: str, settings: dict[str, str], *given: Any) -> Any:
    """What the function returns. Its own words and errors are where pytest shows those of a process.

    Raises RuntimeError for one that raised.
    """
    process, answer = _begin(function, settings, given)
    try:
        return answer.recv()
    except EOFError:
        raise RuntimeError(f"{function} raised; see its words") from None
    finally:
        process.join()


def process(work: Callable[..., None], *given: Any) -> ForkServerProcess:
    """Any work, in a process of its own."""
    begun = _forks.Process(target=work, args=given, daemon=True)
    begun.start()
    return begun


def _begin(function: str, settings: dict[str, str], given: tuple[Any, ...]) -> tuple[ForkServerProcess, Connection]:
    answer, told = _forks.Pipe(duplex=False)
    process = _forks.Process(target=_run, args=(told, function, settings, given), daemon=True)
    process.start()
    told.close()
    return process, answer


def _run(told: Connection, function: str, settings: dict[str, str], given: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(settings, PATH="/usr/bin", NO_PROXY="*")
    found = getattr(importlib.import_module(f"functions.{function}"), function)
    told.send(asyncio.run(found.local(*given)))
