"""What is kept carries a C2PA manifest: generated, by which models, for which prediction, with whose consent."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import c2pa
import httpx
import pytest

from local.stack import Stack
from shared.predictions.id import PredictionId
from shared.predictions.provenance import COMPOSITE, GENERATED, GENERATION
from tests.support.container import Container
from tests.support.idle import loops
from tests.support.media import Decoded
from tests.support.operator import reconcile
from tests.support.person import Person

pytestmark = pytest.mark.slow


def stored(address: str) -> bytes:
    return httpx.get(address, trust_env=False, timeout=30).raise_for_status().content


def read(data: bytes, kind: str, root: str = "") -> dict[str, Any]:
    """The manifest store as verifiers see it. root: whom they trust."""
    settings = {"trust": {"user_anchors": root}} if root else {}
    with c2pa.Reader(kind, BytesIO(data), context=c2pa.Context.from_dict(settings)) as reader:
        return dict(json.loads(reader.json()))


def told(found: dict[str, Any]) -> dict[str, Any]:
    assertions = found["manifests"][found["active_manifest"]]["assertions"]
    return {one["label"]: one["data"] for one in assertions}


@pytest.fixture(scope="module")
def drawn(person: Person) -> dict[str, Any]:
    """A persona whose portrait was made by a model, and that portrait's prediction."""
    persona = person.persona(appearance="a miller with a grey beard")
    body = {"model": "portrait", "input": {"persona": persona["id"]}}
    made = person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=30"}).raise_for_status().json()
    return {**persona, "made": made}


def test_a_kept_talk_says_that_it_was_generated_and_by_what(
    stack: Stack, person: Person, drawn: dict[str, Any], decode: Callable[[bytes | Path], Decoded]
) -> None:
    """Read back from storage: trusted by who knows our root, every frame there, ids and models, not what was said."""
    persona = drawn
    job = person.talk(persona["id"], message="Do you know a zygodactyl bird?")
    streamed = decode(person.follow(job))
    done = person.look(job)
    data = stored(done["output"])
    assert len(decode(data).frames) == len(streamed.frames)
    assert done["receipt"]["provenance"] == "signed"
    assert done["receipt"]["bytes"] == len(data)
    root = stack.settings["FORGE_C2PA_CHAIN"].partition("-----END CERTIFICATE-----\n")[2]
    found = read(data, "video/mp4", root)
    assert found["validation_state"] == "Trusted"
    action = told(found)["c2pa.actions.v2"]["actions"][0]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", GENERATED)
    made = told(found)[GENERATION]
    row = PredictionId.read(job["id"], stack.settings["FORGE_SIGNING_KEY"]).row
    assert made["prediction"] == str(row)
    assert made["models"] == done["receipt"]["models"] == ["claude-haiku-5-5", "eleven_flash_v2_5", "cpu"]
    assert "consent" not in made
    for secret in ("zygodactyl", persona["name"], person.id):
        assert secret not in json.dumps(found)


def test_a_photo_that_speaks_says_who_agreed_and_when(person: Person, astronaut: bytes) -> None:
    """By id and time: a real person, changed by models."""
    persona = person.persona(astronaut)
    job = person.talk(persona["id"], say="I agreed to this.")
    person.follow(job)
    found = told(read(stored(person.look(job)["output"]), "video/mp4"))
    assert found["c2pa.actions.v2"]["actions"][0]["digitalSourceType"] == COMPOSITE
    assert found[GENERATION]["consent"]["persona"] == persona["id"]
    assert found[GENERATION]["consent"]["at"][:19] == persona["consent_at"][:19]


def test_a_portrait_is_signed_and_still_speaks(person: Person, drawn: dict[str, Any]) -> None:
    """PNG, with its manifest beside the face that is written in it."""
    found = read(stored(drawn["made"]["output"]), "image/png")
    assert found["validation_state"] in ("Valid", "Trusted")
    assert told(found)[GENERATION]["model"] == "portrait"
    job = person.talk(drawn["id"], say="Good morning.")
    person.follow(job)
    assert person.look(job)["degraded"] is None


def test_a_changed_file_is_seen_to_be_changed(person: Person, persona: dict[str, Any]) -> None:
    """One byte of its picture."""
    job = person.talk(persona["id"], say="Do not touch this.")
    person.follow(job)
    data = bytearray(stored(person.look(job)["output"]))
    data[-2000] ^= 0xFF
    assert read(bytes(data), "video/mp4")["validation_state"] == "Invalid"


def test_what_cannot_be_signed_is_delivered_and_signed_later(
    stack: Stack, person: Person, persona: dict[str, Any], tmp_path: Path
) -> None:
    """The receipt says so; once the key is right, the schedule signs the file in its place, published copy included."""
    container = Container(stack, tmp_path / "container.log", FORGE_C2PA_KEY="-----BEGIN PRIVATE KEY-----\nnone\n")
    try:
        with container.client(person) as http:
            body = {"model": "talk", "stream": True, "input": {"persona": persona["id"], "say": "Unsigned for now."}}
            job = http.post("/v1/predictions", json=body).raise_for_status().json()
            assert http.get(job["urls"]["stream"]).status_code == 200
            done = http.get(job["urls"]["get"]).json()
    finally:
        container.close()
    assert (done["status"], done["receipt"]["provenance"]) == ("succeeded", "failed")
    where = f"/v1/gallery/{job['id']}"
    before = person.http.patch(where, json={"published": True}).raise_for_status().json()["video"]
    with pytest.raises(c2pa.C2paError.ManifestNotFound):
        read(stored(before), "video/mp4")
    reconcile(stack)
    after = person.http.get(f"/v1/predictions/{job['id']}").json()
    assert after["receipt"]["provenance"] == "signed"
    assert after["output"] == before
    assert read(stored(before), "video/mp4")["validation_state"] in ("Valid", "Trusted")


def test_loops_and_posters_carry_one_too(sign_up: Callable[[], Person], astronaut: bytes) -> None:
    """What a persona does while it does not speak is made as well, of a photo with its consent."""
    person = sign_up()
    made = loops(person, person.persona(astronaut))
    for name, kind in (("idle", "video/mp4"), ("thinking", "video/mp4"), ("poster", "image/jpeg")):
        found = read(stored(made[name]), kind)
        assert found["validation_state"] in ("Valid", "Trusted")
        said = told(found)
        assert said["c2pa.actions.v2"]["actions"][0]["digitalSourceType"] == COMPOSITE
        assert said[GENERATION]["model"] == "idle"
        assert said[GENERATION]["consent"]["persona"] == made["id"]
