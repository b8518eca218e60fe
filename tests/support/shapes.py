"""Whether the stand-ins answer in the shapes that their vendors document.

    uv run python -m tests.support.shapes elevenlabs.json replicate.json

The files are the vendors' own OpenAPI documents, from their sites. Prints each operation that is stood in for and has a
schema there (of Replicate's they are few), and what of an answer does not fit; exits with 1 if anything does not.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import numpy as np

from local.stack import Stack
from shared.media.audio import encode_wav

VOICE = "SAz9YHcvj6GT2YYXdXww"


Answers = Iterator[tuple[str, str, httpx.Response]]  # by method and path of the document


def elevenlabs(http: httpx.Client) -> Answers:
    http.headers["xi-api-key"] = http.headers.pop("authorization").removeprefix("Bearer ")
    said, form = {"text": "Hello."}, {"model_id": "scribe_v2"}
    sound = {"file": ("hello.wav", encode_wav(np.zeros(24_000, np.int16)), "audio/wav")}
    speech = "/v1/text-to-speech/{voice_id}/with-timestamps"
    yield "post", speech, http.post(speech.format(voice_id=VOICE), json=said, params={"output_format": "pcm_24000"})
    yield "get", "/v1/voices", http.get("/v1/voices")
    yield "get", "/v2/voices", http.get("/v2/voices")
    yield "get", "/v1/voices/{voice_id}", http.get(f"/v1/voices/{VOICE}")
    yield "get", "/v1/user/subscription", http.get("/v1/user/subscription")
    yield "post", "/v1/speech-to-text", http.post("/v1/speech-to-text", data=form, files=sound)


def replicate(http: httpx.Client) -> Answers:
    for path in ("/account", "/webhooks/default/secret"):
        yield "get", path, http.get(f"/v1{path}")


# By the title of the document: the settings with address and key, and what is asked.
VENDORS = {
    "ElevenLabs API Documentation": ("ELEVENLABS_BASE_URL", "ELEVENLABS_API_KEY", elevenlabs),
    "Replicate": ("REPLICATE_BASE_URL", "REPLICATE_API_TOKEN", replicate),
}


def misfits(document: dict[str, Any], method: str, path: str, answer: httpx.Response) -> list[str]:
    """What of an answer does not fit its operation's schema: where, and why."""
    operation = document["paths"][path][method]
    schema = operation["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
    whole = {**schema, "components": document.get("components", {})}
    found = jsonschema_rs.validator_for(whole).iter_errors(answer.json())
    return [f"{'.'.join(map(str, one.instance_path)) or 'the answer'}: {one.message[:160]}" for one in found]


def main() -> None:
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        for name in sys.argv[1:]:
            document = json.loads(Path(name).read_text())
            address, key, answers = VENDORS[document["info"]["title"]]
            headers = {"Authorization": f"Bearer {stack.settings[key]}"}
            with httpx.Client(base_url=stack.settings[address], headers=headers, trust_env=False) as http:
                for method, path, answer in answers(http):
                    found = misfits(document, method, path, answer)
                    wrong += len(found)
                    print(f"{method.upper()} {path}: {'fits' if not found else ''}")
                    print("".join(f"    {one}\n" for one in found), end="")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
