"""A film on YouTube: uploaded once whatever happens, private until all of it is right, then as it is wanted."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from shared.core.errors import (
    ForgeError,
    InvalidInput,
    NotFound,
    ProviderBusy,
    ProviderFailed,
    ProviderRefused,
    SettingInvalid,
)
from shared.core.sealed import seal, unseal
from shared.core.store import Row, Store
from shared.core.text import Text
from shared.core.time import Time, format_time, parse_time
from shared.predictions.heartbeat import Heartbeat, Heartbeats
from shared.providers.google import NeedsReconnect
from shared.providers.youtube import PIECE, REASONS, QuotaUsedUp, Sent, SessionGone, YouTube
from shared.studio.channel import Channels
from shared.studio.production import Finish, Later, Made, Next, Production
from shared.studio.project import Project, Shape

TITLE, DESCRIPTION, TAGS = 100, 5000, 500  # characters, bytes and characters that YouTube takes
DISCLOSURE = "The presenter and the voice of this film are made with AI."
UNVERIFIED = 900  # seconds of a film on a channel whose phone number is not verified
UPLOADS_A_DAY, UNITS_A_DAY = 100, 10_000  # of a Google project, as YouTube grants them
UNITS = {"channel": 1, "look": 1, "find": 3, "thumbnail": 50, "captions": 400, "change": 52}
RESERVE = 1000  # of a day's units, kept for hiding what must not be seen
FURTHEST = timedelta(days=730)  # ahead, of a time that is wanted
LEAD = timedelta(minutes=15)  # of a time that is wanted: more than clocks differ
SLACK = timedelta(minutes=2)  # before the time, within which YouTube is not told of it any more
CHANGES = 5  # of how a film is to be shown, while it is shown
FAILURES = 5  # of pieces in a row, after which the upload rests
PATIENCE = 3  # attempts, after which a film goes without its own thumbnail
LOST = 60  # seconds after which a film that was sent is looked for a second time
LOOKS = (1, 2, 4, 8, 15)  # seconds between looks at YouTube's processing, by one worker; another goes on a minute later
LONGEST, OFTEN = timedelta(hours=24), timedelta(minutes=2)  # of processing; and for how long it is looked at often


def _moment(at: datetime) -> datetime:
    """In whole seconds of UTC, as YouTube keeps it."""
    if at.tzinfo is None:
        raise ValueError("the time needs an offset, such as Z")
    if not datetime(2026, 1, 1, tzinfo=UTC) < at < datetime.now(UTC) + FURTHEST:
        raise ValueError("the time lies in the past, or more than two years ahead")
    return at.astimezone(UTC).replace(microsecond=0)


Moment = Annotated[Time, AfterValidator(_moment)]


class Publish(BaseModel):
    """What is published, and how. at: when it becomes public; YouTube needs it a quarter of an hour ahead."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    channel: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    shape: Shape | None = Field(None, description="Of the film; the first one if left out.")
    title: Text = Field(min_length=1, max_length=TITLE)
    description: Text = Field("", max_length=DESCRIPTION)
    tags: list[Annotated[Text, Field(min_length=1, max_length=100)]] = Field([], max_length=50)
    category: Annotated[str, Field(pattern=r"^\d{1,2}$")] = Field(
        "27", description="22 people, 27 education, 28 science."
    )
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})?$")] = "en"
    made_for_kids: bool = False
    captions: bool = Field(False, description="Also as a track of its own, beside those in the picture.")
    thumbnail: int = Field(0, ge=0, le=2, description="One of `thumbnails`.")
    privacy: Literal["private", "unlisted", "public"] = "private"
    at: Moment | None = None

    @field_validator("title", "description", "tags")
    @classmethod
    def _no_angles(cls, value: Any) -> Any:
        if any(mark in "".join(value) for mark in "<>"):
            raise ValueError("YouTube takes no < and no >")
        return value

    @field_validator("tags")
    @classmethod
    def _fit(cls, tags: list[str]) -> list[str]:
        if sum(len(tag) + (2 if " " in tag else 0) for tag in tags) > TAGS - 60:  # one of ours is added
            raise ValueError(f"YouTube takes {TAGS} characters of tags in all")
        return tags

    @model_validator(mode="after")
    def _at_means_public(self) -> Publish:
        if self.at is not None and self.privacy != "public":
            raise ValueError("a time is when a film becomes public: give it with privacy public")
        return self


