"""Who watched, and what that says: the curve by sentences, and what kinds of scripts keep an audience."""

from __future__ import annotations

import json
import logging
import random
import re
import statistics
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from shared.core.errors import ForgeError
from shared.core.store import Row, Store
from shared.core.time import format_time, parse_time
from shared.studio.channel import Channels
from shared.studio.publication import take
from shared.studio.words import count_words

log = logging.getLogger("personaforge.audience")
DAY = timedelta(days=1)  # earlier: YouTube counts days in California
DELAY = timedelta(days=3)  # after which YouTube's numbers are whole
ENOUGH = 200  # views under which a curve is noise
PRIOR = 20  # films that weigh as much as the judge
CHANCE, SHUFFLES = 0.05, 2000  # of all features together that one of them is chance, tested by so many shuffles
SIDE = 4  # films with a feature, and without it, that are the least
POINT = 20  # judge's wins that all of the audience is worth: five points of retention are one pair won
SAID = {
    "question": "Films that open with a question",
    "short_opening": "Films with a first sentence of eight words or fewer",
    "addressed": "Films that say you at the beginning",
    "numbers": "Films with a number in the first two sentences",
    "short_sentences": "Films with ten words a sentence or fewer",
    "long_words": "Films with many long words",
}


class Lost(BaseModel):
    """A sentence, and how many of a hundred viewers stopped while it was heard. start, end: in seconds."""

    number: int
    text: str
    start: float
    end: float
    lost: float


class Effect(BaseModel):
    """What goes with a feature of scripts: points of retention (hundredths) more or less, in so many films."""

    feature: str
    points: float
    films: int
    certain: bool = Field(description="Whether it is more than chance, so that it is used.")


class Learned(BaseModel):
    """weight: of the audience against the judge, n/(n+20)."""

    films: int
    weight: float
    effects: list[Effect]

    def prior(self, found: dict[str, bool]) -> float:
        """Points that a script with these features can expect over the usual one."""
        used = {one.feature: one.points for one in self.effects if one.certain}
        return sum(points for feature, points in used.items() if found.get(feature))

    def reasons(self, found: dict[str, bool]) -> list[str]:
        return [
            f"{SAID[one.feature]} kept {abs(one.points):.0f} points {'more' if one.points > 0 else 'less'}."
            for one in self.effects if one.certain and found.get(one.feature)
        ]  # fmt: skip


@dataclass(frozen=True)
class Sentence:
    """As it was heard, in seconds of the film."""

    text: str
    start: float
    end: float


def features(sentences: list[str]) -> dict[str, bool]:
    """Of a script, counted."""
    first, opening = (sentences or [""])[0], " ".join(sentences[:2]).lower()
    words = [word for one in sentences for word in re.findall(r"\w+", one)]
    return {
        "question": first.rstrip().endswith(("?", "\uff1f", "\u061f")),
        "short_opening": 0 < count_words(first) <= 8,
        "addressed": re.search(r"\byou(r|rs)?\b", opening) is not None,
        "numbers": re.search(r"\d", opening) is not None,
        "short_sentences": bool(sentences) and sum(map(count_words, sentences)) / len(sentences) <= 10,
        "long_words": bool(words) and sum(len(word) >= 10 for word in words) / len(words) > 0.08,
    }


def heard(timing: dict[str, Any]) -> list[Sentence]:
    """The sentences of a voiceover. timing: as shared/studio/voiceover.py keeps it."""
    by: dict[int, list[list[Any]]] = {}
    for word in timing["words"]:
        by.setdefault(word[3], []).append(word)
    return [Sentence(_text(words), words[0][1], words[-1][2]) for _, words in sorted(by.items())]


def _text(words: list[list[Any]]) -> str:
    return "".join(word[0] if word[4] else f" {word[0]}" for word in words).strip()


def by_sentence(sentences: list[Sentence], curve: list[float], seconds: float) -> list[Lost]:
    """Where the curve falls: from the beginning of each sentence to that of the next."""
    if not curve or not seconds:
        return []
    found = []
    for number, one in enumerate(sentences):
        until = sentences[number + 1].start if number + 1 < len(sentences) else seconds
        lost = 100 * (at(curve, one.start / seconds) - at(curve, until / seconds))
        found.append(Lost(number=number + 1, text=one.text, start=one.start, end=until, lost=round(lost, 1)))
    return found


def at(curve: list[float], share: float) -> float:
    """The share that still watches at a share of the film; the curve has the ends of equal parts, and begins whole."""
    place = min(1.0, max(0.0, share)) * len(curve)
    before = int(place)
    left = curve[before - 1] if before else max(1.0, curve[0])
    right = curve[min(before, len(curve) - 1)]
    return left + (right - left) * (place - before)


def learn(films: list[Row]) -> Learned:
    """From films with `features` and `watched`. An effect counts when it is more than chance: rarely do as many films,
    dealt out at random to both kinds, differ as much (a permutation test, with Bonferroni's share of each feature)."""
    effects = []
    for feature in SAID:
        split: dict[bool, list[float]] = {True: [], False: []}
        for one in films:
            split[bool(one["features"].get(feature))].append(float(one["watched"]))
        have, lack = split[True], split[False]
        if len(have) < SIDE or len(lack) < SIDE:
            continue
        difference = statistics.fmean(have) - statistics.fmean(lack)
        certain = not _may_be_chance(have, lack)
        points = round(100 * difference, 1)
        effects.append(Effect(feature=feature, points=points, films=len(have) + len(lack), certain=certain))
    return Learned(films=len(films), weight=round(len(films) / (len(films) + PRIOR), 3), effects=effects)


