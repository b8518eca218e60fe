"""Every function behind one origin, as the router in front of a deployment does it, and the player page."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from functions import create_prediction, gallery, models, personas, prediction_status, talk, webhooks
from shared.core.errors import NotFound
from shared.core.web import problem_response

# Requests and films share this process. A film's thread, back from encoding, waits this long (s) for the interpreter
# while requests keep it busy: at the usual 5 ms, a page that polls in earnest stops all films.
sys.setswitchinterval(0.0005)
_PAGE = Path(__file__).parent.parent / "web" / "index.html"


class Gateway:
    """Hands each request to the function that has a route for it."""

    def __init__(self) -> None:
        self._apps: list[FastAPI] = [
            create_prediction.create_prediction.local(),
            prediction_status.prediction_status.local(),
            talk.talk.local(),
            personas.personas.local(),
            gallery.gallery.local(),
            models.models.local(),
            webhooks.webhooks.local(),
        ]
        self._own = Starlette(routes=[Route("/", self._page)], lifespan=self._lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] == "/":
            return await self._own(scope, receive, send)
        # A browser asks with OPTIONS before it sends a token; the answer is the same for every method.
        asked = {**scope, "method": dict(scope["headers"]).get(b"access-control-request-method", b"").decode()}
        wanted = asked if scope["method"] == "OPTIONS" else scope
        matches = [(self._match(app, wanted), app) for app in self._apps]
        for level in (Match.FULL, Match.PARTIAL):
            for match, app in matches:
                if match == level:
                    return await app({**scope, "app": app}, receive, send)
        return await problem_response(NotFound("There is nothing at this address."), scope["path"])(
            scope, receive, send
        )

    @staticmethod
    def _match(app: FastAPI, scope: Scope) -> Match:
        documents = ("/openapi.json", "/docs", "/redoc", "/docs/oauth2-redirect")
        routes = [route for route in app.router.routes if getattr(route, "path", "") not in documents]
        return max((route.matches(scope)[0] for route in routes), key=lambda match: match.value, default=Match.NONE)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for app in self._apps:
                await stack.enter_async_context(app.router.lifespan_context(app))
            yield

    @staticmethod
    async def _page(_: Request) -> Response:
        return FileResponse(_PAGE)


app = Gateway()
