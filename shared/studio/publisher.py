"""Bringing a film to YouTube, from one attempt to the next: its upload, its thumbnail, and how it is to be shown."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from shared.core.errors import (
    ProviderBusy,
    ProviderFailed,
    ProviderRefused,
    SettingInvalid,
)
from shared.core.sealed import seal, unseal
from shared.core.store import Row, Store
from shared.core.time import parse_time
from shared.predictions.heartbeat import Heartbeat, Heartbeats
from shared.providers.youtube import PIECE, REASONS, QuotaUsedUp, Sent, SessionGone, YouTube
from shared.studio.channel import Channels
from shared.studio.production import Finish, Later, Made, Next, Production
from shared.studio.publication import UNITS, NotPublishable, Publish, show, take, whole_description

UPLOADS_A_DAY = 100  # of a Google project, as YouTube grants them
UNVERIFIED = 900  # seconds of a film on a channel whose phone number is not verified
CHANGES = 5  # of how a film is to be shown, while it is shown
FAILURES = 5  # of pieces in a row, after which the upload rests
PATIENCE = 3  # attempts, after which a film goes without its own thumbnail
LOST = 60  # seconds after which a film that was sent is looked for a second time
LOOKS = (1, 2, 4, 8, 15)  # seconds between looks at YouTube's processing, by one worker; another goes on a minute later
LONGEST, OFTEN = timedelta(hours=24), timedelta(minutes=2)  # of processing; and for how long it is looked at often


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
