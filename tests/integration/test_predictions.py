"""Predictions over HTTP: creating, looking, listing, cancelling, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.stack import Stack
from tests.support.operator import let_the_deadline_pass, path_of
from tests.support.person import Person


def create(person: Person, **body: Any) -> httpx.Response:
    return person.http.post("/v1/predictions", json=body)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"message": ""}, "input.message"),
        ({"message": "   "}, "blank"),
        ({"message": "x" * 8001}, "input.message"),
        ({"message": "a", "say": "b"}, "either"),
        ({}, "either"),
        ({"say": "a", "size": 600}, "input.size"),
        ({"say": "a", "persona": "x"}, "input.persona"),
    ],
)
def test_a_wrong_input_is_named_field_by_field(
    person: Person, persona: dict[str, Any], given: dict[str, Any], says: str
) -> None:
    """422 problem+json names the field and what is wrong with it."""
    answer = create(person, model="personaforge/talk", input={"persona": persona["id"], **given})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]


def test_a_body_over_the_limit_is_refused_declared_or_not(person: Person, persona: dict[str, Any]) -> None:
    """500 kB of message: 413 that names the limit, with a length and in chunks."""
    body = {"model": "personaforge/talk", "input": {"persona": persona["id"], "message": "x" * 500_000}}
    answer = person.http.post("/v1/predictions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert "405 KiB" in answer.json()["detail"]
    chunked = person.http.post("/v1/predictions", content=iter([b"x" * 50_000] * 10))
    assert chunked.status_code == 413


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"\xff\xfe"])
def test_a_body_that_is_no_json_object_is_refused(person: Person, content: bytes) -> None:
    """Never a 500."""
    answer = person.http.post("/v1/predictions", content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_unknown_models_and_personas_are_not_found(person: Person, sign_up: Callable[[], Person]) -> None:
    """A model that is not ours, a persona that does not exist, and another user's persona: 404, alike."""
    answer = create(person, model="meta/llama", input={})
    assert (answer.status_code, "personaforge/talk" in answer.json()["detail"]) == (404, True)
    missing = create(person, model="personaforge/talk", input={"persona": str(uuid4()), "say": "Hi"})
    other = sign_up().persona()  # has no portrait either, which must not show
    foreign = create(person, model="personaforge/talk", input={"persona": other["id"], "say": "Hi"})
    assert missing.status_code == foreign.status_code == 404
    assert missing.json()["detail"] == foreign.json()["detail"]


def test_forged_cut_and_foreign_ids_are_not_found(
    person: Person, persona: dict[str, Any], sign_up: Callable[[], Person]
) -> None:
    """An id opens nothing but its owner's prediction, and the answer never says why."""
    job = person.talk(persona["id"], say="Hi.")
    public = job["id"]
    flipped = public[:10] + ("A" if public[10] != "A" else "B") + public[11:]
    details = set()
    for wrong in (flipped, public[:-4], public + "AAAA", "x", "%00", "🙂", str(uuid4())):
        for method, path in (("GET", ""), ("POST", "/cancel")):
            answer = person.http.request(method, f"/v1/predictions/{wrong}{path}")
            assert answer.status_code == 404, wrong
            details.add(answer.json()["detail"])
        assert person.http.get(f"/v1/talk/{wrong}").status_code == 404
    stranger = sign_up()
    foreign = stranger.http.get(f"/v1/predictions/{public}")
    assert foreign.status_code == 404
    assert details == {foreign.json()["detail"]}
    assert stranger.http.get(f"/v1/talk/{public}").status_code == 404
    assert person.look(job)["status"] == "starting"


def test_a_portrait_is_made_by_the_hosted_model_and_given_to_the_persona(person: Person) -> None:
    """The picture is copied into our storage and the persona has it, with its face."""
    persona = person.persona(appearance="an old sailor with a white beard")
    job = create(person, model="personaforge/portrait", input={"persona": persona["id"]}).json()
    assert job["status"] in ("starting", "processing")
    done = job
    for _ in range(100):
        done = person.look(job)
        if done["status"] not in ("starting", "processing"):
            break
    assert done["status"] == "succeeded"
    assert httpx.get(done["output"], trust_env=False).content.startswith(b"\x89PNG")
    shown = person.http.get(f"/v1/personas/{persona['id']}").json()
    assert path_of(shown["portrait"]) == path_of(done["output"])
    assert set(shown["face"]) >= {"left_eye", "mouth_left"}


