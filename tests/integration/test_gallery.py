"""Finished videos: shown to their owner, to everybody once they are published, and gone once they are deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from io import BytesIO
from typing import Any
from uuid import uuid4

import httpx
import pytest
from PIL import Image

from local.stack import Stack
from tests.support.container import Container
from tests.support.operator import reconcile, rest
from tests.support.person import Person


@pytest.fixture(scope="module")
def owner(sign_up: Callable[[], Person]) -> Person:
    return sign_up()


@pytest.fixture(scope="module")
def ada(owner: Person, portrait_png: bytes) -> dict[str, Any]:
    return owner.persona(portrait_png)


def opened(address: str) -> int:
    return httpx.get(address, trust_env=False).status_code


def made(owner: Person, ada: dict[str, Any], say: str) -> dict[str, Any]:
    """A video in its owner's gallery."""
    owner.follow(owner.talk(ada["id"], say=say))
    found: list[dict[str, Any]] = owner.http.get("/v1/gallery").raise_for_status().json()["results"]
    return next(one for one in found if one["text"] == say)


def test_a_video_has_a_poster_its_engine_and_its_length(owner: Person, ada: dict[str, Any]) -> None:
    """The poster is a picture of the video's size: what is shown before it plays."""
    video = made(owner, ada, "Look at me.")
    assert (video["engine"], video["published"], video["model"]) == ("cpu", False, "talk")
    poster = Image.open(BytesIO(httpx.get(video["poster"], trust_env=False).content))
    assert (poster.format, poster.size) == ("JPEG", (512, 512))
    assert owner.http.get(f"/v1/gallery/{video['prediction']}").json() == video


def test_only_what_is_published_is_seen_by_others_and_only_as_a_video(
    owner: Person, ada: dict[str, Any], sign_up: Callable[[], Person]
) -> None:
    """Private by default. Of the persona others see the name; withdrawing hides it again."""
    private, public = made(owner, ada, "A secret."), made(owner, ada, "For everybody.")
    other, where = sign_up(), f"/v1/gallery/{public['prediction']}"
    assert owner.http.patch(where, json={"published": True}).raise_for_status().json()["published"]
    found = {one["text"]: one for one in other.http.get("/v1/gallery", params={"public": True}).json()["results"]}
    assert "A secret." not in found
    shown = found["For everybody."]
    assert shown["persona"] == {"id": None, "name": "Ada", "portrait": None}
    assert shown["prediction"] != public["prediction"]
    assert other.http.get(f"/v1/gallery/{shown['prediction']}").json() == shown
    for address in (f"/v1/gallery/{private['prediction']}", f"/v1/gallery/{uuid4()}"):
        assert other.http.get(address).status_code == 404
    assert other.http.get("/v1/gallery").json()["results"] == []
    owner.http.patch(where, json={"published": False}).raise_for_status()
    assert other.http.get(f"/v1/gallery/{shown['prediction']}").status_code == 404


def test_what_is_private_lies_behind_signed_addresses_and_what_is_published_is_copied(
    owner: Person, ada: dict[str, Any]
) -> None:
    """An address is nothing without its signature. A published one holds, and names nobody, until it is withdrawn."""
    video = made(owner, ada, "First for me alone.")
    names = ("video", "captions", "poster")
    for name in names:
        bare = video[name].partition("?")[0]
        assert opened(video[name]) == 200
        assert opened(bare) in (400, 404)
        assert opened(bare.replace("/sign/", "/public/")) in (400, 404)
    where = f"/v1/gallery/{video['prediction']}"
    published = owner.http.patch(where, json={"published": True}).raise_for_status().json()
    for name in names:
        assert "?" not in published[name]
        assert owner.id not in published[name]
        assert opened(published[name]) == 200
    assert owner.http.patch(where, json={"published": True}).raise_for_status().json() == published
    owner.http.patch(where, json={"published": False}).raise_for_status()
    assert {opened(published[name]) for name in names} <= {400, 404}
    assert opened(owner.http.get(where).json()["video"]) == 200
    owner.http.patch(where, json={"published": True}).raise_for_status()
    assert opened(published["video"]) == 200
    owner.http.delete(where).raise_for_status()
    assert {opened(one[name]) for name in names for one in (video, published)} <= {400, 404}