def _may_be_chance(have: list[float], lack: list[float]) -> bool:
    dice, films = random.Random(0), [*have, *lack]  # noqa: S311  # the same films always say the same
    count, whole = len(have), sum(films)
    difference = abs(sum(have) / count - sum(lack) / len(lack))
    allowed, exceeded = SHUFFLES * CHANCE / len(SAID), 0
    for _ in range(SHUFFLES):
        some = sum(dice.sample(films, count))
        exceeded += abs(some / count - (whole - some) / len(lack)) >= difference - 1e-9
        if exceeded > allowed:
            return True
    return False


async def learned(store: Store, owner: UUID) -> Learned:
    """From all films of this owner that enough have watched."""
    query = store.as_service().from_("publications").select("features,watched").eq("owner", str(owner))
    query = query.gte("views", ENOUGH).not_.is_("watched", "null").not_.is_("features", "null")
    return learn(await store.rows(query.order("published_at", desc=True).limit(500)))


def reordered(scripts: list[dict[str, Any]], known: Learned) -> list[dict[str, Any]]:
    """Scripts in the judge's order, put into the order that takes the audience into account; each says where it was."""
    judged = {one["id"]: one["wins"] + one["score"] / 10 for one in scripts}
    priors = {one["id"]: features([said["text"] for said in one["sentences"]]) for one in scripts}

    def worth(one: dict[str, Any]) -> float:
        expected = known.prior(priors[one["id"]]) / 100
        total: float = (1 - known.weight) * judged[one["id"]] + known.weight * POINT * expected
        return total

    order = sorted(scripts, key=lambda one: (-worth(one), one["rank"]))
    return [
        {**one, "rank": place, "rank_before": one["rank"], "learned": known.reasons(priors[one["id"]])}
        for place, one in enumerate(order, 1)
    ]


async def look(store: Store, channels: Channels, row: Row) -> None:
    """Ask YouTube about one film, and keep what it says. Empty answers are none yet. Raises ForgeError."""
    owner, video = UUID(row["owner"]), row["video_id"]
    youtube = await channels.youtube(owner, row["channel_id"])
    await take(store, 3)
    found = await youtube.video(video)
    table = store.as_service().from_("publications")
    change: Row = {"looked_at": format_time(youtube.clock)}
    if found is None:
        change |= {"state": "removed", "problem": "It was deleted at YouTube."}
    elif row["state"] == "scheduled" and found["status"]["privacyStatus"] == "public":
        change |= {"state": "public", "published_at": row["publish_at"] or found["snippet"]["publishedAt"]}
    published = change.get("published_at") or row["published_at"]
    if found and not published and found["status"]["privacyStatus"] == "public":
        published = change["published_at"] = found["snippet"]["publishedAt"]
    last = (youtube.clock - DELAY).date()
    if published and found and (first := parse_time(published).date() - DAY) <= last:
        change |= await _numbers(store, youtube, row, first, last)
    await store.rows(table.update(change).eq("project_id", row["project_id"]))


async def _numbers(store: Store, youtube: Any, row: Row, first: date, last: date) -> Row:
    video, project = row["video_id"], row["project_id"]
    earned = ("estimatedRevenue",) if youtube.monetary else ()
    metrics = ("views", "engagedViews", "estimatedMinutesWatched", *earned)
    days = await youtube.report(video, "day", metrics, str(first), str(last))
    kept = [
        {
            "project_id": project, "owner": row["owner"], "day": one["day"], "views": one["views"],
            "engaged_views": one["engagedViews"], "minutes": one["estimatedMinutesWatched"],
            "revenue": one.get("estimatedRevenue"),
        }
        for one in days
    ]  # fmt: skip
    if not kept:
        return {}
    await store.rows(store.as_service().from_("video_days").upsert(kept))
    change: Row = {"views": sum(one["views"] for one in kept)}
    rows = await youtube.report(video, "elapsedVideoTimeRatio", ("audienceWatchRatio",), str(first), str(last))
    curve = [one["audienceWatchRatio"] for one in sorted(rows, key=lambda one: one["elapsedVideoTimeRatio"])]
    if curve:
        spoken = await sentences_of(store, project)
        change |= {"retention": curve, "watched": round(min(9.0, statistics.fmean(curve)), 4)}
        change |= {"features": features([one.text for one in spoken])} if spoken else {}
    return change


async def sentences_of(store: Store, project: str) -> list[Sentence]:
    """As they are heard in a finished film; none where its voice is not kept."""
    query = store.as_service().from_("steps").select("result").eq("project_id", project).eq("stage", "voice")
    rows = await store.rows(query.order("ended_at", desc=True).limit(1))
    if not rows or not rows[0]["result"]:
        return []
    try:
        return heard(json.loads(await store.get(rows[0]["result"]["timing"])))
    except ForgeError as error:
        log.warning("the voice of project %s cannot be read: %s", project, error.detail)
        return []
