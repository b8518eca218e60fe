"""A film goes out to YouTube once, at its time, and never to more people than it should."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from local.stack import Stack
from tests.support import finished, forked
from tests.support.operator import reconcile, rest
from tests.support.person import Person
from tests.support.proxy import Proxy

pytestmark = pytest.mark.slow


class Publisher:
    """Somebody with a channel; and YouTube, as its owner sees it."""

    def __init__(self, stack: Stack, person: Person) -> None:
        self.stack, self.person, self.youtube = stack, person, stack.addresses["youtube"]
        self.channel = f"UC{uuid4().hex[:20]}"

    def tell(self, what: str, **given: Any) -> None:
        httpx.post(f"{self.youtube}/{what}", json=given, trust_env=False).raise_for_status()

    def consent(self, what: str = "allow", channel: str = "") -> dict[str, str]:
        """Go to Google and back; returns what the page is sent back with."""
        asked = self.person.http.post("/v1/channels/consent").raise_for_status().json()["url"]
        address = asked.replace("/consent?", f"/consent/{what}?") + f"&channel={channel or self.channel}"
        back = httpx.post(address, trust_env=False).headers["location"]
        assert back.startswith(f"{self.stack.url}/studio/connect?")
        return {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}

    def connect(self) -> None:
        back = self.consent()
        given = {"state": back["state"], "code": back["code"]}
        found = self.person.http.post("/v1/channels", json=given)
        assert found.status_code == 201, found.text
        assert found.json()["title"] == f"Channel {self.channel[2:]}"
        self.person.http.post(f"/v1/channels/{self.channel}/confirm").raise_for_status()

    def publish(self, film: dict[str, Any], **given: Any) -> httpx.Response:
        body = {"channel": self.channel, "title": "Why the sea is salt", **given}
        return self.person.http.post(f"/v1/projects/{film['id']}/publication", json=body)

    def look(self, film: dict[str, Any]) -> dict[str, Any]:
        return dict(self.person.http.get(f"/v1/projects/{film['id']}").raise_for_status().json())

    def until(
        self, film: dict[str, Any], reached: Callable[[dict[str, Any]], bool], seconds: float = 30
    ) -> dict[str, Any]:
        limit = time.monotonic() + seconds
        while True:
            found = self.look(film)
            if reached(found):
                return found
            assert time.monotonic() < limit, found
            time.sleep(0.1)

    def done(self, film: dict[str, Any]) -> dict[str, Any]:
        """Until it has succeeded or failed."""
        return self.until(film, lambda found: found["status"] in ("succeeded", "failed"))

    def soon(self, film: dict[str, Any]) -> None:
        """What it waits for is over, and the schedule comes by."""
        with rest(self.stack) as service:
            where = {"id": f"eq.{film['id']}"}
            service.patch("/projects", params=where, json={"wake_at": "2026-01-01T00:00:00Z"}).raise_for_status()
        reconcile(self.stack)

    def films(self) -> dict[str, dict[str, Any]]:
        """At YouTube, of this channel."""
        found = httpx.get(f"{self.youtube}/_videos", trust_env=False).json()["videos"]
        return {id: one for id, one in found.items() if one["channel"] == self.channel}

    def film(self, of: dict[str, Any]) -> dict[str, Any]:
        """The only one there, which is this one byte for byte."""
        (found,) = self.films().values()
        assert found["sha256"] == hashlib.sha256(of["bytes"]).hexdigest()
        return found


@pytest.fixture(scope="module")
def owner(sign_up: Callable[[], Person]) -> Person:
    return sign_up()


@pytest.fixture
def publisher(stack: Stack, owner: Person) -> Iterator[Publisher]:
    made = Publisher(stack, owner)
    made.tell("_quota", started=0)
    with rest(stack) as service:
        service.delete("/youtube_quota", params={"used": "gte.0"}).raise_for_status()
    made.connect()
    yield made
    made.tell("_clock", ahead_s=0)
    made.tell("_outcome")


def test_a_film_is_published_with_all_that_belongs_to_it(stack: Stack, publisher: Publisher) -> None:
    """Uploaded privately, then public: title, credits, disclosure, thumbnail, captions, said to be made with AI."""
    film = finished.film(stack, publisher.person)
    answer = publisher.publish(
        film, description="It rained.", tags=["sea", "salt water"], privacy="public", captions=True, thumbnail=2
    )
    assert (answer.status_code, answer.json()["state"]) == (201, "uploading")
    shown = publisher.done(film)
    assert (shown["status"], shown["publication"]["state"]) == ("succeeded", "public"), shown["error"]
    video = publisher.film(film)
    assert shown["publication"]["url"] == f"https://www.youtube.com/watch?v={next(iter(publisher.films()))}"
    assert video["snippet"]["title"] == "Why the sea is salt"
    text = video["snippet"]["description"]
    assert text.startswith("It rained.")
    assert finished.CREDITS[0] in text
    assert "made with AI" in text
    assert video["snippet"]["tags"] == ["sea", "salt water", f"pf-{film['id']}"]
    status = video["status"]
    assert (status["privacyStatus"], status["containsSyntheticMedia"]) == ("public", True)
    assert status["selfDeclaredMadeForKids"] is False
    assert video["thumbnail"] == hashlib.sha256(finished.picture(2)).hexdigest()
    assert [one["language"] for one in video["captions"]] == ["en"]
    again = publisher.publish(film)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert len(publisher.films()) == 1


def test_a_film_becomes_public_at_its_time_which_can_be_moved_and_canceled(stack: Stack, publisher: Publisher) -> None:
    """YouTube's clock counts: private until then, read back and compared; unlisted afterwards, if wanted."""
    film = finished.film(stack, publisher.person)
    at = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    publisher.publish(film, privacy="public", at=at.isoformat()).raise_for_status()
    shown = publisher.done(film)
    assert (shown["status"], shown["publication"]["state"]) == ("succeeded", "scheduled"), shown["error"]
    status = publisher.film(film)["status"]
    assert (status["privacyStatus"], status["publishAt"]) == ("private", at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    later = at + timedelta(hours=1)
    where = f"/v1/projects/{film['id']}/publication"
    moved = publisher.person.http.patch(where, json={"privacy": "public", "at": later.isoformat()})
    assert (moved.status_code, moved.json()["state"]) == (200, "scheduled"), moved.text
    publisher.tell("_clock", ahead_s=2.5 * 3600)
    assert publisher.film(film)["status"]["privacyStatus"] == "private"
    publisher.tell("_clock", ahead_s=3.5 * 3600)
    assert publisher.film(film)["public_since"] == later.strftime("%Y-%m-%dT%H:%M:%SZ")
    publisher.tell("_clock", ahead_s=0)
    hidden = publisher.person.http.patch(where, json={"privacy": "unlisted"}).json()
    assert hidden["state"] == publisher.film(film)["status"]["privacyStatus"] == "unlisted"
    second = finished.film(stack, publisher.person)
    publisher.publish(second, privacy="public", at=at.isoformat()).raise_for_status()
    publisher.done(second)
    canceled = publisher.person.http.patch(f"/v1/projects/{second['id']}/publication", json={"privacy": "private"})
    assert canceled.json()["state"] == "private"
    publisher.tell("_clock", ahead_s=3 * 3600)
    assert [one["status"]["privacyStatus"] for one in publisher.films().values()] == ["unlisted", "private"]


@pytest.mark.parametrize("code", ["lost", "partial", "none", "gone"])
def test_what_goes_wrong_with_a_piece_makes_no_second_film(
    stack: Stack, publisher: Publisher, fault: Callable[..., None], code: str
) -> None:
    """An answer that is lost, a piece that is kept in part, a session that ended before and after all had arrived."""
    film = finished.film(stack, publisher.person, size=900_000)
    fault("youtube", path="/upload/session", code=code, calls=3 if code != "gone" else 1)
    publisher.publish(film, privacy="unlisted").raise_for_status()
    if code == "gone":  # looked for once more a minute later
        waiting = publisher.until(film, lambda found: found["status"] == "ready" and found["error"] is not None)
        assert waiting["error"]["code"] == "provider_busy"
        publisher.soon(film)
    assert publisher.done(film)["status"] == "succeeded"
    assert publisher.film(film)["status"]["privacyStatus"] == "unlisted"


def test_a_film_that_had_arrived_is_found_again_when_its_session_is_gone(
    stack: Stack, publisher: Publisher, fault: Callable[..., None]
) -> None:
    """The last answer was lost, and then the session ended: the channel's films are looked through for our mark."""
    film = finished.film(stack, publisher.person)
    fault("youtube", path="/upload/session", code="", calls=1)  # the question where it stands
    fault("youtube", path="/upload/session", code="lost", calls=1)
    fault("youtube", path="/upload/session", code="gone", calls=1)
    publisher.publish(film).raise_for_status()
    assert publisher.done(film)["status"] == "succeeded"
    publisher.film(film)


def test_an_access_token_that_ends_in_the_middle_is_renewed(stack: Stack, publisher: Publisher) -> None:
    """They last an hour; the session goes on."""
    film = finished.film(stack, publisher.person)
    publisher.tell("_expire")
    publisher.publish(film).raise_for_status()
    assert publisher.done(film)["status"] == "succeeded"


def test_a_consent_that_is_withdrawn_is_said_and_given_again(stack: Stack, publisher: Publisher) -> None:
    """The project stops with words, the channel shows it, and a retry after connecting goes on: still one film."""
    film = finished.film(stack, publisher.person)
    httpx.post(f"{publisher.youtube}/_revoke", params={"channel": publisher.channel}, trust_env=False)
    publisher.publish(film).raise_for_status()
    stopped = publisher.done(film)
    assert (stopped["status"], stopped["error"]["code"]) == ("failed", "needs_reconnect")
    (channel,) = [
        one for one in publisher.person.http.get("/v1/channels").json()["results"] if one["id"] == publisher.channel
    ]
    assert channel["state"] == "needs_reconnect"
    publisher.connect()
    publisher.person.http.post(f"/v1/projects/{film['id']}/retry").raise_for_status()
    assert publisher.done(film)["status"] == "succeeded"
    publisher.film(film)


def test_a_time_that_youtube_does_not_keep_is_noticed(
    stack: Stack, publisher: Publisher, fault: Callable[..., None]
) -> None:
    """It is read back: the film stays private, the project stops, and a retry sets it."""
    film = finished.film(stack, publisher.person)
    at = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    fault("youtube", path="/youtube/v3/videos", code="ignored", calls=5)
    publisher.publish(film, privacy="public", at=at.isoformat()).raise_for_status()
    stopped = publisher.done(film)
    assert (stopped["status"], stopped["error"]["code"]) == ("failed", "not_publishable")
    assert "YouTube keeps it private" in stopped["error"]["detail"]
    httpx.delete(f"{publisher.youtube}/_faults", trust_env=False)
    publisher.person.http.post(f"/v1/projects/{film['id']}/retry").raise_for_status()
    assert publisher.done(film)["publication"]["state"] == "scheduled"
    assert publisher.film(film)["public_since"] is None


def test_a_thumbnail_or_captions_that_are_refused_stop_nothing(
    stack: Stack, publisher: Publisher, fault: Callable[..., None]
) -> None:
    """Some channels may not have their own: YouTube chooses a frame, and the step says why."""
    film = finished.film(stack, publisher.person)
    fault("youtube", path="/upload/youtube/v3/thumbnails", status=403, code="forbidden")
    fault("youtube", path="/upload/youtube/v3/captions", status=403, code="forbidden")
    publisher.publish(film, captions=True).raise_for_status()
    assert publisher.done(film)["status"] == "succeeded"
    steps = publisher.person.http.get(f"/v1/projects/{film['id']}/history").json()["steps"]
    made = {one["key"]: one["result"] for one in steps}
    assert (made["thumbnail"]["set"], made["captions"]["added"]) == (False, False)
    assert "403" in made["thumbnail"]["why"]
    assert publisher.film(film)["thumbnail"] is None


def test_a_consent_that_is_withdrawn_in_the_middle_loses_nothing(
    stack: Stack, publisher: Publisher, fault: Callable[..., None]
) -> None:
    """What was sent is there; connected again and retried, it goes on where it stopped."""
    film = finished.film(stack, publisher.person)
    fault("youtube", path="/upload/session", delay_s=0.7, calls=3)
    publisher.publish(film, privacy="unlisted").raise_for_status()
    publisher.until(film, lambda found: "Uploading" in found["progress"])
    httpx.post(f"{publisher.youtube}/_revoke", params={"channel": publisher.channel}, trust_env=False)
    stopped = publisher.done(film)
    assert (stopped["status"], stopped["error"]["code"]) == ("failed", "needs_reconnect")
    publisher.connect()
    publisher.person.http.post(f"/v1/projects/{film['id']}/retry").raise_for_status()
    assert publisher.done(film)["publication"]["state"] == "unlisted"
    publisher.film(film)


@pytest.mark.parametrize("ahead_s", [-300, 300])
def test_clocks_that_differ_by_five_minutes_change_no_time(stack: Stack, publisher: Publisher, ahead_s: int) -> None:
    """Whoever is right: the film is private until YouTube's clock says so."""
    publisher.tell("_clock", ahead_s=ahead_s)
    film = finished.film(stack, publisher.person)
    at = (datetime.now(UTC) + timedelta(minutes=16)).replace(microsecond=0)
    publisher.publish(film, privacy="public", at=at.isoformat()).raise_for_status()
    assert publisher.done(film)["publication"]["state"] == "scheduled"
    assert publisher.film(film)["public_since"] is None
    publisher.tell("_clock", ahead_s=17 * 60)
    assert publisher.film(film)["public_since"] == at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_time_that_has_passed_meanwhile_publishes_nothing(stack: Stack, publisher: Publisher) -> None:
    """It waited too long for a worker: another time is chosen, and a retry keeps to it."""
    publisher.tell("_clock", ahead_s=5 * 3600)
    film = finished.film(stack, publisher.person)
    at = datetime.now(UTC) + timedelta(hours=1)
    publisher.publish(film, privacy="public", at=at.isoformat()).raise_for_status()
    stopped = publisher.done(film)
    assert (stopped["status"], stopped["error"]["code"]) == ("failed", "not_publishable")
    assert "is over" in stopped["error"]["detail"]
    assert publisher.film(film)["public_since"] is None
    later = (datetime.now(UTC) + timedelta(hours=9)).replace(microsecond=0)
    where = f"/v1/projects/{film['id']}/publication"
    publisher.person.http.patch(where, json={"privacy": "public", "at": later.isoformat()}).raise_for_status()
    publisher.person.http.post(f"/v1/projects/{film['id']}/retry").raise_for_status()
    assert publisher.done(film)["publication"]["state"] == "scheduled"


def test_a_long_film_needs_a_verified_channel(stack: Stack, publisher: Publisher) -> None:
    """YouTube takes 15 minutes of others; nothing is sent."""
    film = finished.film(stack, publisher.person, seconds=901)
    publisher.publish(film).raise_for_status()
    stopped = publisher.done(film)
    assert (stopped["status"], "phone number" in stopped["error"]["detail"]) == ("failed", True)
    assert publisher.films() == {}


def test_a_wish_without_a_decision_publishes_nothing(stack: Stack, publisher: Publisher) -> None:
    """An approval that came too late left a wish behind; whoever approves later without one publishes nothing."""
    film = finished.film(stack, publisher.person)
    with rest(stack) as service:
        where = {"id": f"eq.{film['id']}"}
        closed = {"status": "waiting", "waiting_for": "film", "stage": "review", "gate_until": "2026-01-01T00:00:00Z"}
        service.patch("/projects", params=where, json=closed).raise_for_status()
        steps = [("voice", "1", {"seconds": 20})]
        rows = [
            {"project_id": film["id"], "owner": publisher.person.id, "stage": s, "key": k, "result": r}
            for s, k, r in steps
        ]
        service.post("/steps", json=rows).raise_for_status()
        wanted = {"channel": publisher.channel, "title": "One", "privacy": "public"}
        approve = f"/v1/projects/{film['id']}/approve"
        late = publisher.person.http.post(approve, json={"round": 1, "publish": wanted})
        assert late.status_code == 409
        assert service.get("/publications", params={"project_id": f"eq.{film['id']}"}).json() != []
        service.patch("/projects", params=where, json={"gate_until": "2027-01-01T00:00:00Z"}).raise_for_status()
    publisher.person.http.post(approve, json={"round": 1}).raise_for_status()
    assert publisher.done(film)["status"] == "succeeded"
    assert publisher.films() == {}


def test_a_film_that_is_canceled_before_it_is_shown_stays_private(
    stack: Stack, publisher: Publisher, fault: Callable[..., None]
) -> None:
    """Also when its worker died meanwhile; what is at YouTube can be hidden and shown all the same."""
    film = finished.film(stack, publisher.person)
    fault("youtube", path="/upload/youtube/v3/thumbnails", delay_s=1.5)
    publisher.publish(film, privacy="public").raise_for_status()
    publisher.until(film, lambda found: (found["publication"] or {}).get("state") == "processing")
    publisher.person.http.post(f"/v1/projects/{film['id']}/cancel").raise_for_status()
    assert publisher.until(film, lambda found: found["status"] == "canceled")
    assert publisher.film(film)["public_since"] is None
    where = f"/v1/projects/{film['id']}/publication"
    shown = publisher.person.http.patch(where, json={"privacy": "unlisted"})
    assert (shown.status_code, shown.json()["state"]) == (200, "unlisted"), shown.text
    assert publisher.film(film)["status"]["privacyStatus"] == "unlisted"


def test_what_is_scheduled_is_not_deleted_under_it(stack: Stack, publisher: Publisher) -> None:
    """YouTube would publish it all the same: private first. A time with fractions is kept in whole seconds."""
    film = finished.film(stack, publisher.person)
    at = datetime.now(UTC).replace(microsecond=654_321) + timedelta(hours=2)
    publisher.publish(film, privacy="public", at=at.isoformat()).raise_for_status()
    assert publisher.done(film)["publication"]["state"] == "scheduled"
    refused = publisher.person.http.delete(f"/v1/projects/{film['id']}")
    assert (refused.status_code, "private first" in refused.json()["detail"]) == (409, True)
    where = f"/v1/projects/{film['id']}/publication"
    assert publisher.person.http.patch(where, json={"privacy": "private"}).json()["state"] == "private"
    assert publisher.person.http.delete(f"/v1/projects/{film['id']}").status_code == 204
    far = publisher.person.http.patch(where, json={"privacy": "public", "at": "9999-12-31T23:59:59-12:00"})
    assert far.status_code == 422


def test_words_that_youtube_refuses_can_be_changed(
    stack: Stack, publisher: Publisher, fault: Callable[..., None]
) -> None:
    """The project stops; another wish begins anew, after the channel was looked through."""
    film = finished.film(stack, publisher.person)
    fault("youtube", path="/upload/youtube/v3/videos", status=400, code="invalidCategoryId")
    publisher.publish(film, category="99").raise_for_status()
    assert publisher.done(film)["status"] == "failed"
    publisher.publish(film, category="27", title="Another title").raise_for_status()
    assert publisher.done(film)["status"] == "succeeded"
    assert publisher.film(film)["snippet"]["title"] == "Another title"


def test_what_youtube_rejects_is_told_in_words(stack: Stack, publisher: Publisher) -> None:
    """Duplicates, copyright, files that cannot be read."""
    for outcome, words in (
        ({"uploadStatus": "rejected", "rejectionReason": "duplicate"}, "rejected it: the channel has the same film"),
        ({"uploadStatus": "failed", "failureReason": "codec"}, "failed it: its codec is not known"),
    ):
        film = finished.film(stack, publisher.person)
        publisher.tell("_outcome", **outcome)
        publisher.publish(film, privacy="public").raise_for_status()
        stopped = publisher.done(film)
        assert (stopped["status"], stopped["error"]["code"]) == ("failed", "not_publishable")
        assert words in stopped["error"]["detail"]
        assert stopped["publication"]["state"] == "rejected"
    assert all(one["public_since"] is None for one in publisher.films().values())


def test_quotas_are_counted_before_youtube_refuses(stack: Stack, publisher: Publisher) -> None:
    """A hundred uploads a day, ours as YouTube's; the film waits for the next one, and nothing is sent."""
    publisher.tell("_quota", started=100)
    film = finished.film(stack, publisher.person)
    publisher.publish(film).raise_for_status()
    waiting = publisher.until(film, lambda found: found["error"] is not None)
    assert (waiting["status"], waiting["error"]["code"]) == ("ready", "quota_used_up")
    assert "tomorrow" in waiting["error"]["detail"]
    publisher.tell("_quota", started=0)
    with rest(stack) as service:
        service.patch("/youtube_quota", params={"bucket": "eq.uploads"}, json={"used": 100}).raise_for_status()
        (row,) = service.get("/projects", params={"id": f"eq.{film['id']}"}).json()
        hours = (datetime.fromisoformat(row["wake_at"]) - datetime.now(UTC)).total_seconds() / 3600
        assert 0 < hours <= 24.1
    publisher.soon(film)
    time.sleep(2)
    assert httpx.get(f"{publisher.youtube}/_videos", trust_env=False).json()["started"] == 0
    with rest(stack) as service:
        service.delete("/youtube_quota", params={"bucket": "eq.uploads"}).raise_for_status()
    publisher.soon(film)
    assert publisher.done(film)["status"] == "succeeded"
    publisher.film(film)


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"title": "x" * 101}, "100"),
    ({"title": "a < b"}, "no <"),
    ({"title": " "}, "title"),
    ({"description": "\U0001f600" * 1240}, "an emoji is four"),
    ({"description": "x" * 5001}, "5000"),
    ({"tags": ["y" * 90] * 6}, "500"),
    ({"channel": "UCsomebodyelse"}, "no such channel"),
    ({"shape": "tall"}, "no shape tall"),
    ({"privacy": "unlisted", "at": "2027-01-01T00:00:00Z"}, "privacy public"),
    ({"privacy": "public", "at": "2026-01-01T00:00:00Z"}, "lies in the past"),
    ({"privacy": "public", "at": "2027-01-01T00:00:00"}, "offset"),
    ({"thumbnail": 3}, "2"),
)


