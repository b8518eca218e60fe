"""Channels that people have connected: consent at Google, confirmed by name, its token sealed in a row."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict

from shared.core.auth import User
from shared.core.errors import Conflict, InvalidInput, NotFound
from shared.core.sealed import seal, unseal
from shared.core.settings import Settings
from shared.core.store import Store
from shared.core.time import Time, format_time
from shared.providers.google import MONETARY, SCOPES, Google, NeedsReconnect
from shared.providers.youtube import Channel as Found
from shared.providers.youtube import YouTube

TIMEOUT = httpx.Timeout(30, write=120)  # seconds: a piece of eight MiB over a slow line


class Channel(BaseModel):
    """Of YouTube. Only a confirmed one is published to."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: str
    title: str
    picture: str
    state: Literal["unconfirmed", "connected", "needs_reconnect"]
    created_at: Time


class Channels:
    """Of all owners; each call names whose."""

    def __init__(self, store: Store, settings: Settings, http: httpx.AsyncClient) -> None:
        self._store, self._settings, self._http = store, settings, http
        self.google = Google(settings, http)
        self._key, self._back = settings.forge_signing_key, f"{settings.forge_url}/studio/connect"

    @classmethod
    @asynccontextmanager
    async def open(cls, store: Store, settings: Settings) -> AsyncIterator[Channels]:
        """Redirects are not followed: 308 is an answer of YouTube's uploads."""
        async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as http:
            yield cls(store, settings, http)

    async def begin(self, user: User) -> str:
        """The address where the person consents. They come back to the page, which is signed in as them: so that nobody
        connects their channel to somebody else's account."""
        if not self.google.on:
            raise Conflict("Publishing is not set up here: YOUTUBE_CLIENT_ID and YOUTUBE_CLIENT_SECRET are not set.")
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        row = {"state": _hash(state), "owner": str(user.id), "verifier": seal(self._key, verifier, _hash(state))}
        await self._store.rows(self._store.as_service().from_("consents").insert(row))
        return self.google.consent_address(state, verifier, self._back)

    async def finish(self, user: User, state: str, code: str) -> Channel:
        """The channel of a consent, to be confirmed by name. Raises InvalidInput, NeedsReconnect, ProviderFailed."""
        taken = await self._store.call("take_consent", {"p_state": _hash(state), "p_owner": str(user.id)})
        if not taken:
            raise InvalidInput("This consent was not asked for by you, was used, or is over an hour old. Begin again.")
        grant = await self.google.exchange(code, unseal(self._key, taken, _hash(state)), self._back)
        if lacking := set(SCOPES) - grant.scopes:  # not revoked: that would end other consents of this person to us
            names = ", ".join(sorted(scope.rpartition("/")[2] for scope in lacking))
            raise InvalidInput(f"Not everything was allowed: {names}. Connect again and tick everything.")

        async def token(_: bool) -> str:
            return grant.access_token

        found = await YouTube(self._settings, self._http, token).channel()
        row = {
            "owner": str(user.id), "id": found.id, "title": found.title, "picture": found.picture,
            "monetary": MONETARY in grant.scopes,
            "refresh_token": seal(self._key, grant.refresh_token, _about(user.id, found.id)), "state": "unconfirmed",
            "created_at": format_time(datetime.now(UTC)),
        }  # fmt: skip
        table = self._store.as_service().from_("channels")
        return Channel.model_validate((await self._store.rows(table.upsert(row)))[0])

    async def list(self, owner: UUID) -> list[Channel]:
        query = self._store.as_service().from_("channels").select("*").eq("owner", str(owner)).order("created_at")
        return [Channel.model_validate(row) for row in await self._store.rows(query)]

    async def confirm(self, owner: UUID, id: str) -> Channel:
        """It is the one that was meant. Raises NotFound."""
        rows = await self._store.rows(self._of(owner, id, {"state": "connected"}).neq("state", "needs_reconnect"))
        if not rows:
            raise NotFound("There is no such channel to confirm.")
        return Channel.model_validate(rows[0])

    async def disconnect(self, owner: UUID, id: str) -> None:
        """The consent is given back, and the token forgotten. What is published stays."""
        row = await self._row(owner, id)
        await self.google.revoke(unseal(self._key, row["refresh_token"], _about(owner, id)))
        table = self._store.as_service().from_("channels")
        await self._store.rows(table.delete().eq("owner", str(owner)).eq("id", id))

    async def youtube(self, owner: UUID, id: str) -> YouTube:
        """To act as this channel. Raises NotFound; its calls note a consent that is gone."""
        row = await self._row(owner, id)
        if row["state"] != "connected":
            raise NeedsReconnect(f"The channel {row['title']} is not connected. Connect it again, then retry.")
        refresh = unseal(self._key, row["refresh_token"], _about(owner, id))
        kept: list[str] = []

        async def token(anew: bool) -> str:
            if anew or not kept:
                try:
                    kept[:] = [await self.google.access_token(refresh)]
                except NeedsReconnect:
                    await self._store.rows(self._of(owner, id, {"state": "needs_reconnect"}))
                    raise
            return kept[0]

        return YouTube(self._settings, self._http, token, monetary=bool(row["monetary"]))

    async def checked(self, owner: UUID, id: str) -> tuple[YouTube, Found]:
        """The same, once it is certain that the consent is for this channel: people have several."""
        youtube = await self.youtube(owner, id)
        found = await youtube.channel()
        if found.id != id:
            raise NeedsReconnect(f"The consent is for another channel now, {found.title}. Connect the right one again.")
        return youtube, found

    async def _row(self, owner: UUID, id: str) -> dict[str, Any]:
        query = self._store.as_service().from_("channels").select("*").eq("owner", str(owner)).eq("id", id).limit(1)
        rows = await self._store.rows(query)
        if not rows:
            raise NotFound("There is no such channel of yours. Connect it first.")
        return rows[0]

    def _of(self, owner: UUID, id: str, change: dict[str, str]) -> Any:
        return self._store.as_service().from_("channels").update(change).eq("owner", str(owner)).eq("id", id)


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _about(owner: UUID, channel: str) -> str:
    return f"channel {owner} {channel}"
