"""What stops a project has a name, and says what to do."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from shared.core.errors import Conflict, OutOfCredits, ProviderBusy
from shared.studio.production import Production
from shared.studio.project import Project


class _Database:
    """Notes what is called."""

    def __init__(self) -> None:
        self.moves: list[dict[str, Any]] = []

    async def call(self, function: str, arguments: dict[str, Any]) -> None:
        if function == "move_project":
            self.moves.append(arguments)


def stopped_by(error: Callable[[], BaseException]) -> dict[str, Any]:
    """How a project is moved whose stage ends so."""
    now = datetime.now(UTC).isoformat()
    given = {"idea": "why the sea is salt", "persona": uuid4()}
    row = {
        "id": uuid4(), "owner": uuid4(), "persona_id": uuid4(), "pipeline": 1, "status": "working", "stage": "film",
        "input": given, "waiting_for": None, "gate_until": None, "round": 1,
        "attempt": 1, "cancel_requested": False, "error": None, "output": None, "created_at": now, "updated_at": now,
    }  # fmt: skip
    database: Any = _Database()

    async def stage(_: Production) -> Any:
        raise error()

    production = Production(database, Project.model_validate(row), uuid4())
    asyncio.run(production.run({"film": stage}))
    (move,) = database.moves
    return dict(move)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (lambda: OSError(errno.ENOSPC, "No space left on device"), "failed", "disk_full"),
        (lambda: OSError(errno.EIO, "Input/output error"), "failed", "error"),
        (lambda: KeyError("x"), "failed", "error"),
        (lambda: Conflict("No portrait."), "failed", "conflict"),
        (lambda: OutOfCredits("Add some."), "waiting", "out_of_credits"),
        (lambda: ProviderBusy("anthropic", "Busy.", retry_after=700), "ready", "provider_busy"),
    ],
)
def test_each_way_to_stop_is_named(error: Callable[[], BaseException], status: str, code: str) -> None:
    """A full disk, a defect, a missing portrait, no credits, a busy provider: what was made stays, and can go on."""
    move = stopped_by(error)
    assert (move["p_status"], move["p_error"]["code"]) == (status, code)
    assert move["p_error"]["detail"]
    if status == "ready":
        assert float(move["p_wake"].split()[0]) >= 700, "not before the provider wants it"