def whole_description(wanted: Publish, credits: list[str]) -> str:
    """With the footage's credits and what must be said. Raises ForgeError (422) where YouTube would not take it."""
    text = "\n\n".join(part for part in (wanted.description, "\n".join(credits), DISCLOSURE) if part)
    text = text.replace("<", "‹").replace(">", "›")
    if (size := len(text.encode())) > DESCRIPTION:
        raise NotPublishable(
            f"The description has {size:,} bytes with its credits, and YouTube takes {DESCRIPTION:,}. Shorten it by "
            f"{size - DESCRIPTION:,}; an emoji is four of them."
        )
    return text


async def want(store: Store, project: Project, wanted: Publish, credits: list[str]) -> None:
    """Have a film published as is wanted, once it is approved; at once where it is finished.

    Raises InvalidInput, NotPublishable, NotFound, Conflict.
    """
    if wanted.shape and wanted.shape not in project.input.shapes:
        raise InvalidInput(f"This film has no shape {wanted.shape}; it has {', '.join(project.input.shapes)}.")
    if wanted.at and wanted.at < datetime.now(UTC) + LEAD:
        raise InvalidInput("The time has to be at least a quarter of an hour ahead.")
    whole_description(wanted, credits)
    owner = str(project.owner)
    query = store.as_service().from_("channels").select("state").eq("owner", owner).eq("id", wanted.channel)
    rows = await store.rows(query.limit(1))
    if not rows:
        raise InvalidInput("There is no such channel of yours. Connect it first.")
    if rows[0]["state"] != "connected":
        raise NeedsReconnect("This channel is not connected or not confirmed. Do that first.")
    given = {
        "p_id": str(project.id), "p_owner": owner, "p_channel": wanted.channel, "p_privacy": wanted.privacy,
        "p_wanted": wanted.model_dump(mode="json"), "p_publish_at": format_time(wanted.at) if wanted.at else None,
    }  # fmt: skip
    await store.call("want_publication", given)


async def show(store: Store, youtube: YouTube, video: str, privacy: str, at: datetime | None) -> dict[str, Any]:
    """Have it seen by whom it is meant for, from when on; read back and compared. Returns columns of its row.

    Raises NotPublishable where YouTube keeps something else, or the time is over.
    """
    await take(store, UNITS["change"], hiding=privacy != "public")
    found = await youtube.video(video)
    if found is None:
        return {"state": "removed", "problem": "It was deleted at YouTube."}
    status = found["status"]
    later = at is not None and privacy == "public" and at > youtube.clock + SLACK
    if at is not None and privacy == "public" and not later and at < youtube.clock - timedelta(hours=1):
        raise NotPublishable(f"The time at which it was to be public, {format_time(at)}, is over. Choose another one.")
    asked = {
        **{name: status[name] for name in ("license", "embeddable", "publicStatsViewable") if name in status},
        "privacyStatus": "private" if later else privacy, "containsSyntheticMedia": True,
        "selfDeclaredMadeForKids": bool(status.get("selfDeclaredMadeForKids")),
        **({"publishAt": format_time(at)} if later and at else {}),
    }  # fmt: skip
    await youtube.change({"id": video, "status": asked})
    kept = ((await youtube.video(video)) or {"status": {}})["status"]
    when = parse_time(kept["publishAt"]) if kept.get("publishAt") else None
    if (kept.get("privacyStatus"), when) != (asked["privacyStatus"], at if later else None):
        raise NotPublishable(
            f"YouTube keeps it {kept.get('privacyStatus')}, at {kept.get('publishAt')}, though it was asked for "
            f"{asked['privacyStatus']}, at {asked.get('publishAt')}. Set it there."
        )
    state = "scheduled" if later else privacy
    return {"state": state, "problem": None} | (
        {"published_at": format_time(youtube.clock)} if state == "public" else {}
    )


async def take(store: Store, units: int, *, hiding: bool = False) -> None:
    """Of the day's units. Raises QuotaUsedUp before YouTube does."""
    limit = UNITS_A_DAY if hiding else UNITS_A_DAY - RESERVE
    if seconds := await store.call("take_quota", {"p_bucket": "units", "p_units": units, "p_limit": limit}):
        raise QuotaUsedUp(seconds)


