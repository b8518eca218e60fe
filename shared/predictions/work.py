"""What a model does in our own container, and how that may end without success."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from shared.predictions.outcome import Outcome
from shared.predictions.receipt import Receipt


@dataclass(frozen=True)
class Ending:
    """How a prediction ends that does not succeed."""

    status: Literal["failed", "canceled"]
    reason: str
    code: str
    charged: bool = False

    @property
    def error(self) -> str | None:
        """As the prediction shows it: a canceled one has no error, as Replicate's clients expect."""
        return self.reason if self.status == "failed" else None


STOPPED = Ending("failed", "The server was stopped in the middle of this.", "stopped")
HUNG_UP = Ending("canceled", "The listener hung up.", "hung_up")
CANCELED = Ending("canceled", "Canceled by its owner.", "canceled")
CANCEL_AFTER = Ending("canceled", "It was not finished within its Cancel-After.", "deadline")
DEADLINE = Ending("failed", "It was not finished before its deadline.", "deadline")
UNEXPECTED = Ending("failed", "An unexpected error; it has been logged.", "error")


class Work(ABC):
    """Done once."""

    @property
    def logs(self) -> str:
        """What it is doing, shown while it runs."""
        return ""

    @abstractmethod
    async def run(self, ends: float) -> None:
        """Do it. ends: on the loop's clock, when the deadline is. Cancelling stops everything that was started."""

    @abstractmethod
    async def keep(self) -> Outcome:
        """Upload what was made. Runs to its end even when the work is cancelled meanwhile."""

    def ended(self, ending: Ending) -> Outcome:
        """The outcome when `run` did not succeed; its receipt may say what was used until then."""
        return Outcome(
            ending.status, error=ending.error, receipt=Receipt(error_code=ending.code), charged=ending.charged
        )
