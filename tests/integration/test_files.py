"""Files as inputs: uploaded, or in a data: URL, as the official clients send them."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4

import httpx
import pytest
import replicate

from local.stack import Stack
from tests.attacks.sounds import wav
from tests.support.operator import reconcile, rest, wait_until_settled
from tests.support.person import Person

pytestmark = pytest.mark.slow
SOUND = wav(24_000, 36_000)


def lipsync(person: Person, persona: dict[str, Any], audio: str, **headers: str) -> httpx.Response:
    body = {"model": "personaforge/lipsync", "input": {"persona": persona["id"], "audio": audio}}
    return person.http.post("/v1/predictions", json=body, headers=headers)


def test_an_uploaded_file_is_listed_used_and_removed(
    sign_up: Callable[[], Person], portrait_png: bytes, stack: Stack
) -> None:
    """With replicate-python's own `files` and its file handles as inputs."""
    person = sign_up()
    persona = person.persona(portrait_png)
    client = replicate.Client(api_token=person.token, base_url=stack.url)
    file = client.files.create(BytesIO(SOUND))
    assert (file.size, file.content_type) == (len(SOUND), "audio/wav")
    assert file.checksums["sha256"] == hashlib.sha256(SOUND).hexdigest()
    assert [one.id for one in client.files.list()] == [file.id]
    assert client.files.get(file.id).urls == file.urls
    done = wait_until_settled(person, lipsync(person, persona, file.urls["get"]).raise_for_status().json(), 30)
    assert done["status"] == "succeeded"
    handle = BytesIO(SOUND)
    made = client.predictions.create(model="personaforge/lipsync", input={"persona": persona["id"], "audio": handle})
    made.wait()
    assert made.status == "succeeded"
    client.files.delete(file.id)
    with pytest.raises(replicate.exceptions.ReplicateError) as missing:
        client.files.get(file.id)
    assert missing.value.status == 404
    gone = lipsync(person, persona, file.urls["get"])
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    client._client.close()


def test_a_hundred_files_are_kept_and_no_race_makes_room_for_more(sign_up: Callable[[], Person], stack: Stack) -> None:
    """Of eight uploads at once beside ninety-eight files, two are taken."""
    person = sign_up()
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    note = {"owner": person.id, "content_type": "audio/wav", "bytes": 1, "expires_at": until, "sha256": ""}
    with rest(stack) as service:
        rows = [{**note, "path": f"{person.id}/{uuid4().hex}-{number}"} for number in range(98)]
        service.post("/files", json=rows).raise_for_status()
    with ThreadPoolExecutor(8) as threads:
        sent = [threads.submit(person.http.post, "/v1/files", files={"content": SOUND}) for _ in range(8)]
        answers = [future.result() for future in sent]
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [429] * 6
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["retry-after"] == "3600"
    assert "100 uploaded files" in refused.json()["detail"]


@pytest.mark.parametrize("kind", ["audio/wav", "application/octet-stream", ""])
def test_a_data_url_is_taken_for_its_file(person: Person, persona: dict[str, Any], kind: str) -> None:
    """Whatever type it claims; the same key finds the same prediction, the row holds no data, and one file is kept."""
    url = f"data:{kind};base64,{base64.b64encode(SOUND).decode()}"
    key = uuid4().hex
    made = lipsync(person, persona, url, **{"Idempotency-Key": key}).raise_for_status().json()
    again = lipsync(person, persona, url, **{"Idempotency-Key": key}).raise_for_status().json()
    assert again["id"] == made["id"]
    done = wait_until_settled(person, made, 30)
    assert done["status"] == "succeeded"
    assert "/v1/files/" in done["input"]["audio"]
    digest = hashlib.sha256(SOUND).hexdigest()
    assert [one["etag"] for one in person.http.get("/v1/files").json()["results"]].count(digest) == 1


@pytest.mark.parametrize(
    ("audio", "code", "says"),
    [
        ("data:audio/wav;base64," + "A" * 341_400, "file_unusable", "256 kB"),
        ("data:audio/wav;base64,***", "file_unusable", "base64"),
        ("data:audio/wav;base64", "file_unusable", "comma"),
        ("data:;base64,\u00e9", "file_unusable", "base64"),
        ("data:text/html,<script>alert(1)</script>", "file_unusable", "no WAV"),
        ("https://example.com/" + "x" * 2000, "invalid_input", "2,000"),
    ],
)
def test_a_data_url_that_cannot_be_used_is_refused(
    person: Person, persona: dict[str, Any], audio: str, code: str, says: str
) -> None:
    """Before anything is created."""
    answer = lipsync(person, persona, audio)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert says in answer.json()["detail"]


def test_a_file_is_its_owners_alone(person: Person, sign_up: Callable[[], Person], portrait_png: bytes) -> None:
    """Others neither see, use nor remove it; what is no sound or picture is not kept."""
    made = person.http.post("/v1/files", files={"content": SOUND}).raise_for_status().json()
    other = sign_up()
    assert other.http.get(made["urls"]["get"]).status_code == 404
    assert other.http.delete(made["urls"]["get"]).status_code == 404
    assert lipsync(other, other.persona(portrait_png), made["urls"]["get"]).status_code == 404
    assert other.http.get("/v1/files").json()["results"] == []
    assert person.http.get(made["urls"]["get"]).status_code == 200
    page = person.http.post("/v1/files", files={"content": b"<html>"})
    assert (page.status_code, page.json()["code"]) == (422, "file_unusable")
    assert httpx.post(made["urls"]["get"].rpartition("/")[0], trust_env=False).status_code == 401


def test_a_file_is_kept_for_a_day(stack: Stack, person: Person) -> None:
    """Reconciliation leaves it alone until it has expired, then removes it."""
    made = person.http.post("/v1/files", files={"content": SOUND}).raise_for_status().json()
    path = f"like.*{made['id'].replace('-', '')}*"
    with rest(stack) as service:

        def change(**what: str) -> None:
            service.patch("/files", params={"path": path}, json=what).raise_for_status()

        change(created_at=(datetime.now(UTC) - timedelta(hours=2)).isoformat())
        reconcile(stack)
        assert person.http.get(made["urls"]["get"]).status_code == 200
        change(expires_at=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())
        assert person.http.get(made["urls"]["get"]).status_code == 404
        reconcile(stack)
        time.sleep(0.5)
        assert service.get("/files", params={"path": path}).json() == []
