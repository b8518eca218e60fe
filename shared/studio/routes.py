"""What the function `projects` answers of YouTube: channels, publications, analytics."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.core.auth import User
from shared.core.errors import Conflict, NotFound
from shared.core.store import Row, Store
from shared.core.text import Text
from shared.core.time import Time
from shared.core.web import ContextDep, CurrentUser
from shared.studio.audience import ENOUGH, Learned, Lost, at, by_sentence, learned, sentences_of
from shared.studio.channel import Channel, Channels
from shared.studio.production import wake
from shared.studio.project import Project
from shared.studio.publication import Moment, Publication, Publish, reschedule, want

PAGE = 100
router = APIRouter()


async def _channels(context: ContextDep) -> AsyncIterator[Channels]:
    async with Channels.open(context.store, context.settings) as channels:
        yield channels


ChannelsDep = Annotated[Channels, Depends(_channels)]


class ConsentAddress(BaseModel):
    """Where to send the person."""

    url: str


class Consented(BaseModel):
    """With what Google sent the person back."""

    model_config = ConfigDict(extra="forbid")
    state: Text = Field(min_length=1, max_length=200)
    code: Text = Field(min_length=1, max_length=2000)


class ChannelList(BaseModel):
    """The caller's, in the order in which they were connected. available: whether publishing is set up here."""

    results: list[Channel]
    available: bool


class Watched(BaseModel):
    """A film and its audience."""

    model_config = ConfigDict(extra="ignore")
    project: UUID
    publication: Publication
    views: int
    watched: float | None = Field(description="The share of the film that was watched on average; above 1 by repeats.")


class Overview(BaseModel):
    """published: films that everybody can watch. revenue: in US dollars, where a channel shows it. credits_a_film: what
    one of them has cost on average."""

    published: int
    views: int
    minutes: float
    revenue: float | None
    credits_a_film: float | None
    learned: Learned
    results: list[Watched]


class Day(BaseModel):
    """engaged_views: those that were more than a glance."""

    model_config = ConfigDict(extra="ignore")
    day: date
    views: int
    engaged_views: int
    minutes: float
    revenue: float | None


class Analytics(BaseModel):
    """curve: of each hundredth of the film, the share that still watches; usual: of one's other films. enough: whether
    so many have watched that the curve says something. YouTube's numbers come three days late."""

    publication: Publication
    looked_at: Time | None
    seconds: float
    views: int
    enough: bool
    days: list[Day]
    curve: list[float]
    usual: list[float]
    sentences: list[Lost]


class Change(BaseModel):
    """Who sees the film, and from when on. at: only with public."""

    model_config = ConfigDict(extra="forbid")
    privacy: Literal["private", "unlisted", "public"]
    at: Moment | None = None

    @model_validator(mode="after")
    def _at_means_public(self) -> Change:
        if self.at is not None and self.privacy != "public":
            raise ValueError("a time is when a film becomes public: give it with privacy public")
        return self


@router.get("/v1/channels")
async def list_channels(channels: ChannelsDep, user: CurrentUser) -> ChannelList:
    return ChannelList(results=await channels.list(user.id), available=channels.google.on)


@router.post("/v1/channels/consent")
async def ask_consent(channels: ChannelsDep, user: CurrentUser) -> ConsentAddress:
    return ConsentAddress(url=await channels.begin(user))


@router.post("/v1/channels", status_code=201)
async def connect(body: Consented, channels: ChannelsDep, user: CurrentUser) -> Channel:
    """The channel of the consent, to be confirmed: people have several."""
    return await channels.finish(user, body.state, body.code)


@router.post("/v1/channels/{channel}/confirm")
async def confirm(channel: str, channels: ChannelsDep, user: CurrentUser) -> Channel:
    return await channels.confirm(user.id, channel)


@router.delete("/v1/channels/{channel}", status_code=204)
async def disconnect(channel: str, channels: ChannelsDep, user: CurrentUser) -> None:
    """The consent is given back. What is published stays."""
    await channels.disconnect(user.id, channel)


@router.post("/v1/projects/{project}/publication", status_code=201)
async def publish(project: UUID, body: Publish, context: ContextDep, user: CurrentUser) -> Publication:
    """Publish a film that is finished."""
    store = context.store
    found = await _project(store, project, user)
    if found.status != "succeeded" and found.stage != "publish":
        raise Conflict("This film is not finished. Say how it is to be published when you approve it.")
    await want(store, found, body, list((found.output or {}).get("credits", [])))
    await wake(context.services.modal, str(project))
    return Publication.from_row(await _publication(store, project, user))


@router.patch("/v1/projects/{project}/publication")
async def change(
    project: UUID, body: Change, context: ContextDep, channels: ChannelsDep, user: CurrentUser
) -> Publication:
    """Move its time, or show it to others; private without a time cancels what was planned."""
    store = context.store
    found = await _project(store, project, user)
    return Publication.from_row(await reschedule(store, channels, found, body.privacy, body.at))


@router.get("/v1/analytics")
async def overview(context: ContextDep, user: CurrentUser) -> Overview:
    """All films at YouTube, newest first, and what their audience teaches."""
    store = context.store
    query = store.as_user(user).from_("publications").select("*").not_.is_("video_id", "null")
    rows = await store.rows(query.order("created_at", desc=True).limit(PAGE))
    totals = await store.call("audience", {}, user)
    films = [Watched(project=row["project_id"], publication=Publication.from_row(row), **row) for row in rows]
    return Overview(results=films, learned=await learned(store, user.id), **totals)


@router.get("/v1/projects/{project}/analytics")
async def analytics(project: UUID, context: ContextDep, user: CurrentUser) -> Analytics:
    """Who watched a film: by day, and sentence by sentence."""
    store = context.store
    mine = store.as_user(user).from_("publications").select("*").eq("project_id", str(project)).limit(1)
    rows = await store.rows(mine)
    if not rows:
        raise NotFound("This film is not published.")
    found = await _project(store, project, user)
    days = store.as_user(user).from_("video_days").select("*").eq("project_id", str(project)).order("day")
    by_day, spoken = await asyncio.gather(store.rows(days), sentences_of(store, str(project)))
    seconds = float((found.output or {}).get("seconds") or 0)
    curve = rows[0]["retention"] or []
    others = store.as_user(user).from_("publications").select("retention").not_.is_("retention", "null")
    usual = [row["retention"] for row in await store.rows(others.neq("project_id", str(project)).limit(PAGE))]
    return Analytics(
        publication=Publication.from_row(rows[0]), looked_at=rows[0]["looked_at"], seconds=seconds,
        days=[Day.model_validate(one) for one in by_day], curve=curve, views=rows[0]["views"],
        usual=[statistics.fmean(at(one, (n + 1) / 100) for one in usual) for n in range(100)] if usual else [],
        sentences=by_sentence(spoken, curve, seconds), enough=rows[0]["views"] >= ENOUGH,
    )  # fmt: skip


async def _project(store: Store, project: UUID, user: User) -> Project:
    rows = await store.rows(store.as_user(user).from_("projects").select("*").eq("id", str(project)).limit(1))
    if not rows:
        raise NotFound("There is no such project of yours.")
    return Project.from_row(rows[0])


async def _publication(store: Store, project: UUID, user: User) -> Row:
    query = store.as_user(user).from_("publications").select("*").eq("project_id", str(project)).limit(1)
    return (await store.rows(query))[0]
