"""Work in our own container: whatever happens, the prediction ends and no file is orphaned."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime

from shared.core.errors import DeadlineOver, ForgeError, NotFound
from shared.core.time import format_time
from shared.predictions.heartbeat import INTERVAL, Heartbeat, Heartbeats
from shared.predictions.lifecycle import Lifecycle
from shared.predictions.outcome import Outcome
from shared.predictions.prediction import Prediction
from shared.predictions.work import CANCEL_AFTER, CANCELED, DEADLINE, STOPPED, UNEXPECTED, Ending, Work

log = logging.getLogger("personaforge.execution")


class Execution:
    """One claimed prediction being worked on: heartbeats, a deadline, and exactly one settlement."""

    def __init__(self, lifecycle: Lifecycle, heartbeats: Heartbeats, prediction: Prediction, work: Work) -> None:
        self._lifecycle, self._heartbeats, self._prediction, self.work = lifecycle, heartbeats, prediction, work
        self._ending: Ending | None = None
        self._begun = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Work in a task of its own, which raises what `run` does."""
        self._task = asyncio.create_task(self._run())
        return self._task

    async def run(self) -> None:
        """Work until it is settled. Raises the error that ended it; cancelling means that the server stops."""
        task = self.start()
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            self.stop(STOPPED)
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            raise

    def stop(self, ending: Ending) -> None:
        """End it early; what has succeeded already stays so."""
        self._ending = self._ending or ending
        if self._task and self._begun:  # a task that has not begun would end without settling
            self._task.cancel()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + (self._prediction.deadline - datetime.now(UTC)).total_seconds()
        self._begun = True
        beating = asyncio.create_task(self._beat())
        try:
            if self._ending:
                raise asyncio.CancelledError
            async with asyncio.timeout_at(ends):
                await self.work.run(ends)
            # From here on the result exists: hanging up does not undo it.
            beating.cancel()
            await _uninterrupted(self._keep())
        except asyncio.CancelledError:
            await self._end(self._ending or STOPPED)
            raise
        except TimeoutError as error:
            await self._end(CANCEL_AFTER if self._prediction.cancel_after else DEADLINE)
            raise DeadlineOver(DEADLINE.reason) from error
        except ForgeError as error:
            at_fault = error.status < 500  # the request: what was used until then is charged
            await self._end(Ending("failed", error.detail, error.code, charged=at_fault))
            raise
        except Exception:
            log.exception("prediction %s failed unexpectedly", self._prediction.id)
            await self._end(UNEXPECTED)
            raise
        finally:
            beating.cancel()

    async def _keep(self) -> None:
        await self._lifecycle.settle(self._prediction.id, await self.work.keep())

    async def _end(self, ending: Ending) -> None:
        await _uninterrupted(self._settle(self.work.ended(ending)))

    async def _settle(self, outcome: Outcome) -> None:
        await self._lifecycle.settle(self._prediction.id, outcome)

    async def _beat(self) -> None:
        """Say that it is being worked on, until its owner asks to stop or somebody else has settled it."""
        prediction = self._prediction
        started_at = format_time(prediction.started_at) if prediction.started_at else None
        reachable, noted = False, ""
        while True:
            # A database that is slow is not to be asked by all who poll as well.
            try:
                async with asyncio.timeout(INTERVAL):
                    current = await self._lifecycle.read(prediction.id, expire=False)
                wanted = not (current.cancel_requested or current.finished)
                reachable = True
            except NotFound:  # removed with its persona
                wanted = False
            except (ForgeError, TimeoutError):
                wanted = True
            if not wanted:
                self.stop(CANCELED)
                return
            if reachable:
                logs = self.work.logs
                await self._heartbeats.send(prediction.id, Heartbeat("processing", started_at, logs))
                if logs != noted:
                    with suppress(ForgeError):
                        await self._lifecycle.note_logs(prediction, logs)
                        noted = logs
            await asyncio.sleep(INTERVAL)


class Executions:
    """Those of this container, to be ended before it is."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[None], Execution] = {}

    def start(self, execution: Execution) -> asyncio.Task[None]:
        task = execution.start()
        self._running[task] = execution
        task.add_done_callback(self._running.pop)
        return task

    async def stop(self) -> None:
        """End all, each settled with the reason; waits for at most ten seconds, as long as Modal does."""
        running = dict(self._running)
        for execution in running.values():
            execution.stop(STOPPED)
        if running:
            await asyncio.wait(running, timeout=10)


async def _uninterrupted(work: Coroutine[None, None, None]) -> None:
    """Await work that must not be left half done, however often this task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()
