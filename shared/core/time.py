"""Times as Postgres writes them and as HTTP shows them."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace(" ", "T"))


def format_time(text: str | None) -> str | None:
    return parse_time(text).astimezone(UTC).isoformat().replace("+00:00", "Z") if text else None
