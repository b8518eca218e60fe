"""Every function behind one origin, as the router in front of a deployment does it, and the player page."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Match, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions import ENDPOINTS, load
from local.routes import PAGE_HEADERS
from local.users import USER, user_token
from shared.core.errors import NotFound, ProviderFailed, Unauthenticated
from shared.core.web import problem_response

SESSION = "/local/session"
_PAGE = Path(__file__).parent.parent / "web" / "dist"


class Forward:
    """Hands requests on to a function in a process of its own; the bytes pass as they come."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=3700, trust_env=False)  # as the function's own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A listener who leaves is one whom the function sees leave; a function that breaks off ends the response."""
        path = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        request = self._http.build_request(scope["method"], path.decode(), headers=scope["headers"])
        passing, leaving = asyncio.create_task(self._pass(request, scope, send)), asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            passing.cancel()
            await asyncio.wait({passing})
        if not passing.cancelled():
            passing.result()

    async def _pass(self, request: httpx.Request, scope: Scope, send: Send) -> None:
        begun = False
        try:
            response = await self._http.send(request, stream=True)
            try:
                status, headers = response.status_code, response.headers.raw
                await send({"type": "http.response.start", "status": status, "headers": headers})
                begun = True
                async for chunk in response.aiter_raw():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            if not begun:
                problem = ProviderFailed("modal", f"The function could not be reached ({type(error).__name__}).")
                await problem_response(problem, scope["path"])(scope, _nothing, send)

    async def close(self) -> None:
        await self._http.aclose()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


class Gateway:
    """Hands each request to the function that has a route for it.

    apart: URLs of functions that run in processes of their own, by name.
    """

    def __init__(self, apart: dict[str, str]) -> None:
        self._functions: list[FastAPI] = [getattr(load(name), name).local() for name in ENDPOINTS]
        self._forwards = {
            id(app): Forward(apart[name]) for name, app in zip(ENDPOINTS, self._functions, strict=True) if name in apart
        }
        routes = [
            Route(SESSION, _session, methods=["POST"]),
            Mount("/assets", StaticFiles(directory=_PAGE / "assets", check_dir=False)),
            Route("/{file:path}", _page),
        ]
        self._own = Starlette(routes=routes, lifespan=self._lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_page(scope):
            return await self._own(scope, receive, send)
        # A browser asks with OPTIONS before it sends a token; the answer is the same for every method.
        asked = dict(scope["headers"]).get(b"access-control-request-method", b"").decode()
        method = {"OPTIONS": asked, "HEAD": "GET"}.get(scope["method"], scope["method"])
        wanted = {**scope, "method": method}
        matches = [(self._match(app, wanted), app) for app in self._functions]
        for level in (Match.FULL, Match.PARTIAL):
            for match, app in matches:
                if match == level:
                    target: ASGIApp = self._forwards.get(id(app), app)
                    return await target({**scope, "app": app}, receive, send)
        problem = problem_response(NotFound("There is nothing at this address."), scope["path"])
        problem.headers["Access-Control-Allow-Origin"] = "*"
        return await problem(scope, receive, send)

    @staticmethod
    def _is_page(scope: Scope) -> bool:
        asked = scope["method"] in ("GET", "HEAD") or scope["path"] == SESSION
        return asked and not scope["path"].startswith("/v1/")

    @staticmethod
    def _match(app: FastAPI, scope: Scope) -> Match:
        documents = ("/openapi.json", "/docs", "/redoc", "/docs/oauth2-redirect")
        routes = [route for route in app.router.routes if getattr(route, "path", "") not in documents]
        return max((route.matches(scope)[0] for route in routes), key=lambda match: match.value, default=Match.NONE)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for app in self._functions:
                if forward := self._forwards.get(id(app)):
                    stack.push_async_callback(forward.close)
                else:
                    await stack.enter_async_context(app.router.lifespan_context(app))
            yield


async def _page(request: Request) -> Response:
    """The page; what is no file of it is a place in it."""
    wanted = _PAGE / request.path_params["file"]
    file = wanted if wanted.parent == _PAGE and wanted.is_file() else _PAGE / "index.html"
    return FileResponse(file, headers={**PAGE_HEADERS, "Cache-Control": "no-cache"})


async def _session(request: Request) -> Response:
    """Signs the page in as the one user that there is here. Not for pages of other origins."""
    password = os.environ.get("LOCAL_PASSWORD")
    same = request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
    # The name too: another's may be made to mean this machine.
    if not password or not same or request.url.hostname not in ("127.0.0.1", "localhost"):
        return problem_response(NotFound("Open this page itself, on 127.0.0.1, to sign in."), request.url.path)
    token = await asyncio.to_thread(user_token, os.environ, password, USER)
    if not token:
        return problem_response(Unauthenticated(f"Supabase gives no token for {USER}."), request.url.path)
    return JSONResponse({"access_token": token}, headers={"Cache-Control": "no-store"})


app = Gateway({"talk": os.environ["TALK_URL"]} if "TALK_URL" in os.environ else {})
