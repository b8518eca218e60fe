"""The HTTP response of a talk to those who ask for events: its words as they are spoken. The video is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

from fastapi.sse import format_sse_event
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.core.errors import ForgeError
from shared.predictions.work import STOPPED
from shared.runners.execution import Execution, Executions
from shared.runners.live_video import HEADERS

if TYPE_CHECKING:
    from shared.talk.work import TalkWork


class LiveWords(Response):
    """Server-sent events, as Replicate's clients read them: `output` for each word, `error`, `done`.

    The id of a word's event is its time in the video in seconds, "1.280-1.640". Whoever leaves stops nothing.
    """

    media_type = "text/event-stream"

    def __init__(self, executions: Executions, execution: Execution) -> None:
        self._executions, self._execution = executions, execution
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        work = cast("TalkWork", self._execution.work)
        work.backlog.close()  # the video is only kept
        task = self._executions.start(self._execution)
        task.add_done_callback(lambda _: work.stop_words())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for event in self._events(work, task):
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except asyncio.CancelledError:
            self._execution.stop(STOPPED)
            raise
        finally:
            await asyncio.wait([task])  # a container is kept for as long as it answers

    async def _events(self, work: TalkWork, task: asyncio.Task[None]) -> AsyncIterator[bytes]:
        count = 0
        async for word in work.words():
            count += 1
            yield format_sse_event(event="output", id=f"{word.start:.3f}-{word.end:.3f}", data_str=f"{word.symbol} ")
        await asyncio.wait([task])
        if task.cancelled():
            yield format_sse_event(event="done", data_str=json.dumps({"reason": "canceled"}))
        elif error := task.exception():
            detail = error.detail if isinstance(error, ForgeError) else "An unexpected error; it has been logged."
            yield format_sse_event(event="error", data_str=json.dumps({"detail": detail}))
            yield format_sse_event(event="done", data_str=json.dumps({"reason": "error"}))
        else:
            for word_without_time in work.text.split()[count:] if not work.spoken else ():
                yield format_sse_event(event="output", data_str=f"{word_without_time} ")
            yield format_sse_event(event="done", data_str="{}")