def test_what_youtube_would_refuse_is_refused_at_once(stack: Stack, publisher: Publisher) -> None:
    """With words; nothing is sent, and the film can be published afterwards."""
    film = finished.film(stack, publisher.person, size=1000)
    for given, words in REFUSED:
        answer = publisher.publish(film, **given)
        assert answer.status_code == 422, (given, answer.text)
        assert words in answer.json()["detail"]
        assert publisher.look(film)["publication"] is None
    publisher.publish(film).raise_for_status()


def test_a_consent_is_its_askers_alone(stack: Stack, publisher: Publisher, sign_up: Callable[[], Person]) -> None:
    """Not somebody else's, who would get the channel; not twice; not a part of it; not one that was refused."""
    stranger = Publisher(stack, sign_up())
    back = publisher.consent()
    given = {"state": back["state"], "code": back["code"]}
    assert stranger.person.http.post("/v1/channels", json=given).status_code == 422
    assert publisher.person.http.post("/v1/channels", json=given).status_code == 201
    assert publisher.person.http.post("/v1/channels", json=given).status_code == 422
    less = publisher.consent("less")
    refused = publisher.person.http.post("/v1/channels", json={"state": less["state"], "code": less["code"]})
    assert (refused.status_code, "youtube.force-ssl" in refused.json()["detail"]) == (422, True)
    assert publisher.consent("deny")["error"] == "access_denied"
    none = publisher.consent(channel="none")
    empty = publisher.person.http.post("/v1/channels", json={"state": none["state"], "code": none["code"]})
    assert "no YouTube channel" in empty.json()["detail"]
    assert stranger.person.http.get("/v1/channels").json()["results"] == []
    film = finished.film(stack, stranger.person, size=1000)
    assert stranger.publish(film, channel=publisher.channel).status_code == 422


