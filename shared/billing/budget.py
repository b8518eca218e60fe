"""What a prediction may cost: credits are reserved before anything is bought, so that no balance falls below zero."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from shared.billing.prices import CREDIT
from shared.core.errors import OutOfCredits

Extend = Callable[[float], Awaitable[bool]]


class Budget:
    """The reservation of one prediction. `committed`: dollars that what was begun costs at most; never above it."""

    def __init__(self, reserved: float, extend: Extend) -> None:
        """reserved: credits held already. extend: holds more credits; False when the balance does not suffice."""
        self._reserved, self._extend, self._lock = reserved, extend, asyncio.Lock()
        self.committed = 0.0

    async def commit(self, dollars: float, purpose: str) -> None:
        """Hold what is about to be bought. dollars: an upper bound. Raises OutOfCredits."""
        async with self._lock:
            needed = round((self.committed + dollars) / CREDIT, 3)
            missing = round(needed - self._reserved, 3)
            if missing > 0:
                if not await self._extend(missing):
                    raise OutOfCredits(f"{purpose} takes up to {missing:g} credits more than the account has left.")
                self._reserved = needed
            self.committed += dollars
