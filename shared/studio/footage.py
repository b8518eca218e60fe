"""Stock footage for shots: searched for each sentence, scored against it, and left out where nothing fits."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from shared.core.errors import ProviderFailed
from shared.core.store import Store
from shared.core.time import format_time
from shared.providers.pexels import LICENCE, NAME, ClipFile, Pexels, StockClip, clips
from shared.studio import film
from shared.studio.shots import Shot

SLOWEST = 0.9  # of its speed at which a clip that is too short may be shown
SMALLEST = 700  # pixels of a clip's shorter side
ENOUGH = 1080  # above, a rendition only takes longer to fetch
TRIED = 3  # clips that are fetched for a shot, at most: some cannot be decoded


async def search(store: Store, pexels: Pexels, query: str, orientation: str) -> list[StockClip]:
    """What Pexels has, asked at most once a day for the same words."""
    words = " ".join(query.lower().split())
    kept = await store.call("kept_search", {"p_query": words, "p_orientation": orientation})
    if kept is None:
        kept = await pexels.search(words, orientation)
        row = {"query": words, "orientation": orientation, "answer": kept, "found_at": format_time(datetime.now(UTC))}
        await store.rows(store.as_service().from_("footage_searches").upsert(row))
    return clips(kept)


def ranked(found: Sequence[StockClip], shot: Shot, used: set[int]) -> list[StockClip]:
    """Those that fit, best first: long enough, large enough, not shown before, and of what was searched for.

    A clip must be called by a word of the search; words of the sentence count beside.
    """
    wanted, said = _stems(shot.footage), _stems(shot.text)
    scored = []
    for place, clip in enumerate(found):
        words = _stems(clip.words)
        meant, heard = len(wanted & words), len(said & words)
        long_enough = clip.seconds >= (shot.end - shot.start) * SLOWEST
        if meant and long_enough and clip.id not in used and _rendition(clip):
            scored.append((2 * meant / max(1, len(wanted)) + heard, -place, clip))
    return [clip for _, _, clip in sorted(scored, key=lambda one: one[:2], reverse=True)]


async def fetch(pexels: Pexels, candidates: Sequence[StockClip], shot: Shot) -> tuple[bytes, dict[str, Any]] | None:
    """The first that can be decoded, and its line of the ledger; None when there is none."""
    for clip in candidates[:TRIED]:
        file = _rendition(clip)
        assert file
        try:
            data = await pexels.fetch(file.link)
            await asyncio.to_thread(_decode, data, shot.last - shot.first)
        except (ValueError, ProviderFailed):  # gone, too large, or damaged: the next one
            continue
        return data, {
            "provider": NAME, "id": clip.id, "page": clip.page, "author": clip.author, "author_page": clip.author_page,
            "file": file.id, "width": file.width, "height": file.height, "fps": file.fps,
            "sha256": hashlib.sha256(data).hexdigest(), "query": shot.footage, "sentence": shot.sentence,
            "in": 0.0, "out": round(shot.end - shot.start, 3), "fetched_at": format_time(datetime.now(UTC)),
            "licence": LICENCE,
        }  # fmt: skip
    return None


def _decode(data: bytes, count: int) -> None:
    """All that will be shown. Raises ValueError for what is no video, or damaged."""
    for _ in film.clip_frames(data, count):
        pass


def _rendition(clip: StockClip) -> ClipFile | None:
    """The smallest that is large enough, else the largest that is not too small."""
    sizes = [(min(one.width, one.height), one) for one in clip.files if min(one.width, one.height) >= SMALLEST]
    sizes.sort(key=lambda pair: pair[0])
    large = [one for side, one in sizes if side >= ENOUGH]
    return large[0] if large else sizes[-1][1] if sizes else None


def _stems(text: str) -> set[str]:
    """The beginnings of a text's longer words, by which an inflected word is known again."""
    return {word[:5] for word in re.findall(r"[^\W\d_]{3,}", text.lower())} - {"video", "the", "and", "with", "from"}