def test_an_unconfirmed_channel_is_not_published_to_and_tokens_are_sealed(stack: Stack, publisher: Publisher) -> None:
    """Shown by name first. What lies in the row opens for nothing else."""
    other = f"UC{uuid4().hex[:20]}"
    back = publisher.consent(channel=other)
    given = {"state": back["state"], "code": back["code"]}
    assert publisher.person.http.post("/v1/channels", json=given).json()["state"] == "unconfirmed"
    film = finished.film(stack, publisher.person, size=1000)
    refused = publisher.publish(film, channel=other)
    assert (refused.status_code, refused.json()["code"]) == (409, "needs_reconnect")
    with rest(stack) as service:
        rows = service.get("/channels", params={"owner": f"eq.{publisher.person.id}"}).json()
        assert all(not row["refresh_token"].startswith("1//") for row in rows)
        (mine,) = [row for row in rows if row["id"] == publisher.channel]
        swap = {"refresh_token": mine["refresh_token"], "state": "connected"}
        service.patch("/channels", params={"id": f"eq.{other}"}, json=swap).raise_for_status()
    publisher.publish(film, channel=other).raise_for_status()
    assert publisher.done(film)["error"]["code"] == "setting_invalid"
    gone = publisher.person.http.delete(f"/v1/channels/{publisher.channel}")
    assert gone.status_code == 204
    assert publisher.person.http.delete(f"/v1/channels/{publisher.channel}").status_code == 404


