"""How personas sound, and how they are spoken to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest

from local.stack import Stack
from shared.media.audio import decode_audio, encode_wav
from shared.media.types import RATE
from shared.personas.persona import Persona
from shared.providers import catalogue
from shared.providers.elevenlabs import VoiceSettings
from shared.talk import prompt
from tests.support.media import Decoded
from tests.support.person import Person

CLONED = "cl0nedV01ceOfAPerson"
SILENCE = np.zeros(2 * RATE, np.int16)


def voices(person: Person, **wanted: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = person.http.get("/v1/voices", params=wanted).raise_for_status().json()["results"]
    return found


def spoken(stack: Stack, text: str) -> bytes:
    """A question as a browser would record it."""
    key = stack.settings["ELEVENLABS_API_KEY"]
    address = f"{stack.settings['ELEVENLABS_BASE_URL']}/v1/text-to-speech/SAz9YHcvj6GT2YYXdXww?output_format=pcm_24000"
    sound = httpx.post(address, json={"text": text}, headers={"xi-api-key": key}, trust_env=False).raise_for_status()
    return encode_wav(np.frombuffer(sound.content, np.int16))


def uploaded(person: Person, sound: bytes) -> str:
    made = person.http.post("/v1/files", files={"content": ("question.wav", sound, "audio/wav")}).raise_for_status()
    return str(made.json()["urls"]["get"])


def test_voices_are_found_by_word_language_and_gender(person: Person) -> None:
    """Each with a sample that can be played."""
    women = voices(person, gender="female", language="en")
    assert {one["gender"] for one in women} == {"female"}
    assert len(voices(person)) > len(women) > 0
    assert [one["name"] for one in voices(person, search="george")] == ["George"]
    assert voices(person, language="fi") == []
    assert decode_audio(httpx.get(women[0]["preview"], trust_env=False).content).any()


def test_a_cloned_voice_needs_the_consent_of_its_person(sign_up: Callable[[], Person]) -> None:
    """When it was given is kept with the persona, and goes with the voice."""
    person = sign_up()
    assert [one["id"] for one in voices(person) if one["cloned"]] == [CLONED]
    refused = person.http.post("/v1/personas", json={"name": "Sam", "voice_id": CLONED})
    assert (refused.status_code, refused.json()["code"]) == (422, "consent_missing")
    made = person.http.post("/v1/personas", json={"name": "Sam", "voice_id": CLONED, "voice_consent": True}).json()
    assert made["voice_consent_at"]
    address = f"/v1/personas/{made['id']}"
    assert person.http.patch(address, json={"name": "Samuel"}).json()["voice_consent_at"] == made["voice_consent_at"]
    other = person.http.patch(address, json={"voice_id": "JBFqnCBsd6RMkjVDRZzb"}).json()
    assert other["voice_consent_at"] is None
    assert person.http.patch(address, json={"voice_id": CLONED}).json()["code"] == "consent_missing"


def test_nobody_gets_a_cloned_voice_past_the_backend(stack: Stack, sign_up: Callable[[], Person]) -> None:
    """Not by writing rows, nor by the function that changes them; and no consent is forged."""
    person = sign_up()
    key = stack.settings["SUPABASE_PUBLISHABLE_KEY"]
    headers = {"apikey": key, "Authorization": person.http.headers["Authorization"], "Prefer": "return=minimal"}
    made = person.persona()
    with httpx.Client(base_url=stack.settings["SUPABASE_URL"], headers=headers, trust_env=False) as http:
        row = {"owner": person.id, "name": "Sam", "voice_id": CLONED}
        assert http.post("/rest/v1/personas", json=row).status_code >= 400
        assert (
            http.post("/rest/v1/personas", json={**row, "voice_consent_at": "1999-01-01T00:00:00Z"}).status_code >= 400
        )
        assert http.post("/rest/v1/personas", json={"owner": person.id, "name": "Sam"}).status_code == 201
        changes = {"voice_id": CLONED, "voice_consent_at": "1999-01-01T00:00:00Z", "name": "Samuel"}
        http.post("/rest/v1/rpc/change_persona", json={"p_persona": made["id"], "p_changes": changes})
    found = person.http.get(f"/v1/personas/{made['id']}").json()
    assert (found["voice_id"], found["voice_consent_at"]) == ("", None)
    assert [one for one in person.http.get("/v1/personas").json()["results"] if one["voice_id"]] == []


def test_a_voice_that_is_gone_is_refused_when_it_is_chosen(person: Person) -> None:
    """Not in the first talk."""
    refused = person.http.post("/v1/personas", json={"name": "Sam", "voice_id": "deleted"})
    assert refused.status_code == 422
    assert "GET /v1/voices" in refused.json()["detail"]


def test_a_persona_speaks_at_its_own_speed(
    sign_up: Callable[[], Person], portrait_png: bytes, decode: Callable[[bytes], Decoded]
) -> None:
    """The same words take longer where it is slower."""
    person = sign_up()
    persona = person.persona(portrait_png)
    say = "The moons of Jupiter can be seen with a small telescope on any clear night."
    usual = decode(person.follow(person.talk(persona["id"], say=say))).frames
    changed = person.http.patch(f"/v1/personas/{persona['id']}", json={"voice_speed": 0.7, "voice_stability": 0.9})
    assert (changed.json()["voice_speed"], changed.json()["voice_stability"]) == (0.7, 0.9)
    slow = decode(person.follow(person.talk(persona["id"], say=say))).frames
    assert len(slow) > 1.2 * len(usual)
    assert person.http.patch(f"/v1/personas/{persona['id']}", json={"voice_speed": 2}).status_code == 422


@pytest.mark.parametrize("streamed", [True, False])
def test_a_spoken_message_is_understood_and_answered(
    stack: Stack, person: Person, persona: dict[str, Any], streamed: bool
) -> None:
    """What was heard stands in the receipt, and the persona remembers it."""
    question = "Please tell me about the moons of Jupiter."
    audio = uploaded(person, spoken(stack, question))
    body = {"model": "personaforge/talk", "stream": streamed, "input": {"persona": persona["id"], "audio": audio}}
    job = person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=60"}).raise_for_status().json()
    if streamed:
        person.follow(job)
    made = person.look(job)
    assert made["status"] == "succeeded", made["error"]
    assert made["receipt"]["heard"] == question
    usage = person.http.get("/v1/account/export").json()["usage"]
    charged = next(-float(one["credits"]) for one in reversed(usage) if one["kind"] == "charge")
    assert charged == pytest.approx(made["receipt"]["cost_usd"] * 1000, abs=0.01)
    heard_for = len(decode_audio(spoken(stack, question))) / RATE * catalogue.TRANSCRIPTION
    assert made["receipt"]["cost_usd"] > heard_for
    assert made["text"]
    messages = person.http.get("/v1/account/export").json()["messages"]
    assert question in [one["content"] for one in messages]


@pytest.mark.parametrize(("sound", "says"), [
    (encode_wav(SILENCE), "Nothing was understood"),
    (encode_wav(np.tile(SILENCE, 31)), "60"),
])  # fmt: skip
def test_a_sound_without_a_question_says_so(person: Person, persona: dict[str, Any], sound: bytes, says: str) -> None:
    """Silence, which was listened to and is paid for, and more than a minute, which was not."""
    job = person.talk(persona["id"], audio=uploaded(person, sound))
    answer = person.http.get(job["urls"]["stream"])
    assert answer.status_code == 422, answer.text
    assert says in answer.json()["detail"]
    made = person.look(job)
    assert made["status"] == "failed"
    assert bool(made["receipt"] and made["receipt"]["cost_usd"]) == ("Nothing" in says)
    assert "spent_usd" not in answer.text


def test_a_message_is_written_or_spoken(person: Person, persona: dict[str, Any]) -> None:
    """Not both; and others' uploads are nobody else's to be heard."""
    body = {"persona": persona["id"], "audio": "data:audio/wav;base64,AA==", "message": "Hello"}
    refused = person.http.post("/v1/predictions", json={"model": "personaforge/talk", "input": body})
    assert refused.status_code == 422
    assert "`message`, `audio` or `say`" in refused.text
    for address in ("https://example.com/question.wav", "file:///etc/passwd", "nothing"):
        body = {"model": "personaforge/talk", "input": {"persona": persona["id"], "audio": address}}
        assert person.http.post("/v1/predictions", json=body).status_code == 422


def test_a_persona_speaks_its_language(
    sign_up: Callable[[], Person], portrait_png: bytes, decode: Callable[[bytes], Decoded]
) -> None:
    """The same letters sound otherwise; what no language is, or none that voices have, is refused when it is set."""
    person = sign_up()
    persona = person.persona(portrait_png)
    say = "Die Monde des Jupiter sind in jeder klaren Nacht zu sehen."
    english = decode(person.follow(person.talk(persona["id"], say=say))).samples
    where = f"/v1/personas/{persona['id']}"
    assert person.http.patch(where, json={"language": "de"}).raise_for_status().json()["language"] == "de"
    german = decode(person.follow(person.talk(persona["id"], say=say))).samples
    shortest = min(len(english), len(german))
    assert np.abs(english[:shortest] - german[:shortest]).mean() > 0.01
    assert person.http.patch(where, json={"language": "German"}).status_code == 422
    refused = person.http.patch(where, json={"language": "xx"})
    assert (refused.status_code, "a language is one of ar, bg" in refused.text) == (422, True)


def test_models_that_take_no_language_are_sent_none() -> None:
    """They would refuse the request; they hear the text's language. The language model is told in any case."""
    german = VoiceSettings(language="de")
    assert german.options("eleven_flash_v2_5") == {"language_code": "de"}
    assert german.options("eleven_multilingual_v2") == {}
    persona = Persona(
        id=UUID(int=1), owner=UUID(int=2), name="Ada", language="de", look_since=datetime.now(UTC),
        created_at=datetime.now(UTC),
    )  # fmt: skip
    assert "'de'" in prompt.system(persona)
    assert "ISO 639-1" not in prompt.system(persona.model_copy(update={"language": ""}))
