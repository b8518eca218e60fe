"""What every HTTP function has in common: its clients, its errors as problem+json, a limit on bodies, CORS."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.core import telemetry
from shared.core.auth import Authenticator, User
from shared.core.errors import BodyTooLarge, ForgeError, InvalidInput, MethodNotAllowed, NotFound, Unauthenticated
from shared.core.settings import Settings
from shared.core.store import Store
from shared.providers.replicate import Replicate

log = logging.getLogger("personaforge")
KIB, MIB = 1024, 1024**2


@dataclass(frozen=True)
class Context:
    """A container's clients, opened when it starts and closed when it ends."""

    settings: Settings
    store: Store
    authenticator: Authenticator

    @cached_property
    def replicate(self) -> Replicate:
        """Made when it is first used: its SDK takes half a second to import."""
        return Replicate(self.settings)

    async def close(self) -> None:
        if "replicate" in self.__dict__:
            await self.replicate.close()


def function_app(
    title: str,
    body_limit: int = 64 * KIB,
    settings: Settings | None = None,
    around: Callable[[Context], AbstractAsyncContextManager[None]] | None = None,
) -> FastAPI:
    """A FastAPI app for one function.

    body_limit in bytes; around is entered before the first request and left
    before the clients close."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        chosen = settings or Settings.from_environment()
        telemetry.configure()
        async with httpx.AsyncClient(timeout=10) as http, Store.open(chosen) as store:
            context = app.state.context = Context(chosen, store, Authenticator(chosen, http))
            try:
                async with around(context) if around else nullcontext():
                    yield
            finally:
                await context.close()
                await asyncio.to_thread(telemetry.flush)

    app = FastAPI(title=f"PersonaForge {title}", version="1", lifespan=lifespan, redirect_slashes=False)
    app.add_middleware(_BodyLimit, limit=body_limit)
    app.add_middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"], max_age=3600
    )  # tokens travel in a header, never in a cookie
    app.add_middleware(telemetry.Observed, function=title)
    app.add_exception_handler(ForgeError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)
    return app


# Dependencies are coroutines even when they wait for nothing: others are run on a thread, at every request.
async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _user(request: Request, context: Annotated[Context, Depends(_context)]) -> User:
    return await context.authenticator.user(request.headers.get("authorization"))


ContextDep = Annotated[Context, Depends(_context)]
CurrentUser = Annotated[User, Depends(_user)]


def problem_response(error: ForgeError, path: str) -> JSONResponse:
    """The error as problem+json."""
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {}
    if "retry_after" in error.extra:
        headers["Retry-After"] = str(error.extra["retry_after"])
    return JSONResponse(error.problem(path), error.status, headers=headers, media_type="application/problem+json")


async def _problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ForgeError)
    return problem_response(error, request.url.path)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fields = [
        {"at": ".".join(str(part) for part in found["loc"]), "message": found["msg"].removeprefix("Value error, ")}
        for found in error.errors()
    ]
    if isinstance(error.body, bytes):  # not read as JSON
        fields = [{"at": "body", "message": "it was not read as JSON; send Content-Type: application/json"}]
    detail = "; ".join(f"{field['at']}: {field['message']}" for field in fields[:5])
    return problem_response(InvalidInput(detail, fields=fields[:20]), request.url.path)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return problem_response(NotFound("There is nothing at this address."), request.url.path)
    if error.status_code == 405:
        return problem_response(MethodNotAllowed(f"{request.method} is not possible here."), request.url.path)
    return problem_response(InvalidInput(str(error.detail)), request.url.path)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.exception("unexpected error in %s", request.url.path, exc_info=error)
    return problem_response(ForgeError("An unexpected error; it has been logged."), request.url.path)


class _BodyLimit:
    """Refuses bodies over the limit, declared or not, before anything else reads them."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._limit:
            return await self._refuse(scope, receive, send)
        if scope["method"] not in ("POST", "PUT", "PATCH"):
            return await self._app(scope, receive, send)
        # Bodies are small by contract, so the whole one is taken before the function sees the first byte.
        messages: list[Message] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return None
            size += len(message.get("body", b""))
            if size > self._limit:
                return await self._refuse(scope, receive, send)
            more = message.get("more_body", False)
            messages.append(message)

        async def replay() -> Message:
            return messages.pop(0) if messages else await receive()

        return await self._app(scope, replay, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = f"{self._limit // MIB} MiB" if self._limit >= MIB else f"{self._limit // KIB} KiB"
        error = BodyTooLarge(f"The body may have at most {limit} here.")
        await problem_response(error, scope["path"])(scope, receive, send)
