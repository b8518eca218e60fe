"""Keyset pages: the next page begins after the last row seen, however many rows there are."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from shared.core.errors import InvalidInput
from shared.core.store import Row, Store
from shared.core.time import parse_time


@dataclass(frozen=True)
class Cursor:
    """A place in rows ordered by created_at and id, newest first."""

    created_at: str
    id: str

    def older(self) -> str:
        """The PostgREST filter for rows after this place."""
        return f'created_at.lt."{self.created_at}",and(created_at.eq."{self.created_at}",id.lt.{self.id})'

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(json.dumps([self.created_at, self.id]).encode()).decode()


def read_cursor(text: str) -> Cursor:
    """Raises InvalidInput for anything that no page gave out."""
    try:
        created_at, row_id = json.loads(base64.urlsafe_b64decode(text))
        return Cursor(parse_time(created_at).isoformat(), str(UUID(row_id)))
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInput("The cursor is not one that a page gave out.") from error


@dataclass(frozen=True)
class Page:
    """Rows of one page, and the address of the next or None."""

    rows: list[Row]
    next: str | None

    @classmethod
    def of(cls, rows: list[Row], size: int, address: str, **filters: str | None) -> Page:
        """From up to size + 1 rows: one more than fits tells that there is a next page."""
        kept = rows[:size]
        if len(rows) <= size:
            return cls(kept, None)
        cursor = Cursor(kept[-1]["created_at"], kept[-1]["id"])
        query = {name: value for name, value in filters.items() if value} | {"cursor": str(cursor)}
        return cls(kept, f"{address}?{urlencode(query)}")


async def newest(
    store: Store, query: Any, size: int, address: str, cursor: str | None = None, **filters: str | None
) -> Page:
    """One page of a query's rows, newest first, beginning after the cursor. One request to the database.

    filters: parameters of the address that the next page must carry too. Raises InvalidInput for a wrong cursor.
    """
    if cursor:
        query = query.or_(read_cursor(cursor).older())
    query = query.order("created_at", desc=True).order("id", desc=True).limit(size + 1)
    return Page.of(await store.rows(query), size, address, **filters)
