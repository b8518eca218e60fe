"""What is kept of a person: all of it to take along, and to have erased (GDPR, articles 15, 17 and 20)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
from pydantic import BaseModel, Field

from shared.core.auth import User
from shared.core.errors import ForgeError
from shared.core.store import Row, Store
from shared.models import registry
from shared.predictions.prediction import Prediction
from shared.runners.services import Services

log = logging.getLogger("personaforge.accounts")
_PAGE = 500  # rows
# Every table with an owner, by what orders its rows.
TABLES = {
    "accounts": "owner", "usage": "id", "orders": "id", "month_usage": "month", "personas": "id", "predictions": "id",
    "messages": "id", "projects": "id", "steps": "project_id,stage,key", "project_events": "project_id,gate,round",
    "channels": "id", "consents": "state", "publications": "project_id", "video_days": "project_id,day",
    "webhook_deliveries": "id", "recent_requests": "id", "files": "path",
}  # fmt: skip
_SECRET = {"refresh_token", "verifier"}  # ours to keep, of no use to the person


class Erased(BaseModel):
    """What an erasure has done."""

    files: int = Field(description="That were removed from storage.")
    user_deleted: bool = Field(description="Whether Supabase has deleted the user; else delete it there.")


async def export(store: Store, owner: UUID) -> AsyncIterator[str]:
    """One JSON object: by table, every row of this person; of files also where they can be read for a day."""
    separator = "{"
    for table, key in TABLES.items():
        yield f"{separator}{json.dumps(table)}:["
        separator, comma = "],", ""
        async for row in _rows(store, table, key, owner):
            yield comma + json.dumps({name: value for name, value in row.items() if name not in _SECRET})
            comma = ","
    yield "]}"


async def _rows(store: Store, table: str, key: str, owner: UUID) -> AsyncIterator[Row]:
    first = 0
    while True:
        query = store.as_service().from_(table).select("*").eq("owner", str(owner))
        for column in key.split(","):
            query = query.order(column)
        rows = await store.rows(query.range(first, first + _PAGE - 1))
        known = await store.addresses(row["path"] for row in rows) if table == "files" else {}
        for row in rows:
            yield {**row, "url": known.get(row["path"])} if table == "files" else row
        if len(rows) < _PAGE:
            return
        first += _PAGE


async def erase(services: Services, user: User) -> Erased:
    """Stop what runs, give back the consents of channels, remove rows and files, delete the user.

    Raises Conflict while something is still being made, or would be published by YouTube all the same.
    """
    await _stop(services, user)
    await _disconnect(services, user)
    released: list[str] = await services.store.call("erase_account", {"p_owner": str(user.id)})
    await services.store.discard(*released)
    return Erased(files=len(released), user_deleted=await _delete_user(services, user))


async def _stop(services: Services, user: User) -> None:
    store, owner = services.store, str(user.id)
    running = store.as_service().from_("predictions").select("*").eq("owner", owner)
    rows = await store.rows(running.in_("status", ["starting", "processing"]).limit(1000))
    cancels = [registry.find(one.model).runner.cancel(services, one) for one in map(Prediction.from_row, rows)]
    await asyncio.gather(*cancels)
    projects = store.as_service().from_("projects").select("id").eq("owner", owner)
    for row in await store.rows(projects.not_.in_("status", ["succeeded", "failed", "canceled"]).limit(1000)):
        await store.call("cancel_project", {"p_id": row["id"], "p_owner": owner})


async def _disconnect(services: Services, user: User) -> None:
    from shared.studio.channel import Channels

    async with Channels.open(services.store, services.settings) as channels:
        for channel in await channels.list(user.id):
            try:
                await channels.disconnect(user.id, channel.id)
            except (
                ForgeError
            ) as error:  # its row goes all the same; Google lists the consent until it is withdrawn there
                log.warning("the consent of a channel could not be given back: %s", error.detail)


async def _delete_user(services: Services, user: User) -> bool:
    settings = services.settings
    headers = {"apikey": settings.supabase_secret_key, "Authorization": f"Bearer {settings.supabase_secret_key}"}
    try:
        async with httpx.AsyncClient(timeout=20) as http:
            answer = await http.delete(f"{settings.supabase_url}/auth/v1/admin/users/{user.id}", headers=headers)
    except httpx.HTTPError as error:
        log.warning("the user could not be deleted (%s)", type(error).__name__)
        return False
    if not answer.is_success:
        log.warning("the user could not be deleted: Supabase answered %d", answer.status_code)
    return answer.is_success
