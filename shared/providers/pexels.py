"""Pexels: stock footage, searched by words. Over plain HTTP: it has no client of its own for Python."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx

from shared.core import telemetry
from shared.core.errors import (
    ForgeError,
    ProviderBusy,
    ProviderFailed,
    ProviderRefused,
    ProviderTimeout,
    provider_error,
)
from shared.core.settings import Settings
from shared.providers.job import download, json_object

NAME = "pexels"
LICENCE = "Pexels License"
# Its edge refuses Python's own names with a page of HTML, even with a good key.
USER_AGENT = "PersonaForge/0.1 (+https://pypi.org/project/personaforge/)"
PAGE = 40  # clips of one answer
HOUR = 3600  # of requests are counted together; a refusal does not say when the next one begins


@dataclass(frozen=True)
class ClipFile:
    """One rendition. link: without a key."""

    id: int
    width: int
    height: int
    fps: float | None
    link: str


@dataclass(frozen=True)
class StockClip:
    """A clip and whom it is by. words: of its page's address and its tags."""

    id: int
    page: str
    author: str
    author_page: str
    seconds: int
    words: str
    files: tuple[ClipFile, ...]


class Pexels:
    """Without a key, `on` is False. Answers may be kept for a day, as Pexels asks."""

    def __init__(self, settings: Settings) -> None:
        self.on = bool(settings.pexels_api_key)
        self._base = settings.pexels_base_url.rstrip("/")
        headers = {"Authorization": settings.pexels_api_key, "User-Agent": USER_AGENT}
        self._client = httpx.AsyncClient(headers=headers, timeout=15)
        self._plain = httpx.AsyncClient(headers={"User-Agent": USER_AGENT}, timeout=30, follow_redirects=True)
        self._reset = 0.0  # when the requests that are used up come back, as an answer has said

    async def close(self) -> None:
        await self._client.aclose()
        await self._plain.aclose()

    async def search(self, query: str, orientation: str) -> dict[str, Any]:
        """Pexels' answer as it is, to be kept. orientation: landscape, portrait or square. Raises ProviderFailed."""
        if self._reset > time.time():
            raise ProviderBusy(NAME, "Its requests are used up.", retry_after=round(self._reset - time.time()) + 1)
        parameters: dict[str, str | int] = {"query": query, "orientation": orientation, "per_page": PAGE}
        with telemetry.call(NAME, "search"):
            try:
                async with asyncio.timeout(20):
                    answer = await self._client.get(f"{self._base}/v1/videos/search", params=parameters)
            except (httpx.TimeoutException, TimeoutError) as error:
                raise ProviderTimeout(NAME, "Pexels did not answer in time.") from error
            except httpx.HTTPError as error:
                raise ProviderFailed(NAME, "The connection to Pexels failed.") from error
            self._note_limit(answer)
            if answer.is_success:
                return json_object(NAME, answer)
            raise self._refusal(answer)

    async def fetch(self, link: str) -> bytes:
        """A file. Raises ProviderFailed when it is gone or too large."""
        return await download(NAME, self._plain, link)

    def _note_limit(self, answer: httpx.Response) -> None:
        remaining, reset = (answer.headers.get(f"x-ratelimit-{name}", "") for name in ("remaining", "reset"))
        if remaining == "0" and reset.isdecimal():
            self._reset = float(reset)

    def _refusal(self, answer: httpx.Response) -> ForgeError:
        if answer.status_code == 429:  # which says nothing of when it ends
            return ProviderBusy(NAME, "Its requests of this hour are used up.", retry_after=HOUR)
        if answer.status_code in (401, 403) and "html" in answer.headers.get("content-type", ""):
            return ProviderRefused(NAME, "Its edge refused the request, whatever the key is.", provider_status=403)
        return provider_error(NAME, answer.status_code, f"Pexels answered {answer.status_code}.")


def clips(answer: dict[str, Any]) -> list[StockClip]:
    """Of an answer, without what lacks an id, a size or a link: any field of a file may be null."""
    found = []
    for video in answer.get("videos") or []:
        files = tuple(
            ClipFile(one["id"], one["width"], one["height"], one.get("fps"), one["link"])
            for one in video.get("video_files") or []
            if all(one.get(name) for name in ("id", "width", "height", "link")) and one.get("quality") != "hls"
        )
        page, user = str(video.get("url") or ""), video.get("user") or {}
        if not (files and video.get("id") and video.get("duration")):
            continue
        slug = page.rstrip("/").rpartition("/")[2].replace("-", " ")
        words = f"{slug} {' '.join(map(str, video.get('tags') or []))}".lower()
        author, author_page = str(user.get("name") or "unknown"), str(user.get("url") or "")
        found.append(StockClip(video["id"], page, author, author_page, int(video["duration"]), words, files))
    return found
