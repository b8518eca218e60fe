"""Working on a project: claimed under a lease, step by step, each of which is made once whatever happens in between."""

from __future__ import annotations

import asyncio
import errno
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from pydantic import ValidationError

from shared.billing.prices import CREDIT
from shared.core import telemetry
from shared.core.errors import ForgeError, OutOfCredits, ProviderFailed, StoreUnavailable
from shared.core.store import Store
from shared.providers.modal import Modal
from shared.studio.project import Decision, Project

log = logging.getLogger("personaforge.production")
HEARTBEAT = 15.0  # seconds; a lease lasts sixty
PAUSES = (10, 60, 300)  # seconds before a stage is tried again
PATIENT = 300  # seconds that a provider asks for, beyond which it is waited for as long as it takes
GATE_OPEN = timedelta(days=7)
_AT_ONCE = 20  # projects that one pass of the schedule wakes


@dataclass(frozen=True)
class Made:
    """What a step made: its result (small JSON), what it cost, and the files that the project keeps."""

    result: Any
    cost_usd: float = 0.0
    files: tuple[str, ...] = ()


class LeaseLost(ForgeError):
    """Another worker has the project by now."""

    code, status, title = "lease_lost", 409, "Another worker has this project"


class Canceled(ForgeError):
    """Its owner wants no more of it."""

    code, status, title = "canceled", 409, "This project was canceled"


@dataclass(frozen=True)
class Advance:
    """Go on with this stage. output: what the project shows from now on."""

    stage: str
    output: dict[str, Any] | None = None


@dataclass(frozen=True)
class Wait:
    """Stop until a person has decided."""

    gate: str


@dataclass(frozen=True)
class Later:
    """Rest for some seconds: somebody else is still at work on it."""

    seconds: float


@dataclass(frozen=True)
class Finish:
    """It is done. output: what the project shows for it."""

    output: dict[str, Any]


Next = Advance | Wait | Later | Finish


