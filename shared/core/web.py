"""What every HTTP function has in common: its clients, its errors as problem+json, a limit on bodies, CORS."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.core import telemetry
from shared.core.auth import Authenticator, User
from shared.core.errors import BodyTooLarge, ForgeError, InvalidInput, MethodNotAllowed, NotFound, Unauthenticated
from shared.core.settings import SUPABASE, Settings
from shared.core.store import Store
from shared.core.tls import certificates

log = logging.getLogger("personaforge")
KIB, MIB = 1024, 1024**2


@dataclass(frozen=True)
class Context:
    """A container's clients, opened when it starts and closed when it ends. `services`: what the function adds."""

    settings: Settings
    store: Store
    authenticator: Authenticator
    services: Any = None


def function_app(
    title: str,
    *,
    needs: tuple[str, ...] = SUPABASE,
    body_limit: int = 64 * KIB,
    open_bodies: bool = False,
    settings: Settings | None = None,
    services: Callable[[Context], AbstractAsyncContextManager[Any]] | None = None,
    polled: str = "",
    check: Callable[[Settings], None] | None = None,
) -> FastAPI:
    """A FastAPI app for one function.

    needs: its settings; while one is missing or wrong, every request is answered with that (500), so that nobody waits
    for a function that cannot start. body_limit in bytes. open_bodies: bodies of callers without a token are read too.
    services: opened before the first request, left before the other clients close. polled: see telemetry.Observed.
    check: of settings that only this function can judge; raises ForgeError.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        chosen = settings or Settings.from_environment()
        telemetry.configure()
        try:
            chosen.validate(*needs)
            if check:
                check(chosen)
        except ForgeError as error:
            log.error("%s cannot start: %s", title, error.detail)
            app.state.problem = error
            yield
            return
        async with httpx.AsyncClient(timeout=10, verify=certificates()) as http, Store.open(chosen) as store:
            context = Context(chosen, store, Authenticator(chosen, http))
            try:
                async with services(context) if services else nullcontext() as opened:
                    app.state.context = replace(context, services=opened)
                    yield
            finally:
                await asyncio.to_thread(telemetry.flush)

    app = _Documented(
        title=f"PersonaForge {title}", version="1", lifespan=lifespan, redirect_slashes=False, responses=PROBLEM
    )
    app.add_middleware(_Head)
    app.add_middleware(_UnexpectedErrors)
    app.add_middleware(_BodyLimit, limit=body_limit, state=None if open_bodies else app.state)
    origins = (settings or Settings.from_environment()).forge_origins
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[one.strip().rstrip("/") for one in origins.split(",")] if origins else ["*"],
        allow_methods=["*"],
        allow_headers=["*"],
        max_age=3600,
        expose_headers=["Retry-After"],
    )  # tokens travel in a header, never in a cookie
    app.add_middleware(telemetry.Observed, function=title, polled=polled)
    app.add_exception_handler(ForgeError, _forge_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    return app


# Dependencies are coroutines even when they wait for nothing: others are run on a thread, at every request.
async def _context(request: Request) -> Context:
    if problem := getattr(request.app.state, "problem", None):
        raise type(problem)(problem.detail)  # a new one: the same would grow with every request
    context: Context = request.app.state.context
    return context


async def _user(request: Request, context: Annotated[Context, Depends(_context)]) -> User:
    return await context.authenticator.user(request.headers.get("authorization"))


ContextDep = Annotated[Context, Depends(_context)]
CurrentUser = Annotated[User, Depends(_user)]


class Problem(BaseModel):
    """What went wrong, with which input, and what to do (RFC 9457)."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="What to branch on; see the tree in shared/core/errors.py.")
    retryable: bool
    instance: str = ""


PROBLEM: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Problem",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


class _Documented(FastAPI):
    """Adds the schema of problems, which every operation refers to, to the OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        return document


class _ProblemResponse(JSONResponse):
    media_type = "application/problem+json"

    def render(self, content: Any) -> bytes:
        """As ASCII: what is quoted from a request may not be text that UTF-8 can write."""
        return json.dumps(content, separators=(",", ":")).encode()


def problem_response(error: ForgeError, path: str) -> JSONResponse:
    """The error as problem+json. From 500 up it is logged with its chain of causes."""
    if error.status >= 500:
        log.error("%s in %s", error.code, path, exc_info=error)
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {}
    if "retry_after" in error.extra:
        headers["Retry-After"] = str(error.extra["retry_after"])
    return _ProblemResponse(error.problem(path), error.status, headers=headers)


async def _forge_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ForgeError)
    return problem_response(error, request.url.path)


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fields = [
        {"at": ".".join(str(part) for part in found["loc"]), "message": found["msg"].removeprefix("Value error, ")}
        for found in error.errors()
    ]
    if isinstance(error.body, bytes):  # not read as JSON
        fields = [{"at": "body", "message": "it was not read as JSON; send Content-Type: application/json"}]
    detail = "; ".join(f"{field['at']}: {field['message']}" for field in fields[:5])
    return problem_response(InvalidInput(detail, fields=fields[:20]), request.url.path)


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return problem_response(NotFound("There is nothing at this address."), request.url.path)
    if error.status_code == 405:
        return problem_response(MethodNotAllowed(f"{request.method} is not possible here."), request.url.path)
    return problem_response(InvalidInput(str(error.detail)), request.url.path)


class _Head:
    """A HEAD is answered as a GET, without the body. `scope["head"]` tells those that would start something."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET", "head": True}
        await self._app(scope, receive, send)  # the server leaves the body out


class _UnexpectedErrors:
    """Answers an error that nobody foresaw. Inside of CORS, so that browsers may read it; the connection stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            problem = ForgeError("An unexpected error; it has been logged.")
            problem.__cause__ = error
            await problem_response(problem, scope["path"])(scope, receive, send)


class _BodyLimit:
    """Refuses bodies over the limit, declared or not, and those of strangers, before anything else reads them."""

    def __init__(self, app: ASGIApp, limit: int, state: State | None) -> None:
        """state: the app's, whose authenticator is asked before a body is read; None where anybody may send one."""
        self._app, self._limit, self._state = app, limit, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._limit:
            return await self._refuse(scope, receive, send)
        if scope["method"] in ("GET", "HEAD", "OPTIONS", "DELETE"):
            return await self._app(scope, receive, send)
        context: Context | None = getattr(self._state, "context", None)
        if context:
            try:
                await context.authenticator.user(dict(scope["headers"]).get(b"authorization", b"").decode("latin-1"))
            except ForgeError as error:
                return await problem_response(error, scope["path"])(scope, receive, send)
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
