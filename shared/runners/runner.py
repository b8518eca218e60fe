"""A runner is how a model's work happens. Three of them, behind one protocol: streamed, spawned, hosted."""

from __future__ import annotations

from typing import Protocol

from shared.core.auth import User
from shared.predictions.id import PredictionId
from shared.predictions.prediction import Prediction
from shared.runners.services import Services


class Runner(Protocol):
    """Stateless: what it needs comes as `services`, what it does stands in the prediction."""

    async def start(self, services: Services, prediction: Prediction, user: User) -> Prediction:
        """Have the work begin; returns the prediction as it is then. What cannot begin is settled as failed; raises."""
        ...

    async def look(self, services: Services, identity: PredictionId, model: str, user: User) -> Prediction:
        """The prediction as it is now; the database is asked only for one that does not run."""
        ...

    async def cancel(self, services: Services, prediction: Prediction) -> None:
        """End an unfinished one for its owner."""
        ...

    async def end_overdue(self, services: Services, prediction: Prediction) -> None:
        """Settle one whose deadline has passed."""
        ...