async def reschedule(store: Store, channels: Channels, project: Project, privacy: str, at: datetime | None) -> Row:
    """Have a film shown to others, or at another time: at once where it is at YouTube. Returns its row.

    Raises NotFound, InvalidInput, NotPublishable.
    """
    if at and at < datetime.now(UTC) + LEAD:
        raise InvalidInput("The time has to be at least a quarter of an hour ahead.")
    table = store.as_service().from_("publications")
    change: Row = {"privacy": privacy, "publish_at": format_time(at) if at else None}
    rows = await store.rows(table.select("*").eq("project_id", str(project.id)).eq("owner", str(project.owner)))
    if not rows:
        raise NotFound("This project has no publication.")
    video = rows[0]["video_id"]
    if video is None or (project.stage == "publish" and project.status in ("ready", "working")):
        # Its publisher reads this when the film is there, and once more after showing it.
        return (await store.rows(table.update(change).eq("project_id", str(project.id))))[0]
    await take(store, UNITS["channel"], hiding=privacy != "public")
    youtube, _ = await channels.checked(project.owner, rows[0]["channel_id"])
    state = await show(store, youtube, video, privacy, at)
    if rows[0]["published_at"]:
        state.pop("published_at", None)
    return (await store.rows(table.update({**change, **state}).eq("project_id", str(project.id))))[0]


class Publication(BaseModel):
    """A film at YouTube. at: when it becomes public."""

    channel: str
    title: str
    privacy: Literal["private", "unlisted", "public"]
    at: Time | None
    state: str = Field(description="uploading, processing, scheduled, public, unlisted, private, rejected or removed.")
    problem: str | None
    url: str | None
    published_at: Time | None

    @classmethod
    def from_row(cls, row: Row) -> Publication:
        video = row["video_id"]
        return cls(
            channel=row["channel_id"], title=row["wanted"]["title"], privacy=row["privacy"], at=row["publish_at"],
            state=row["state"], problem=row["problem"], published_at=row["published_at"],
            url=f"https://www.youtube.com/watch?v={video}" if video else None,
        )  # fmt: skip


class NotPublishable(ForgeError):
    """YouTube would refuse it, or has."""

    code, status, title = "not_publishable", 422, "This cannot be published"