def test_a_withdrawal_that_broke_off_is_done_by_the_schedule(
    owner: Person, ada: dict[str, Any], stack: Stack, container: Container
) -> None:
    """Storage refused to remove the copies: the video is private at once, and its copies go within minutes."""
    video = made(owner, ada, "Not for everybody after all.")
    where = f"/v1/gallery/{video['prediction']}"
    published = owner.http.patch(where, json={"published": True}).raise_for_status().json()
    container.proxy.refuse = {"DELETE /storage"}
    with container.client(owner) as http:
        assert http.patch(where, json={"published": False}).status_code == 503
    assert not owner.http.get(where).json()["published"]
    assert opened(published["video"]) == 200
    reconcile(stack)
    assert opened(published["video"]) in (400, 404)
    assert opened(owner.http.get(where).json()["video"]) == 200


def test_a_page_of_videos_is_signed_in_one_request(owner: Person, ada: dict[str, Any], container: Container) -> None:
    """However many there are, and none when they were shown shortly before."""
    for number in range(3):
        made(owner, ada, f"Number {number}.")
    with container.client(owner) as http:
        for asked in (
            {"GET /rest/v1/predictions": 1, "POST /storage/v1/object/sign/personaforge": 1},
            {"GET /rest/v1/predictions": 1},
        ):
            with container.proxy.counting() as passed:
                http.get("/v1/gallery").raise_for_status()
            assert Counter(passed) == asked


def test_nobody_changes_or_deletes_anothers_video(
    owner: Person, ada: dict[str, Any], sign_up: Callable[[], Person]
) -> None:
    """Not by its id, published or not, and not by the id that others are shown."""
    video, other = made(owner, ada, "Mine."), sign_up()
    owner.http.patch(f"/v1/gallery/{video['prediction']}", json={"published": True}).raise_for_status()
    shown = next(one for one in other.http.get("/v1/gallery?public=true").json()["results"] if one["text"] == "Mine.")
    for name in (video["prediction"], shown["prediction"]):
        assert other.http.patch(f"/v1/gallery/{name}", json={"published": False}).status_code == 404
        assert other.http.delete(f"/v1/gallery/{name}").status_code == 404
    assert owner.http.get(f"/v1/gallery/{video['prediction']}").json()["published"]


def test_a_deleted_video_is_gone_with_its_files_and_words_and_what_it_cost_stays(
    owner: Person, ada: dict[str, Any], stack: Stack
) -> None:
    """Its address answers no more; the persona does not remember it; the ledger does."""
    video = made(owner, ada, "Forget this.")
    with rest(stack) as service:
        mine = {"owner": f"eq.{owner.id}"}
        paid = len(service.get("/usage", params=mine).json())
        assert owner.http.delete(f"/v1/gallery/{video['prediction']}").status_code == 204
        assert len(service.get("/usage", params=mine).json()) == paid
        said = [row["content"] for row in service.get("/messages", params=mine).json()]
    assert "Forget this." not in said
    for address in (video["video"], video["captions"], video["poster"]):
        assert httpx.get(address, trust_env=False).status_code in (400, 404)
    assert owner.http.get(f"/v1/gallery/{video['prediction']}").status_code == 404
    assert owner.http.delete(f"/v1/gallery/{video['prediction']}").status_code == 404


def test_a_persona_keeps_its_portrait_whatever_is_tidied_up(sign_up: Callable[[], Person]) -> None:
    """The job that made it is no video: the gallery neither shows nor deletes it."""
    person = sign_up()
    persona = person.persona(appearance="a miller with a grey beard")
    body = {"model": "portrait", "input": {"persona": persona["id"]}}
    job = person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=30"}).raise_for_status().json()
    assert job["status"] == "succeeded"
    assert person.http.delete(f"/v1/gallery/{job['id']}").status_code == 404
    bare = job["output"].partition("?")[0]
    assert person.http.get(f"/v1/personas/{persona['id']}").json()["portrait"].partition("?")[0] == bare


def test_filters_are_carried_from_page_to_page(owner: Person, ada: dict[str, Any]) -> None:
    """By persona and model; a model that is not there is a 404, one that makes no videos an empty page."""
    made(owner, ada, "One more.")
    found = owner.http.get("/v1/gallery", params={"persona": ada["id"], "model": "personaforge/talk"}).json()
    assert found["results"]
    assert owner.http.get("/v1/gallery", params={"model": "lipsync"}).json()["results"] == []
    assert owner.http.get("/v1/gallery", params={"model": "portrait"}).json()["results"] == []
    assert owner.http.get("/v1/gallery", params={"model": "nothing"}).status_code == 404
    by_engine = [owner.http.get("/v1/gallery", params={"source": one}).json()["results"] for one in ("cpu", "fal")]
    assert [len(one) > 0 for one in by_engine] == [True, False]
    listed = owner.http.get("/v1/predictions", params={"persona": ada["id"], "model": "talk"}).json()["results"]
    assert {one["persona"] for one in listed} == {ada["id"]}
