"""YouTube: a channel's uploads, in pieces that may be resumed by anybody who has the session's address; what is
published, and who watched. Over plain HTTP: Google's client hides that address, and lives in one container only."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from shared.core import telemetry
from shared.core.errors import (
    ForgeError,
    InvalidInput,
    ProviderBusy,
    ProviderFailed,
    ProviderRefused,
    ProviderTimeout,
    provider_error,
)
from shared.core.settings import Settings
from shared.providers.google import error_of
from shared.providers.job import json_object

NAME = "youtube"
PIECE = 8 * 1024 * 1024  # bytes; each but the last a multiple of 256 KiB
DAY = 24 * 3600
PARTS = "snippet,status,contentDetails,processingDetails"
# How it says why a film is not to be seen (fields failureReason and rejectionReason).
REASONS = {
    "conversion": "it could not be converted",
    "invalidFile": "the file cannot be read",
    "emptyFile": "the file is empty",
    "tooSmall": "the file is too small",
    "codec": "its codec is not known",
    "uploadAborted": "the upload was broken off",
    "copyright": "copyright",
    "inappropriate": "its content",
    "duplicate": "the channel has the same film already",
    "termsOfUse": "the terms of use",
    "length": "it is too long for this channel",
    "claim": "a copyright claim",
    "trademark": "a trademark",
    "legal": "legal reasons",
    "uploaderAccountSuspended": "the account is suspended",
    "uploaderAccountClosed": "the account is closed",
}


class SessionGone(ForgeError):
    """An upload whose address is good no more. Whether the film has arrived is not known."""

    code, status, title = "upload_session_gone", 409, "The upload's session has ended"


@dataclass(frozen=True)
class Channel:
    """id, title, and the address of its picture. long_videos: whether it may show more than 15 minutes."""

    id: str
    title: str
    picture: str
    uploads: str
    long_videos: bool


@dataclass(frozen=True)
class Sent:
    """How much of an upload is kept, in bytes from its beginning; `video` once all of it is."""

    kept: int
    video: str | None = None


class YouTube:
    """One channel's. Every call raises ProviderFailed and its kinds, or NeedsReconnect."""

    def __init__(
        self,
        settings: Settings,
        http: httpx.AsyncClient,
        token: Callable[[bool], Awaitable[str]],
        *,
        monetary: bool = False,
    ) -> None:
        """token: gives an access token, a new one where it is told to. monetary: whether it shows what films earn."""
        self._base, self._analytics = settings.youtube_base_url, settings.youtube_analytics_url
        self._http, self._token, self.monetary = http, token, monetary
        self.clock = datetime.now(UTC)  # YouTube's, as of its last answer: publication goes by it, not by ours

    async def channel(self) -> Channel:
        """Raises InvalidInput for an account without one."""
        found = await self._get("channels", part="id,snippet,contentDetails,status", mine="true")
        if not found.get("items"):
            raise InvalidInput("This Google account has no YouTube channel. Make one, or choose another account.")
        one = found["items"][0]
        return Channel(
            one["id"], one["snippet"]["title"], one["snippet"].get("thumbnails", {}).get("default", {}).get("url", ""),
            one["contentDetails"]["relatedPlaylists"]["uploads"], one["status"].get("longUploadsStatus") == "allowed",
        )  # fmt: skip

    async def begin_upload(self, video: dict[str, Any], total: int) -> str:
        """The address to send the film to. Whoever has it may write: keep it sealed. video: snippet and status."""
        assert video["status"]["privacyStatus"], "without it the film would be public"
        headers = {"X-Upload-Content-Length": str(total), "X-Upload-Content-Type": "video/mp4"}
        answer = await self._ask(
            "POST", f"{self._base}/upload/youtube/v3/videos", headers=headers, json=video,
            params={"uploadType": "resumable", "part": "snippet,status", "notifySubscribers": "false"},
        )  # fmt: skip
        address = answer.headers.get("location")
        if not address:
            raise ProviderFailed(NAME, "YouTube gave no address to send the film to.")
        return str(address)

    async def sent(self, address: str, total: int) -> Sent:
        """Ask how much has arrived: the one right question after an answer was lost. Raises SessionGone."""
        return await self._put(address, b"", f"bytes */{total}", total)

    async def send(self, address: str, piece: bytes, first: int, total: int) -> Sent:
        """Send bytes from `first` on; perhaps not all are kept. Raises SessionGone."""
        return await self._put(address, piece, f"bytes {first}-{first + len(piece) - 1}/{total}", total)

    async def _put(self, address: str, piece: bytes, where: str, total: int) -> Sent:
        headers = {"Content-Range": where, "Content-Type": "video/mp4"}
        answer = await self._ask("PUT", address, headers=headers, content=piece)
        if answer.status_code == 308:  # go on; no Range: nothing is kept
            kept = re.fullmatch(r"bytes=0-(\d+)", answer.headers.get("range", ""))
            return Sent(int(kept[1]) + 1 if kept else 0)
        return Sent(total, str(json_object(NAME, answer)["id"]))

    async def video(self, id: str) -> dict[str, Any] | None:
        """What is kept of one, or None where there is none of this channel's."""
        found = await self._get("videos", part=PARTS, id=id)
        return found["items"][0] if found.get("items") else None

    async def find(self, uploads: str, tag: str) -> str | None:
        """The newest of the channel's films with this tag, among the last fifty. uploads: the channel's playlist."""
        listed = await self._get("playlistItems", part="contentDetails", playlistId=uploads, maxResults="50")
        ids = [one["contentDetails"]["videoId"] for one in listed.get("items", [])]
        found = await self._get("videos", part=PARTS, id=",".join(ids)) if ids else {}
        return next((one["id"] for one in found.get("items", []) if tag in one["snippet"].get("tags", [])), None)

    async def change(self, video: dict[str, Any]) -> dict[str, Any]:
        """Write a film's `status` back whole, as an update replaces it. Returns what is kept then."""
        body = {"id": video["id"], "status": video["status"]}
        answer = await self._ask("PUT", f"{self._base}/youtube/v3/videos", params={"part": "status"}, json=body)
        return json_object(NAME, answer)

    async def set_thumbnail(self, video: str, picture: bytes) -> None:
        """JPEG. Raises ProviderRefused where the channel may not have its own."""
        await self._ask(
            "POST", f"{self._base}/upload/youtube/v3/thumbnails/set", params={"videoId": video},
            headers={"Content-Type": "image/jpeg"}, content=picture,
        )  # fmt: skip

    async def add_captions(self, video: str, language: str, webvtt: str) -> None:
        snippet = {"snippet": {"videoId": video, "language": language, "name": "", "isDraft": False}}
        answer = await self._ask(
            "POST", f"{self._base}/upload/youtube/v3/captions", json=snippet,
            params={"part": "snippet", "uploadType": "resumable"}, headers={"X-Upload-Content-Type": "text/vtt"},
        )  # fmt: skip
        await self._ask(
            "PUT", answer.headers["location"], content=webvtt.encode(), headers={"Content-Type": "text/vtt"}
        )

    async def report(
        self, video: str, dimension: str, metrics: tuple[str, ...], first: str, last: str
    ) -> list[dict[str, Any]]:
        """Rows by the dimension's name and the metrics'; none where there is no data yet. first, last: days.

        Columns are read by name: their order changes.
        """
        asked = {
            "ids": "channel==MINE", "startDate": first, "endDate": last, "metrics": ",".join(metrics),
            "dimensions": dimension, "filters": f"video=={video}",
        }  # fmt: skip
        for last_attempt in (False, False, True):  # it answers 500 now and then
            try:
                answer = await self._ask("GET", f"{self._analytics}/v2/reports", params=asked)
                break
            except ProviderFailed as error:
                if last_attempt or error.extra.get("provider_status", 0) < 500:
                    raise
        found = json_object(NAME, answer)
        names = [column["name"] for column in found.get("columnHeaders", [])]
        return [dict(zip(names, row, strict=True)) for row in found.get("rows") or []]

    async def _get(self, path: str, **params: str) -> dict[str, Any]:
        return json_object(NAME, await self._ask("GET", f"{self._base}/youtube/v3/{path}", params=params))

    async def _ask(self, method: str, address: str, **request: Any) -> httpx.Response:
        headers = request.pop("headers", {})
        for renewed in (False, True):
            authorized = {**headers, "Authorization": f"Bearer {await self._token(renewed)}"}
            with telemetry.call(NAME, method.lower()):
                try:
                    answer = await self._http.request(method, address, headers=authorized, **request)
                except httpx.TimeoutException as error:
                    raise ProviderTimeout(NAME, "YouTube did not answer in time.") from error
                except httpx.HTTPError as error:
                    raise ProviderTimeout(NAME, "The connection to YouTube broke.") from error
            if date := answer.headers.get("date"):
                self.clock = parsedate_to_datetime(date)
            if answer.is_success or answer.status_code == 308:
                return answer
            if answer.status_code != 401 or renewed:  # an access token lasts an hour
                break
        raise self._refusal(method, address, answer)

    def _refusal(self, method: str, address: str, answer: httpx.Response) -> ForgeError:
        error = error_of(answer).get("error")
        reasons = [one.get("reason") for one in error.get("errors", [])] if isinstance(error, dict) else []
        reason, status = str(reasons[0]) if reasons else "", answer.status_code
        if method == "PUT" and "upload_id=" in address and status in (404, 410):
            return SessionGone("YouTube does not know this upload any more.")
        if reason in ("quotaExceeded", "dailyLimitExceeded"):
            return QuotaUsedUp(until_reset(self.clock))
        if reason == "uploadLimitExceeded":
            return ProviderBusy(
                NAME, "The channel has reached the uploads that YouTube allows in 24 hours. It goes on then.",
                retry_after=DAY, provider_status=status,
            )  # fmt: skip
        if reason == "insufficientPermissions":
            return ProviderRefused(
                NAME, "The consent does not allow this. Connect the channel again and tick everything."
            )
        if status >= 500:
            return ProviderBusy(NAME, f"YouTube answered {status}.", provider_status=status)
        if reason in ("rateLimitExceeded", "userRateLimitExceeded", "uploadRateLimitExceeded"):
            return ProviderBusy(NAME, "YouTube asks for a pause.", retry_after=60, provider_status=status)
        return provider_error(
            NAME, status, f"YouTube answered {status}{f' ({reason})' if reason.isalnum() else ''}.",
            answer.headers.get("retry-after"),
        )  # fmt: skip


class QuotaUsedUp(ProviderBusy):
    """Of the day, which ends at midnight in California."""

    code, title = "quota_used_up", "The quota of this day is used up"

    def __init__(self, seconds: int) -> None:
        super().__init__(NAME, "The project's calls of today are used up. It goes on tomorrow.", retry_after=seconds)


def until_reset(now: datetime) -> int:
    """Seconds until quotas have begun anew: at midnight in California, which is 7 or, in winter, 8 o'clock UTC."""
    reset = now.astimezone(UTC).replace(hour=8, minute=0, second=0, microsecond=0)
    return round(((reset if reset > now else reset + timedelta(days=1)) - now).total_seconds()) + 1