class Reaper:
    """Kills whoever publishes, once at each request to YouTube, before it is passed on and after it was answered."""

    def __init__(self) -> None:
        self.killed: set[tuple[str, str]] = set()
        self.counts: dict[str, int] = {}
        self.victim: Any = None

    def watch(self, path: str, body: bytes, moment: str) -> bool:
        kind = re.sub(r"\?.*", "", path)
        kind += f" {len(body)}" if "session" in kind else ""
        if (kind, moment) in self.killed:
            return False
        self.killed.add((kind, moment))
        self.victim.kill()
        return True


def test_killed_around_every_request_there_is_one_film(stack: Stack, publisher: Publisher) -> None:
    """kill -9 before and after each answer of YouTube, each of three pieces among them; another worker goes on."""
    film = finished.film(stack, publisher.person, size=17 * 1024 * 1024 + 12345)
    proxy = Proxy(publisher.youtube)
    settings = {**stack.settings, "YOUTUBE_BASE_URL": proxy.url, "GOOGLE_TOKEN_URL": proxy.url}
    reaper = Reaper()
    proxy.watch = reaper.watch
    with rest(stack) as service:
        where = {"id": f"eq.{film['id']}"}
        held = {"status": "ready", "stage": "publish", "wake_at": "2026-01-01T00:00:00Z"}
        wanted = {"channel": publisher.channel, "title": "Why the sea is salt", "privacy": "unlisted", "captions": True}
        row = {"project_id": film["id"], "owner": publisher.person.id, "channel_id": publisher.channel}
        service.post("/publications", json={**row, "wanted": wanted, "privacy": "unlisted"}).raise_for_status()
        service.patch("/projects", params=where, json=held).raise_for_status()
        limit = time.monotonic() + 120
        while (state := service.get("/projects", params=where).json()[0])["status"] != "succeeded":
            assert time.monotonic() < limit, (state, reaper.killed)
            assert state["status"] != "failed", state["error"]
            reaper.victim = forked.begin("producer", settings, film["id"])
            reaper.victim.join()
            over = {"lease_until": "2020-01-01T00:00:00Z", "claims": 0, "wake_at": "2026-01-01T00:00:00Z"}
            service.patch("/projects", params={**where, "status": "in.(working,ready)"}, json=over)
    proxy.close()
    kinds = {kind for kind, _ in reaper.killed}
    assert len([kind for kind in kinds if "session" in kind]) == 3, kinds  # the question, a piece, the last piece
    assert {(kind, moment) for kind in kinds for moment in ("before", "after")} == reaper.killed
    assert publisher.film(film)["public_since"] is None
    assert publisher.look(film)["publication"]["state"] == "unlisted"


def test_two_workers_that_publish_the_same_film_send_it_once(stack: Stack, publisher: Publisher) -> None:
    """One has it; the other finds it taken."""
    film = finished.film(stack, publisher.person, size=5_000_000)
    publisher.publish(film).raise_for_status()
    others = [forked.begin("producer", stack.settings, film["id"]) for _ in range(3)]
    assert publisher.done(film)["status"] == "succeeded"
    for other in others:
        other.join()
    publisher.film(film)