class Publisher:
    """The last stage of a project."""

    def __init__(self, store: Store, channels: Channels, heartbeats: Heartbeats, key: str, piece: int = PIECE) -> None:
        """key: seals what may write to an upload. piece: in bytes, a multiple of 256 KiB."""
        self._store, self._channels, self._heartbeats = store, channels, heartbeats
        self._key, self._piece, self._since = key, piece, ""

    async def publish(self, production: Production) -> Next:
        """Upload it privately, wait until YouTube has processed it, add what belongs to it, show it as is wanted."""
        row = await self.row(production)
        if row is None:
            return Finish(dict(production.project.output or {}))
        wanted = Publish.model_validate(row["wanted"])
        await take(self._store, UNITS["channel"])
        youtube, channel = await self._channels.checked(production.project.owner, row["channel_id"])
        films: dict[str, Any] = (production.project.output or {})["films"]
        film = films[wanted.shape or production.project.input.shapes[0]]
        seconds = float((production.project.output or {})["seconds"])
        if seconds > UNVERIFIED and not channel.long_videos:
            raise NotPublishable("YouTube takes 15 minutes on this channel. Verify its phone number, then retry.")
        video = row["video_id"]
        if video is None:
            data = await self._store.get(film["video"])
            video = await self._arrived(production, youtube, channel.uploads, wanted, data)
            await self.change(production, video_id=video, state="processing")
        found = await self._processed(production, youtube, video)
        if found is None:
            return Later(_rest(youtube.clock - parse_time(self._since)))
        await production.step("publish", "thumbnail", 0, lambda: self._thumbnail(production, youtube, video, wanted))
        if wanted.captions:
            add = lambda: self._captions(youtube, video, wanted.language, film["captions"])  # noqa: E731
            await production.step("publish", "captions", 0, add)
        await self._shown(production, youtube, video)
        return Finish(dict(production.project.output or {}))

    async def _shown(self, production: Production, youtube: YouTube, video: str) -> None:
        """As is wanted by now: once more when that was changed while YouTube was told."""
        for _ in range(CHANGES):
            row = await self.row(production)
            assert row, "it is deleted with its project alone"
            await production.hold()  # whoever has canceled it does not see it public
            at = parse_time(row["publish_at"]) if row["publish_at"] else None
            state = await show(self._store, youtube, video, row["privacy"], at)
            table = self._store.as_service().from_("publications")
            same = table.update(state).eq("project_id", row["project_id"]).eq("privacy", row["privacy"])
            same = same.eq("publish_at", row["publish_at"]) if row["publish_at"] else same.is_("publish_at", "null")
            if await self._store.rows(same):
                return
        raise ProviderBusy("youtube", "How it is to be shown changes too often just now.", retry_after=LOST)

    async def row(self, production: Production) -> Row | None:
        query = self._store.as_service().from_("publications").select("*")
        rows = await self._store.rows(query.eq("project_id", str(production.project.id)).limit(1))
        return rows[0] if rows else None

    async def change(self, production: Production, **change: Any) -> None:
        table = self._store.as_service().from_("publications")
        await self._store.rows(table.update(change).eq("project_id", str(production.project.id)))

    async def _arrived(
        self, production: Production, youtube: YouTube, uploads: str, wanted: Publish, data: bytes
    ) -> str:
        """The id of the film at YouTube, sent there once. An address that is good no more is replaced only when the
        film was looked for twice, a minute apart, and is not there."""
        number = 1
        while ("publish", f"lost-{number}") in production.results:
            number += 1
        if number > 1:
            await take(self._store, UNITS["find"])
            if found := await youtube.find(uploads, _tag(production)):
                return found
        begun = await production.step(
            "publish", f"session-{number}", 0, lambda: self._session(production, youtube, wanted, data)
        )
        if begun["sha256"] != hashlib.sha256(data).hexdigest():
            raise NotPublishable("The film has changed since its upload began.")
        try:
            address = unseal(self._key, begun["address"], f"upload {production.project.id}")
            return await self._send(production, youtube, address, data)
        except (SessionGone, SettingInvalid):  # ended, or sealed with a key that is not ours any more
            await take(self._store, UNITS["find"])
            if found := await youtube.find(uploads, _tag(production)):
                return found
            await production.step("publish", f"lost-{number}", 0, _made({"lost": number}))
            raise ProviderBusy(
                "youtube", "The upload's session has ended. Whether the film has arrived is looked at once more.",
                retry_after=LOST,
            ) from None  # fmt: skip

    async def _session(self, production: Production, youtube: YouTube, wanted: Publish, data: bytes) -> Made:
        """Begin an upload. Nothing has been sent when its address is kept: one that dies before that leaves no film."""
        if seconds := await self._store.call(
            "take_quota", {"p_bucket": "uploads", "p_units": 1, "p_limit": UPLOADS_A_DAY}
        ):
            raise QuotaUsedUp(seconds)
        credits = list((production.project.output or {}).get("credits", []))
        video = {
            "snippet": {
                "title": wanted.title, "description": whole_description(wanted, credits),
                "tags": [*wanted.tags, _tag(production)], "categoryId": wanted.category,
                "defaultLanguage": wanted.language, "defaultAudioLanguage": wanted.language,
            },
            # Private until all of it is right; a film that is public by accident cannot be taken back.
            "status": {
                "privacyStatus": "private", "selfDeclaredMadeForKids": wanted.made_for_kids,
                "containsSyntheticMedia": True,
            },
        }  # fmt: skip
        address = await youtube.begin_upload(video, len(data))
        sealed = seal(self._key, address, f"upload {production.project.id}")
        return Made({"address": sealed, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})

    async def _send(self, production: Production, youtube: YouTube, address: str, data: bytes) -> str:
        """In pieces, from where the upload stands; what YouTube says is kept counts, never what was sent."""
        total, failures = len(data), 0
        sent = await self._patiently(lambda: youtube.sent(address, total))
        while sent.video is None:
            await self._tell(
                production, f"{100 * sent.kept // total}%|Uploading, {_mb(sent.kept)} of {_mb(total)} MB\n"
            )
            piece = data[sent.kept : sent.kept + self._piece]
            try:
                now = await (youtube.send(address, piece, sent.kept, total) if piece else youtube.sent(address, total))
                failures = 0 if now.video or now.kept > sent.kept else failures + 1
                sent = now
            except ProviderFailed as error:
                failures += 1
                # A piece that does not follow what is kept (400): another worker's was on its way. Asking mends it.
                lasting = error.extra.get("provider_status") in (401, 403)
                if failures >= FAILURES or lasting or error.extra.get("retry_after", 0) > 30:
                    raise
                await asyncio.sleep(min(8.0, 0.25 * 2**failures) * random.uniform(0.5, 1))  # noqa: S311
                sent = await self._patiently(lambda: youtube.sent(address, total))
            else:
                if failures >= FAILURES:
                    raise ProviderBusy(
                        "youtube", "YouTube takes nothing more of this upload just now.", retry_after=LOST
                    )
        return sent.video

    async def _patiently(self, ask: Callable[[], Awaitable[Sent]]) -> Sent:
        """A question that may be asked again."""
        for failure in range(FAILURES):
            try:
                return await ask()
            except ProviderFailed as error:
                if failure == FAILURES - 1 or (not error.retryable and error.extra.get("provider_status", 500) < 500):
                    raise
                await asyncio.sleep(0.25 * 2**failure)
        raise AssertionError("the last attempt returns or raises")

    async def _processed(self, production: Production, youtube: YouTube, video: str) -> dict[str, Any] | None:
        """The film once it is processed; None while it takes longer. Raises NotPublishable for one that is rejected."""
        for pause in (*LOOKS, 0):
            await self._tell(production, "YouTube is processing\n")
            await take(self._store, UNITS["look"])
            found = await youtube.video(video)
            if found and found["status"]["uploadStatus"] == "processed":
                return found
            if found:
                self._since = found["snippet"]["publishedAt"]
                await self._refused(production, found["status"])
                age = youtube.clock - parse_time(self._since)
                if age > LONGEST:
                    raise NotPublishable("YouTube has processed it for a day and is not done. Look there; then retry.")
                if age > OFTEN:  # one look, and a longer rest
                    return None
            await asyncio.sleep(pause)
        if found is None:  # it is not listed at once
            await self.change(production, state="removed", problem="It was deleted at YouTube.")
            raise NotPublishable("The film is not at YouTube any more: it was deleted there.")
        return None

    async def _refused(self, production: Production, status: dict[str, Any]) -> None:
        """Raises NotPublishable, in words, for a film that YouTube does not take."""
        verb, reason = status["uploadStatus"], status.get("failureReason") or status.get("rejectionReason") or ""
        if verb == "deleted":
            await self.change(production, state="removed", problem="It was deleted at YouTube.")
            raise NotPublishable("The film is not at YouTube any more: it was deleted there.")
        if verb in ("failed", "rejected"):
            words = f"YouTube {verb} it: {REASONS.get(reason, 'it gives no reason')}."
            await self.change(production, state="rejected", problem=words)
            raise NotPublishable(words)

    async def _thumbnail(self, production: Production, youtube: YouTube, video: str, wanted: Publish) -> Made:
        """Not every channel may have its own: then YouTube chooses a frame, and the step says so."""
        pictures = (production.project.output or {}).get("thumbnails") or []
        if wanted.thumbnail >= len(pictures):
            return Made({"set": False, "why": "There is none."})
        await take(self._store, UNITS["thumbnail"])
        try:
            await youtube.set_thumbnail(video, await self._store.get(pictures[wanted.thumbnail]["picture"]))
        except ProviderRefused as error:
            return Made({"set": False, "why": error.detail})
        except ProviderBusy as error:  # a limit of pictures alone stops no film
            if production.project.attempt < PATIENCE:
                raise
            return Made({"set": False, "why": error.detail})
        return Made({"set": True})

    async def _captions(self, youtube: YouTube, video: str, language: str, path: str) -> Made:
        await take(self._store, UNITS["captions"])
        try:
            await youtube.add_captions(video, language, (await self._store.get(path)).decode())
        except ProviderRefused as error:
            if error.extra.get("provider_status") == 409:  # an answer was lost: they are there
                return Made({"added": True})
            return Made({"added": False, "why": error.detail})
        return Made({"added": True})

    async def _tell(self, production: Production, logs: str) -> None:
        await self._heartbeats.send(production.project.id, Heartbeat("processing", None, logs))


def _tag(production: Production) -> str:
    """By which a film is found again among a channel's."""
    return f"pf-{production.project.id}"


def _rest(age: timedelta) -> float:
    """Seconds between two looks at a film that is processed: a minute, and more the longer it takes."""
    return LOST if age < timedelta(minutes=15) else 300 if age < timedelta(hours=1) else 1800


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f}"


def _made(result: Any) -> Callable[[], Any]:
    async def make() -> Made:
        return Made(result)

    return make
