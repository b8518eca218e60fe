"""A producer in a process that may be killed at any moment, forked from one that has imported everything."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from multiprocessing.context import ForkServerProcess

import anthropic  # noqa: F401
import elevenlabs  # noqa: F401
import postgrest  # noqa: F401
import storage3  # noqa: F401

import shared.lipsync.cpu.engine
import shared.studio.stages  # noqa: F401
from functions.producer import producer

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])


def begin(project: str, settings: dict[str, str]) -> ForkServerProcess:
    """Work on a project, in a process of its own."""
    process = _forks.Process(target=_work, args=(project, settings), daemon=True)
    process.start()
    return process


def _work(project: str, settings: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(settings)
    asyncio.run(producer.local(project))
