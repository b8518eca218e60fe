"""The HTTP response of a talk: its bytes as they are made."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any, cast

from fastapi import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from shared.core.errors import Conflict
from shared.predictions.work import HUNG_UP, STOPPED, Ending
from shared.runners.execution import Execution, Executions

HEADERS = {  # of whatever is sent while it is made: nobody on the way keeps or collects it
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
PROBE = 1.0  # seconds within which a listener who only looks what it is leaves again, as ffprobe and link previews do
STOPPING = 0.25  # seconds: a container that is stopped disconnects its listeners and cancels what it does, in any order
PATIENCE = 60.0  # seconds within which a listener takes a chunk, and after the last frame the rest; else it is let go

if TYPE_CHECKING:
    from shared.talk.work import TalkWork


class LiveVideo(Response):
    """A listener who hangs up cancels the talk (barge-in); after one who only probed it goes on, and is kept.

    A talk that fails half-way breaks the connection off, so that no player takes half an answer for a whole one.
    As events, for proxies that collect other bodies: the same bytes in base64 as `media`, then `done`.
    """

    media_type = "video/mp4"

    def __init__(
        self,
        execution: Execution,
        task: asyncio.Task[None],
        first: bytes,
        watching: asyncio.Task[None],
        *,
        events: bool = False,
    ) -> None:
        self._execution: Execution | None = execution
        self._task, self._first, self._watching = task, first, watching
        work = cast("TalkWork", execution.work)
        self._backlog = work.backlog
        self._whole, self._ends = False, float("inf")  # once the task is done; when all must have been taken
        from shared.media.video import mime

        self._events = events
        super().__init__(headers=HEADERS, media_type="text/event-stream" if events else mime(first))
        del self.headers["content-length"]
        task.add_done_callback(self._made)

    def _made(self, task: asyncio.Task[None]) -> None:
        """Let go of all that the talk was made with: a slow listener may still take the bytes for minutes."""
        assert self._execution
        work = cast("TalkWork", self._execution.work)
        self._whole = not task.cancelled() and task.exception() is None and work.whole
        self._ends = time.monotonic() + work.seconds + PATIENCE
        self._watching.cancel()
        self._execution = None

    @classmethod
    def empty(cls) -> Response:
        """Its head alone."""
        return Response(headers=HEADERS, media_type=cls.media_type)

    @classmethod
    async def begin(
        cls, executions: Executions, execution: Execution, request: Request, *, events: bool = False
    ) -> Response:
        """Wait for the first bytes; a talk that fails before them raises its error instead, or NoVideo."""
        work = cast("TalkWork", execution.work)
        task = executions.start(execution)
        task.add_done_callback(lambda _: work.backlog.end())
        watching = asyncio.create_task(_watch(request, execution))
        try:
            first = await work.backlog.get()
            if first is not None:
                return cls(execution, task, first, watching, events=events)
            listener_left = watching.done()
            watching.cancel()
            await asyncio.wait([task])
        except asyncio.CancelledError:
            watching.cancel()
            execution.stop(STOPPED)
            raise
        if listener_left:
            return Response(status_code=499)  # nobody is there any more
        if task.cancelled():
            raise Conflict("This talk was ended from outside before its first frame.")
        task.result()
        raise work.no_video()

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        async def give(message: Message) -> None:
            async with asyncio.timeout(min(PATIENCE, self._ends - time.monotonic())):
                await send(message)

        try:
            await give({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            chunk: bytes | None = self._first
            while chunk is not None:
                body = _event("media", b64encode(chunk).decode()) if self._events else chunk
                await give({"type": "http.response.body", "body": body, "more_body": True})
                chunk = await self._backlog.get()
            await asyncio.wait([self._task])
            if self._whole:
                await send({"type": "http.response.body", "body": _event("done", "{}") if self._events else b""})
        except asyncio.CancelledError:
            self._watching.cancel()
            self._stop(STOPPED)  # a listener who leaves is noticed otherwise: the server ends its requests
            raise
        except BaseException:
            self._stop(HUNG_UP)
            raise
        finally:
            self._watching.cancel()
            self._backlog.close()
            await asyncio.wait([self._task])

    def _stop(self, ending: Ending) -> None:
        if self._execution:
            self._execution.stop(ending)


def _event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


async def _watch(request: Request, execution: Execution) -> None:
    """End the talk when its listener has closed the connection."""
    opened = time.monotonic()
    message: Any = {}
    while message.get("type") != "http.disconnect":
        message = await request.receive()
    if time.monotonic() - opened < PROBE:
        return
    await asyncio.sleep(STOPPING)
    execution.stop(HUNG_UP)
