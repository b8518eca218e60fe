"""The process in which spawned functions run on a laptop, as their containers do on Modal."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from functions import load
from shared.talk.runtime import TALKS

os.nice(15)  # on Modal it has cores of its own; here those who listen come first
_inputs = asyncio.Semaphore(TALKS)  # as many as Modal gives one container
_calls: set[asyncio.Task[Any]] = set()


async def _call(request: Request) -> Response:
    name, arguments = request.path_params["function"], await request.json()
    async with _inputs:
        call = asyncio.create_task(getattr(load(name), name).local(*arguments))
        _calls.add(call)
        call.add_done_callback(_calls.discard)
        return JSONResponse(await call)


@asynccontextmanager
async def _ending(_: Starlette) -> AsyncIterator[None]:
    """Calls that are cut off settle what they worked on before the process ends."""
    yield
    if _calls:
        await asyncio.wait(_calls, timeout=10)


app = Starlette(routes=[Route("/{function}", _call, methods=["POST"])], lifespan=_ending)
