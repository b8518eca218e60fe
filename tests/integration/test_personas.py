"""Personas, their pictures, and the gallery."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from PIL import Image

from local.stack import Stack
from tests.support.operator import rest
from tests.support.person import Person


def photo(pixels: np.ndarray) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def put(person: Person, persona: dict[str, Any], data: bytes, consent: str | None = "true") -> httpx.Response:
    params = {} if consent is None else {"consent": consent}
    return person.http.put(f"/v1/personas/{persona['id']}/portrait", content=data, params=params)


def test_a_persona_is_made_shown_listed_and_removed(sign_up: Callable[[], Person], portrait_png: bytes) -> None:
    """Its files go with it."""
    person = sign_up()
    made = person.persona(portrait_png, name="  Grace ")
    assert made["name"] == "Grace"
    assert "owner" not in made
    assert person.http.get(f"/v1/personas/{made['id']}").json() == made
    assert [one["id"] for one in person.http.get("/v1/personas").json()["results"]] == [made["id"]]
    job = person.talk(made["id"], say="Hi.")
    person.follow(job)
    video = person.look(job)["output"]
    assert httpx.get(video, trust_env=False).status_code == 200
    assert person.http.delete(f"/v1/personas/{made['id']}").status_code == 204
    assert person.http.get(f"/v1/personas/{made['id']}").status_code == 404
    assert httpx.get(video, trust_env=False).is_error
    assert httpx.get(made["portrait"], trust_env=False).is_error


@pytest.mark.parametrize(
    "fields",
    [{"name": ""}, {"name": "x" * 81}, {}, {"name": "A", "voice_id": "../x"}, {"name": "A", "owner": str(uuid4())}],
)
def test_a_wrong_persona_is_refused(person: Person, fields: dict[str, str]) -> None:
    """Too long, missing, unsafe, or pretending to be another's: 422."""
    answer = person.http.post("/v1/personas", json=fields)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_a_photo_is_kept_without_its_metadata(person: Person, astronaut: bytes) -> None:
    """Where and with what it was taken is not published; the moment of consent is recorded."""
    picture = Image.open(BytesIO(astronaut))
    exif = picture.getexif()
    exif[0x010F] = "SecretCamera"
    out = BytesIO()
    picture.save(out, "JPEG", exif=exif, quality=92)
    shown = put(person, person.persona(), out.getvalue()).json()
    assert shown["consent_at"]
    kept = httpx.get(shown["portrait"], trust_env=False).content
    assert b"SecretCamera" not in kept
    assert Image.open(BytesIO(kept)).size == (512, 512)


def test_a_replaced_photo_is_removed(person: Person, astronaut: bytes, portrait_png: bytes) -> None:
    """No orphan stays behind."""
    persona = person.persona(astronaut)
    again = put(person, persona, portrait_png).json()
    assert again["portrait"] != persona["portrait"]
    assert httpx.get(persona["portrait"], trust_env=False).is_error


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"<html>", "picture_unusable", "not a PNG"),
        (b"", "picture_unusable", "not a PNG"),
        (photo(np.zeros((1, 1, 3), np.uint8)), "picture_unusable", "1x1"),
        (photo(np.zeros((6000, 10000), np.uint8)), "picture_unusable", "60 megapixels"),
        (photo(np.full((300, 300, 3), 90, np.uint8)), "picture_unusable", "No face"),
    ],
    ids=["html", "empty", "1x1", "60-megapixel", "no-face"],
)
def test_a_photo_that_is_none_is_refused_and_nothing_changes(person: Person, data: bytes, code: str, says: str) -> None:
    """Each is a 422 with what to do, and the persona stays as it was."""
    persona = person.persona()
    answer = put(person, persona, data)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert says in answer.json()["detail"]
    assert person.http.get(f"/v1/personas/{persona['id']}").json() == persona


def test_a_photo_needs_consent_a_limit_and_an_owner(
    person: Person, astronaut: bytes, sign_up: Callable[[], Person]
) -> None:
    """Without consent 422, over 15 MiB 413, for another's persona 404."""
    persona = person.persona()
    assert put(person, persona, astronaut, consent=None).json()["code"] == "consent_missing"
    assert put(person, persona, b"x" * (15 * 2**20 + 1)).status_code == 413
    assert put(sign_up(), persona, astronaut).status_code == 404
    assert put(person, {"id": str(uuid4())}, astronaut).status_code == 404


@pytest.mark.slow
def test_the_gallery_shows_finished_videos_in_pages(
    stack: Stack, sign_up: Callable[[], Person], portrait_png: bytes
) -> None:
    """Newest first, each once, only one's own, only finished ones, for one persona or all."""
    person, other = sign_up(), sign_up()
    personas = [person.persona(portrait_png, name=name) for name in ("One", "Two")]
    job = person.talk(personas[1]["id"], say="The newest.")
    person.follow(job)
    person.talk(personas[0]["id"], say="never made")
    with rest(stack) as service:  # and fifty of the day before
        made = service.get("/predictions", params={"owner": f"eq.{person.id}", "status": "eq.succeeded"}).json()
        newest = next(one for one in made if one["text"] == "The newest.")
        rows = [
            {**newest, "id": str(uuid4()), "persona_id": personas[n % 2]["id"], "text": f"{n}.",
             "created_at": f"2026-01-01T00:00:{n:02}Z"}
            for n in range(50)
        ]  # fmt: skip
        service.post("/predictions", json=rows).raise_for_status()
    page = person.http.get("/v1/gallery").json()
    following = person.http.get(page["next"]).json()
    last = person.http.get(following["next"]).json()
    shown = [one["text"] for one in page["results"] + following["results"] + last["results"]]
    assert shown == ["The newest.", *(f"{n}." for n in reversed(range(50)))]
    assert (len(page["results"]), last["next"]) == (24, None)
    assert page["results"][0]["persona"]["name"] == "Two"
    assert page["results"][0]["prediction"] == job["id"]
    assert httpx.head(page["results"][0]["video"], trust_env=False).status_code == 200
    paged = person.http.get("/v1/gallery", params={"persona": personas[0]["id"]}).json()
    paged["results"] += person.http.get(paged["next"]).json()["results"]
    assert len(paged["results"]) == 25
    assert {one["persona"]["name"] for one in paged["results"]} == {"One"}
    assert other.http.get("/v1/gallery").json() == {"next": None, "previous": None, "results": []}


def test_voices_are_listed_searched_and_heard(person: Person, fault: Callable[..., None]) -> None:
    """By name, language and gender, each with a sample; where the provider refuses, that is said."""
    found = person.http.get("/v1/voices").raise_for_status().json()["results"]
    assert {"Rachel", "George", "River"} <= {one["name"] for one in found}
    sample = httpx.get(found[0]["preview"], trust_env=False)
    assert sample.content[:4] == b"RIFF"
    assert len(sample.content) > 24_000
    warm = person.http.get("/v1/voices", params={"search": "warm", "language": "en"}).json()["results"]
    assert [(one["name"], one["gender"]) for one in warm] == [("George", "male")]
    assert person.http.get("/v1/voices", params={"language": "fr"}).json()["results"] == []
    assert {one["gender"] for one in person.http.get("/v1/voices?gender=female").json()["results"]} == {"female"}
    fault("elevenlabs", path="/v2/voices", status=401)
    refused = person.http.get("/v1/voices")
    assert (refused.status_code, refused.json()["code"]) == (502, "provider_refused")
