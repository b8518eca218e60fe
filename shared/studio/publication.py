"""A film on YouTube: uploaded once whatever happens, private until all of it is right, then as it is wanted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from shared.core.errors import (
    ForgeError,
    InvalidInput,
    NotFound,
)
from shared.core.store import Row, Store
from shared.core.text import Text
from shared.core.time import Time, format_time, parse_time
from shared.providers.google import NeedsReconnect
from shared.providers.youtube import QuotaUsedUp, YouTube
from shared.studio.channel import Channels
from shared.studio.project import Project, Shape

TITLE, DESCRIPTION, TAGS = 100, 5000, 500  # characters, bytes and characters that YouTube takes
DISCLOSURE = "The presenter and the voice of this film are made with AI."
UNITS_A_DAY = 10_000  # of a Google project, as YouTube grants them
UNITS = {"channel": 1, "look": 1, "find": 3, "thumbnail": 50, "captions": 400, "change": 52}
RESERVE = 1000  # of a day's units, kept for hiding what must not be seen
FURTHEST = timedelta(days=730)  # ahead, of a time that is wanted
LEAD = timedelta(minutes=15)  # of a time that is wanted: more than clocks differ
SLACK = timedelta(minutes=2)  # before the time, within which YouTube is not told of it any more


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