def test_polling_many_at_once_settles_once(person: Person) -> None:
    """Eight polls that all see the provider finished give one settlement and one file."""
    from concurrent.futures import ThreadPoolExecutor

    persona = person.persona(appearance="a young baker")
    job = create(person, model="personaforge/portrait", input={"persona": persona["id"]}).json()

    def poll(_: int) -> dict[str, Any]:
        found = person.look(job)
        while found["status"] in ("starting", "processing"):
            found = person.look(job)
        return found

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(poll, range(8)))
    assert {one["status"] for one in found} == {"succeeded"}
    assert len({one["output"] for one in found}) == 1
    assert httpx.get(found[0]["output"], trust_env=False).status_code == 200


def test_a_hosted_job_fails_with_the_providers_reason(person: Person, fault: Callable[..., None]) -> None:
    """Replicate refusing is a problem at once, and the job is settled as failed."""
    persona = person.persona()
    fault("replicate", path="/v1/models", status=402)
    answer = create(person, model="personaforge/portrait", input={"persona": persona["id"]})
    assert (answer.status_code, answer.json()["provider"]) == (502, "replicate")
    newest = person.http.get("/v1/predictions").json()["results"][0]
    assert (newest["status"], newest["error"]) == ("failed", answer.json()["detail"])


def test_hosted_lip_sync_speaks_with_the_personas_voice(person: Person, persona: dict[str, Any], decode: Any) -> None:
    """Voice and picture go to the hosted model; its video is kept."""
    body = {"model": "personaforge/lipsync", "input": {"persona": persona["id"], "say": "Rendered elsewhere."}}
    done = person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=30"}).json()
    assert done["status"] == "succeeded"
    video = decode(httpx.get(done["output"], trust_env=False).content)
    assert video.video_seconds == pytest.approx(done["receipt"]["duration_s"], abs=0.05)
    assert video.video_seconds > 0.8


