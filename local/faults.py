"""Failures on demand: every stand-in can be told over HTTP to fail for its next n calls.

GET /_faults                                 what is still to come
POST /_faults {"path": "/v1/messages", "calls": 3, "status": 529, "retry_after": 2}
POST /_faults {"delay_s": 4}                 answer late
POST /_faults {"cut_after": 5}               break the connection after 5 pieces of the body
POST /_faults {"end_after": 5}               end the body there as if it were complete
POST /_faults {"stall_after": 5}             send 5 pieces, then nothing more
POST /_faults {"stuck": true}                jobs: accepted, but in `processing` for ever
POST /_faults {"code": "empty"}              without a status: something of the vendor's own, see its file
DELETE /_faults                              well again
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass
class Fault:
    """What goes wrong with calls whose path starts with `path`, for the next `calls` of them."""

    path: str = "/"
    calls: int = 1
    status: int = 0
    code: str = ""
    retry_after: int | None = None
    delay_s: float = 0.0
    cut_after: int | None = None
    end_after: int | None = None
    stall_after: int | None = None
    stuck: bool = False


class Faults:
    """Middleware that carries out faults. `refusal` makes the vendor's own error body for a status."""

    def __init__(self, app: ASGIApp, refusal: Callable[[int, str], dict[str, Any]]) -> None:
        self._app, self._refusal = app, refusal
        self._faults: list[Fault] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if scope["path"] == "/_faults":
            return await self._control(Request(scope, receive), send)
        fault = self.due(scope["path"])
        if fault is None:
            return await self._app(scope, receive, send)
        await asyncio.sleep(fault.delay_s)
        if fault.status:
            headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
            body = self._refusal(fault.status, fault.code)
            headers |= {"request-id": body["request_id"]} if "request_id" in body else {}
            return await JSONResponse(body, fault.status, headers=headers)(scope, receive, send)
        scope["stuck"], scope["code"] = fault.stuck, fault.code
        return await self._app(scope, receive, _broken(send, fault))

    def due(self, path: str) -> Fault | None:
        """What goes wrong with this call, if anything."""
        for fault in self._faults:
            if fault.calls > 0 and path.startswith(fault.path):
                fault.calls -= 1
                return fault
        return None

    async def _control(self, request: Request, send: Send) -> None:
        if request.method == "DELETE":
            self._faults.clear()
        unknown: set[str] = set()
        if request.method == "POST":
            body = json.loads(await request.body())
            unknown = set(body) - {field.name for field in fields(Fault)}
            if not unknown:
                self._faults.append(Fault(**body))
        remaining = {"faults": [asdict(fault) for fault in self._faults if fault.calls > 0]}
        response = JSONResponse({"unknown": sorted(unknown)}, 422) if unknown else JSONResponse(remaining)
        await response(request.scope, request.receive, send)


class Cut(Exception):  # raised on purpose: the server then breaks the connection off
    """The connection is to break here."""


def _broken(send: Send, fault: Fault) -> Send:
    pieces = 0

    async def sending(message: Message) -> None:
        nonlocal pieces
        if message["type"] == "http.response.body":
            if fault.cut_after is not None and pieces >= fault.cut_after:
                raise Cut
            if fault.end_after is not None and pieces >= fault.end_after:
                if pieces > fault.end_after:
                    return
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            if fault.stall_after is not None and pieces >= fault.stall_after:
                await asyncio.sleep(3600)
            pieces += 1
        await send(message)

    return sending
