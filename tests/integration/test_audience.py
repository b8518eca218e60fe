"""The audience of a film comes back: by day, by sentence, and into the order of the next scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from local.stack import Stack
from tests.integration.test_publishing import Publisher
from tests.support import finished, forked
from tests.support.operator import rest
from tests.support.person import Person
from tests.support.projects import begin, until, waits

pytestmark = pytest.mark.slow
DAY = 24 * 3600
SENTENCES = (
    ("What falls here?", 0.0, 4.0),
    ("Rain does.", 4.0, 8.0),
    ("It is called weather.", 8.0, 12.0),
    ("So it is.", 12.0, 19.0),
)
CURVE = [1 - 0.002 * place - (0.3 if place > 50 else 0.0) for place in range(100)]


@pytest.fixture
def publisher(stack: Stack, sign_up: Callable[[], Person]) -> Any:
    made = Publisher(stack, sign_up())
    made.tell("_quota", started=0)
    with rest(stack) as service:
        service.delete("/youtube_quota", params={"used": "gte.0"}).raise_for_status()
    made.connect()
    yield made
    made.tell("_clock", ahead_s=0)


def spoken(stack: Stack, person: Person, film: dict[str, Any]) -> None:
    """Its voice, as the studio keeps it."""
    words = []
    for number, (text, start, end) in enumerate(SENTENCES):
        pace = (end - start) / len(text.split())
        words += [
            [word, start + pace * n, start + pace * (n + 1), number, False] for n, word in enumerate(text.split())
        ]
    timing = finished.put(stack, person.id, json.dumps({"words": words, "characters": []}).encode(), "application/json")
    step = {"project_id": film["id"], "owner": person.id, "stage": "voice", "key": "1", "result": {"timing": timing}}
    with rest(stack) as service:
        service.post("/steps", json=step).raise_for_status()


def test_who_watched_comes_back_by_day_and_by_sentence(stack: Stack, publisher: Publisher) -> None:
    """Nothing in the first three days, which is no error; then days, a curve, and the sentence where it falls."""
    film = finished.film(stack, publisher.person)
    spoken(stack, publisher.person, film)
    publisher.publish(film, privacy="public").raise_for_status()
    assert publisher.done(film)["publication"]["state"] == "public"
    (video,) = publisher.films()
    where = f"/v1/projects/{film['id']}/analytics"
    publisher.tell(f"_views/{video}", views=120, curve=CURVE)
    forked.call("analytics", stack.settings)
    early = publisher.person.http.get(where).json()
    assert (early["days"], early["curve"], early["enough"]) == ([], [], False)
    publisher.tell("_clock", ahead_s=10 * DAY)
    forked.call("analytics", stack.settings)
    few = publisher.person.http.get(where).json()
    assert (len(few["days"]), few["views"], few["enough"]) == (8, 120, False)
    assert publisher.person.http.get("/v1/analytics").json()["learned"]["films"] == 0
    publisher.tell(f"_views/{video}", views=800, curve=CURVE)
    forked.call("analytics", stack.settings)
    found = publisher.person.http.get(where).json()
    assert (found["enough"], found["views"], len(found["curve"])) == (True, 800, 100)
    assert found["curve"] == pytest.approx(CURVE)
    worst = max(found["sentences"], key=lambda one: one["lost"])
    assert (worst["number"], worst["text"]) == (3, "It is called weather.")
    assert worst["lost"] == pytest.approx(34, abs=1)
    overview = publisher.person.http.get("/v1/analytics").json()
    assert overview["revenue"] == pytest.approx(sum(one["revenue"] for one in found["days"]))
    assert overview["revenue"] == pytest.approx(800 * 0.002, abs=0.01)
    assert (overview["published"], overview["views"], overview["learned"]["films"]) == (1, 800, 1)
    assert overview["results"][0]["watched"] == pytest.approx(sum(CURVE) / 100, abs=0.001)


def test_a_channel_that_does_not_show_what_it_earns_is_read_all_the_same(stack: Stack, publisher: Publisher) -> None:
    """The consent to that is not asked for twice: no revenue is told, and no error."""
    back = publisher.consent("unpaid")
    given = {"state": back["state"], "code": back["code"]}
    assert publisher.person.http.post("/v1/channels", json=given).status_code == 201
    publisher.person.http.post(f"/v1/channels/{publisher.channel}/confirm").raise_for_status()
    film = finished.film(stack, publisher.person)
    publisher.publish(film, privacy="public").raise_for_status()
    publisher.done(film)
    (video,) = publisher.films()
    publisher.tell(f"_views/{video}", views=300, curve=CURVE)
    publisher.tell("_clock", ahead_s=10 * DAY)
    forked.call("analytics", stack.settings)
    found = publisher.person.http.get(f"/v1/projects/{film['id']}/analytics").json()
    assert (found["views"] > 200, {one["revenue"] for one in found["days"]}) == (True, {None})
    assert publisher.person.http.get("/v1/analytics").json()["revenue"] is None


def test_a_film_that_becomes_public_at_its_time_is_known_to_be(stack: Stack, publisher: Publisher) -> None:
    """By the schedule; one that its owner deletes at YouTube is known to be gone."""
    film = finished.film(stack, publisher.person)
    publisher.publish(film, privacy="public", at="2027-01-01T09:00:00Z").raise_for_status()
    assert publisher.done(film)["publication"]["state"] == "scheduled"
    publisher.tell("_clock", ahead_s=400 * DAY)
    forked.call("analytics", stack.settings)
    shown = publisher.look(film)["publication"]
    assert (shown["state"], shown["published_at"]) == ("public", "2027-01-01T09:00:00Z")


def test_what_was_learned_is_in_the_order_of_the_next_scripts(
    stack: Stack, publisher: Publisher, portrait_png: bytes
) -> None:
    """Twenty films in which short openings kept an audience: each script says where it was before, and why it moved."""
    rows = []
    with rest(stack) as service:
        films = [{"owner": publisher.person.id, "input": {"idea": "one"}, "status": "succeeded"} for _ in range(20)]
        of_all: dict[str, Any] = {
            "owner": publisher.person.id,
            "channel_id": publisher.channel,
            "wanted": {"title": "One"},
        }
        of_all |= {"privacy": "public", "state": "public", "views": 900}
        lacking = dict.fromkeys(("addressed", "numbers", "long_words"), False)
        for number, project in enumerate(service.post("/projects", json=films).raise_for_status().json()):
            kept = number % 2 == 0
            known = {**lacking, "short_opening": kept, "question": True, "short_sentences": True}
            watched = {"video_id": uuid4().hex[:11], "watched": 0.4 + 0.2 * kept + 0.01 * (number % 5)}
            rows.append({**of_all, **watched, "project_id": project["id"], "features": known})
        service.post("/publications", json=rows).raise_for_status()
    learned = publisher.person.http.get("/v1/analytics").json()["learned"]
    assert (learned["films"], learned["weight"]) == (20, 0.5)
    assert [one["feature"] for one in learned["effects"] if one["certain"]] == ["short_opening"]
    persona = publisher.person.persona(portrait_png)
    project = until(publisher.person, begin(publisher.person, persona), waits("script"))
    scripts = project["scripts"]
    assert [one["rank"] for one in scripts] == [1, 2, 3]
    assert sorted(one["rank_before"] for one in scripts) == [1, 2, 3]
    for one in scripts:
        short = len(one["sentences"][0]["text"].split()) <= 8
        assert ("first sentence of eight words" in " ".join(one["learned"])) is short