@dataclass
class Production:
    """A project that this worker holds. `results`: of its finished steps, by stage and key."""

    store: Store
    project: Project
    by: UUID
    results: dict[tuple[str, str], Any] = field(default_factory=dict)
    decisions: dict[tuple[str, int], Decision] = field(default_factory=dict)  # by gate and round

    @classmethod
    async def claim(cls, store: Store, project: UUID | None = None) -> Production | None:
        """Take a project; None when another worker has it, or there is nothing to do."""
        by = uuid4()
        found = await store.call("claim_project", {"p_by": str(by), "p_id": str(project) if project else None})
        if not found:
            return None
        try:
            read = Project.from_row(found["project"])
        except ValidationError:  # it was created past the backend
            problem = {"code": "error", "detail": "Its row cannot be read."}
            arguments = {"p_id": found["project"]["id"], "p_by": str(by), "p_status": "failed", "p_stage": "scripts"}
            await store.call("move_project", {**arguments, "p_error": problem})
            return None
        results = {(step["stage"], step["key"]): step["result"] for step in found["steps"]}
        decided = [Decision.model_validate(row) for row in found["decisions"]]
        decisions: dict[tuple[str, int], Decision] = {(one.gate, one.round): one for one in decided}
        return cls(store, read, by, results, decisions)

    async def step(self, stage: str, key: str, at_most_usd: float, make: Callable[[], Awaitable[Made]]) -> Any:
        """The result of a step, made now unless it is there. at_most_usd: reserved first.

        Raises what `make` raises, once that is noted; OutOfCredits, LeaseLost, Canceled.
        """
        if (stage, key) in self.results:
            return self.results[stage, key]
        begun = await self._call("begin_step", p_stage=stage, p_key=key, p_credits=round(at_most_usd / CREDIT, 3))
        if begun["done"]:
            self.results[stage, key] = begun["result"]
            return begun["result"]
        if not begun["paid"]:
            raise OutOfCredits(f"The next step takes up to {at_most_usd / CREDIT:.0f} credits. Add some, then retry.")
        try:
            made = await make()
        except ForgeError as error:
            problem = {"code": error.code, "detail": error.detail}
            spent = float(error.extra.get("spent_usd", 0))
            await self._end(stage, key, p_result=None, p_error=problem, p_cost_usd=round(spent, 6))
            raise
        cost, files = round(made.cost_usd, 6), list(made.files)
        await self._end(stage, key, p_result=made.result, p_error=None, p_cost_usd=cost, p_files=files)
        self.results[stage, key] = made.result
        return made.result

    async def _end(self, stage: str, key: str, **arguments: Any) -> None:
        """What was bought is not lost with an answer: asked again, as ending a step twice does no harm."""
        for pause in (0.2, 1.0, 5.0, None):
            try:
                await self._call("end_step", p_stage=stage, p_key=key, **arguments)
                return
            except StoreUnavailable:
                if pause is None:
                    raise
                await asyncio.sleep(pause)

    async def hold(self) -> None:
        """Make sure that the project is still this worker's, and wanted. Raises LeaseLost, Canceled."""
        await self._call("extend_lease")

    async def together(self, steps: Iterable[Awaitable[Any]]) -> list[Any]:
        """Several at once. What is finished stays finished when one fails."""
        done = await asyncio.gather(*steps, return_exceptions=True)
        for one in done:
            if isinstance(one, BaseException):
                raise one
        return done

    def decided(self, gate: str) -> Decision | None:
        """What a person decided at this gate, in this round."""
        return self.decisions.get((gate, self.project.round))

    def of(self, stage: str, key: str = "") -> Any:
        """The result of a step that an earlier stage has made."""
        return self.results[stage, key]

    async def run(self, stages: dict[str, Callable[[Production], Awaitable[Next]]]) -> None:
        """Go through the stages until a gate, the end, or an error that only time or a person mends."""
        beating = asyncio.create_task(self._beat(asyncio.current_task()))
        try:
            await self._through(stages)
        except LeaseLost:
            log.info("project %s is another worker's by now", self.project.id)
        except (Canceled, asyncio.CancelledError):
            await self.store.call("end_canceled", {"p_id": str(self.project.id), "p_by": str(self.by)})
        finally:
            beating.cancel()

    async def _through(self, stages: dict[str, Callable[[Production], Awaitable[Next]]]) -> None:
        try:
            while True:
                telemetry.set_stage(self.project.stage)
                if self.project.stage not in stages:
                    problem = {
                        "code": "newer_pipeline",
                        "detail": "A newer version of this backend began this project.",
                    }
                    return await self._stop("failed", problem)
                found = await stages[self.project.stage](self)
                if isinstance(found, Advance):
                    await self._move("working", found.stage, output=found.output)
                    told = {"stage": found.stage, "attempt": 1, "output": found.output or self.project.output}
                    self.project = self.project.model_copy(update=told)
                elif isinstance(found, Later):
                    return await self._move("ready", self.project.stage, wake=timedelta(seconds=found.seconds))
                elif isinstance(found, Wait):
                    return await self._move("waiting", self.project.stage, waiting_for=found.gate, gate=GATE_OPEN)
                else:
                    return await self._move("succeeded", self.project.stage, output=found.output)
        except (LeaseLost, Canceled):
            raise
        except OutOfCredits as error:
            problem = {"code": error.code, "detail": error.detail}
            await self._move("waiting", self.project.stage, waiting_for="credits", error=problem)
        except ForgeError as error:
            await self._failed(error)
        except Exception as error:
            log.exception("project %s failed unexpectedly", self.project.id)
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                problem = {"code": "disk_full", "detail": "The worker's disk is full. What was made is kept: retry."}
                return await self._stop("failed", problem)
            await self._stop("failed", {"code": "error", "detail": "An unexpected error; it has been logged."})

    async def _failed(self, error: ForgeError) -> None:
        problem = {"code": error.code, "detail": error.detail}
        asked = float(error.extra.get("retry_after", 0))
        if error.retryable and asked > PATIENT:  # for a day's quota, for example: that is no failed attempt
            pause = asked * random.uniform(1, 1.02)  # noqa: S311  # spread, not secret
            await self._move("ready", self.project.stage, wake=timedelta(seconds=pause), error=problem, patient=True)
        elif error.retryable and self.project.attempt <= len(PAUSES):
            pause = max(PAUSES[self.project.attempt - 1] * random.uniform(0.8, 1.2), asked)  # noqa: S311
            await self._move("ready", self.project.stage, wake=timedelta(seconds=pause), error=problem)
        else:
            log.error("project %s has failed", self.project.id, exc_info=error)
            await self._stop("failed", problem)

    async def _stop(self, status: str, problem: dict[str, str]) -> None:
        await self._move(status, self.project.stage, error=problem)

    async def _move(
        self,
        status: str,
        stage: str,
        *,
        waiting_for: str | None = None,
        gate: timedelta | None = None,
        wake: timedelta = timedelta(),
        error: dict[str, str] | None = None,
        output: dict[str, Any] | None = None,
        patient: bool = False,
    ) -> None:
        await self._call(
            "move_project", p_status=status, p_stage=stage, p_waiting_for=waiting_for,
            p_gate=_interval(gate) if gate else None, p_wake=_interval(wake), p_error=error, p_output=output,
            p_patient=patient,
        )  # fmt: skip

    async def _beat(self, working: asyncio.Task[Any] | None) -> None:
        """Keep the lease; stop the work when it is lost or not wanted any more."""
        while True:
            await asyncio.sleep(HEARTBEAT)
            try:
                await self._call("extend_lease")
            except (LeaseLost, Canceled):
                if working:
                    working.cancel()
                return
            except ForgeError as error:
                log.warning("the lease of project %s could not be extended: %s", self.project.id, error.detail)

    async def _call(self, function: str, **arguments: Any) -> Any:
        body = {"p_id": str(self.project.id), "p_by": str(self.by), **arguments}
        try:
            return await self.store.call(function, body)
        except ForgeError as error:
            if error.code == "lease_lost" or "another worker has this project" in error.detail.lower():
                raise LeaseLost(error.detail) from error
            if "this project was canceled" in error.detail.lower():
                raise Canceled(error.detail) from error
            raise


async def wake(modal: Modal, project: str) -> None:
    """Have a worker take a project now. Only a hint: where Modal cannot be reached, the schedule does it."""
    try:
        await modal.spawn("producer", project)
    except ProviderFailed as error:
        log.warning("project %s waits for the schedule: %s", project, error.detail)


async def sweep(store: Store, modal: Modal) -> int:
    """What the schedule does: wake what should be worked on and is not, close gates; returns how many it found."""
    due = await store.call("sweep_projects", {})
    await asyncio.gather(*(wake(modal, project) for project in due[:_AT_ONCE]))
    return len(due)


def _interval(length: timedelta) -> str:
    return f"{length.total_seconds()} seconds"
