"""Times as Postgres writes them, as the domain keeps them, and as HTTP shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer


def parse_time(text: str) -> datetime:
    """ISO 8601, or Postgres' form with a space."""
    return datetime.fromisoformat(text.replace(" ", "T"))


def format_time(time: datetime) -> str:
    """ISO 8601 in UTC with a Z. One without an offset is in UTC. Raises OverflowError beyond the years 1 to 9999."""
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


Time = Annotated[
    datetime,
    BeforeValidator(lambda value: parse_time(value) if isinstance(value, str) else value),
    PlainSerializer(format_time, return_type=str, when_used="json"),
]