def test_cancelling_ends_a_waiting_talk_and_a_stuck_hosted_job(
    stack: Stack, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """Both become canceled, the provider's job too, and a second cancel changes nothing."""
    talk = person.talk(persona["id"], say="Never spoken.")
    first = person.http.post(talk["urls"]["cancel"]).json()
    assert first["status"] == "canceled"
    assert person.http.post(talk["urls"]["cancel"]).json() == first
    assert person.http.get(f"/v1/talk/{talk['id']}").status_code == 409
    fault("replicate", path="/v1/models", stuck=True)
    job = create(person, model="personaforge/portrait", input={"persona": persona["id"]}).json()
    running = person.look(job)
    assert running["status"] == "processing"
    assert running["created_at"][:16] == job["created_at"][:16]
    assert person.http.post(job["urls"]["cancel"]).json()["status"] == "canceled"
    headers = {"Authorization": f"Bearer {stack.settings['REPLICATE_API_TOKEN']}"}
    there = httpx.get(f"{stack.addresses['replicate']}/v1/predictions", headers=headers, trust_env=False).json()
    assert "canceled" in {one["status"] for one in there["results"]}


def test_predictions_are_listed_newest_first_in_pages(sign_up: Callable[[], Person], portrait_png: bytes) -> None:
    """Following `next` gives each prediction once, newest first."""
    person = sign_up()
    persona = person.persona(portrait_png)
    made = [person.talk(persona["id"], say=f"Number {i}")["id"] for i in range(53)]
    page = person.http.get("/v1/predictions").json()
    assert len(page["results"]) == 50
    rest = person.http.get(page["next"]).json()
    assert rest["next"] is None
    assert [one["id"] for one in page["results"] + rest["results"]] == made[::-1]
    assert person.http.get("/v1/predictions", params={"cursor": "nonsense"}).status_code == 422


def test_a_talk_that_nobody_opened_is_failed_after_its_deadline(
    stack: Stack, person: Person, persona: dict[str, Any]
) -> None:
    """No job stays `starting` for ever: whoever looks after the deadline sees it failed, with the reason."""
    job = person.talk(persona["id"], say="Too late.")
    secret = stack.settings["SUPABASE_SECRET_KEY"]
    rest = f"{stack.settings['SUPABASE_URL']}/rest/v1/predictions"
    headers = {"apikey": secret, "Authorization": f"Bearer {secret}"}
    past = {"deadline": "2020-01-01T00:00:00Z"}
    query = {"persona_id": f"eq.{persona['id']}", "status": "eq.starting", "system": "is.false"}
    httpx.patch(rest, params=query, json=past, headers=headers, trust_env=False).raise_for_status()
    done = person.look(job)
    assert (done["status"], done["receipt"]["error_code"]) == ("failed", "deadline")
    assert "not started" in done["error"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_methods_and_addresses_that_are_not_there_are_problems_too(person: Person, method: str) -> None:
    """405 and 404 are problem+json like everything else."""
    answer = person.http.request(method, "/v1/predictions")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
    nowhere = person.http.request(method, "/v1/nothing")
    assert (nowhere.status_code, nowhere.headers["content-type"]) == (404, "application/problem+json")


def test_a_browser_may_call_from_another_origin(stack: Stack) -> None:
    """The preflight of every endpoint is answered, without credentials."""
    for path, method in (("/v1/predictions", "POST"), ("/v1/gallery", "GET"), ("/v1/talk/x", "GET")):
        headers = {
            "Origin": "https://example.com",
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization",
        }
        answer = httpx.options(f"{stack.url}{path}", headers=headers, trust_env=False)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"


def test_a_hosted_job_has_the_same_fields_while_it_runs_and_after(
    person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """A typed client reads one shape; what is in the database alone is left out until it is done."""
    fault("replicate", path="/v1/models", stuck=True)
    body = {"model": "portrait", "input": {"persona": persona["id"]}}
    made = person.http.post("/v1/predictions", json=body).raise_for_status().json()
    running = person.look(made)
    done = person.http.post(made["urls"]["cancel"]).raise_for_status().json()
    unknown = {"input", "persona", "started_at"}  # no database is asked, and the provider has not said
    assert set(made) - unknown == set(running) == set(done) - unknown
    assert running["status"] == "processing"
    assert running["deadline"][:19] == done["deadline"][:19]


def test_the_list_settles_what_is_overdue(person: Person, stack: Stack, portrait_png: bytes) -> None:
    """Whoever looks ends it: also a look at all of them."""
    persona = person.persona(portrait_png)
    job = person.talk(persona["id"], say="Never opened.")
    let_the_deadline_pass(stack, persona)
    found = {one["id"]: one for one in person.http.get("/v1/predictions").json()["results"]}
    late = next(one for one in found.values() if one["persona"] == persona["id"])
    assert (late["status"], late["receipt"]["error_code"]) == ("failed", "deadline")
    assert late["input"] == job["input"]


def test_a_hosted_model_is_not_asked_for_more_than_it_takes(person: Person, persona: dict[str, Any]) -> None:
    """Words that take longer than 35 s to say are refused before anything dear is begun."""
    body = {"model": "lipsync", "input": {"persona": persona["id"], "say": "Slowly... " * 50}}
    refused = person.http.post("/v1/predictions", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "audio_unusable")
    assert "up to 35 s" in refused.json()["detail"]


def test_a_body_that_was_not_sent_as_json_says_how(person: Person, persona: dict[str, Any]) -> None:
    """The most common slips of curl: no content type, a form instead of the photo."""
    answer = person.http.post("/v1/personas", content=b'{"name": "Ada"}', headers={"Content-Type": "text/plain"})
    assert (answer.status_code, "Content-Type: application/json" in answer.json()["detail"]) == (422, True)
    where = f"/v1/personas/{persona['id']}/portrait"
    form = person.http.put(where, params={"consent": "true"}, files={"file": b"x"})
    assert (form.status_code, "--data-binary" in form.json()["detail"]) == (422, True)


def test_times_have_one_form(person: Person, persona: dict[str, Any]) -> None:
    """ISO 8601 in UTC with a Z, wherever a time stands."""
    job = person.talk(persona["id"], say="Now.")
    person.follow(job)
    shown = person.http.get(f"/v1/personas/{persona['id']}").json()
    video = person.http.get("/v1/gallery").json()["results"][0]
    done = person.look(job)
    for text in (shown["created_at"], shown["consent_at"], video["created_at"], done["created_at"], done["deadline"]):
        assert text.endswith("Z")
        assert "T" in text
