"""The process in which spawned functions run on a laptop, as their containers do on Modal."""

from __future__ import annotations

import asyncio
import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from functions import load
from shared.talk.runtime import TALKS

os.nice(5)  # on Modal it has cores of its own; here those who listen come first
_inputs = asyncio.Semaphore(TALKS)  # as many as Modal gives one container


async def _call(request: Request) -> Response:
    name = request.path_params["function"]
    async with _inputs:
        return JSONResponse(await getattr(load(name), name).local(*await request.json()))


app = Starlette(routes=[Route("/{function}", _call, methods=["POST"])])
