"""Keyset pages: the next begins after the last row seen, the previous ends before the first, however many there are."""

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
    newer: bool = False  # the page lies before this place, not after it

    @property
    def filter(self) -> str:
        """For PostgREST: the rows on that side of this place."""
        than = "gt" if self.newer else "lt"
        return f'created_at.{than}."{self.created_at}",and(created_at.eq."{self.created_at}",id.{than}.{self.id})'

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(json.dumps([self.created_at, self.id, self.newer]).encode()).decode()


def read_cursor(text: str) -> Cursor:
    """Raises InvalidInput for anything that no page gave out."""
    try:
        created_at, row_id, newer = json.loads(base64.urlsafe_b64decode(text))
        return Cursor(parse_time(created_at).isoformat(), str(UUID(row_id)), bool(newer))
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInput("The cursor is not one that a page gave out.") from error


@dataclass(frozen=True)
class Page:
    """Rows of one page, newest first, and the addresses of its neighbours or None."""

    rows: list[Row]
    next: str | None
    previous: str | None


async def newest(
    store: Store, query: Any, size: int, address: str, cursor: str | None = None, **filters: str | None
) -> Page:
    """One page of a query's rows, newest first, beside the cursor. One request to the database.

    filters: parameters of the address that its neighbours must carry too. Raises InvalidInput for a wrong cursor.
    """
    place = read_cursor(cursor) if cursor else None
    backwards = place is not None and place.newer
    query = query.or_(place.filter) if place else query
    query = query.order("created_at", desc=not backwards).order("id", desc=not backwards).limit(size + 1)
    rows = await store.rows(query)
    more, rows = len(rows) > size, rows[:size]  # one more than fits tells that there is another page
    if backwards:
        rows.reverse()

    def beside(row: Row, *, newer: bool) -> str:
        chosen = {name: value for name, value in filters.items() if value}
        return f"{address}?{urlencode(chosen | {'cursor': str(Cursor(row['created_at'], row['id'], newer))})}"

    has_next, has_previous = bool(rows) and (more or backwards), bool(rows) and bool(place) and (more or not backwards)
    return Page(
        rows,
        beside(rows[-1], newer=False) if has_next else None,
        beside(rows[0], newer=True) if has_previous else None,
    )
