"""What credits are sold for: the one price list. Checkout is told the price from here, never by a client."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pack:
    """credits: as many as are booked. amount: in the currency's smallest unit."""

    credits: int
    amount: int
    currency: str = "usd"


PACKS = {"small": Pack(5_000, 500), "medium": Pack(20_000, 2_000), "large": Pack(100_000, 9_500)}
