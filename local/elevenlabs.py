"""Stand-in for ElevenLabs: espeak-ng speaks, whole or streamed, with the time of each character.

Runs in a process of its own, as espeak-ng is GPL-3 and a singleton.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import wave
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Any
from uuid import uuid4

import av
import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local.bill import Bill
from local.espeak import Espeak, Spoken
from local.faults import Faults
from shared.media.audio import encode_wav
from shared.media.types import Samples, Timing

# Voice id to (espeak voice with variant, words a minute, pitch)
VOICES = {
    "21m00Tcm4TlvDq8ikWAM": ("Rachel", "en-us+f3", 162, 52),
    "pNInz6obpgDQGcFmaJgB": ("Adam", "en-us+m3", 158, 40),
    "EXAVITQu4vr4xnSDxMaL": ("Sarah", "en-us+f2", 168, 58),
    "JBFqnCBsd6RMkjVDRZzb": ("George", "en-gb-x-rp+m1", 152, 36),
    "SAz9YHcvj6GT2YYXdXww": ("River", "en-us+m7", 158, 58),
    "cl0nedV01ceOfAPerson": ("Sam", "en-us+m1", 150, 44),
}
CLONED = "cl0nedV01ceOfAPerson"
PREMADE = {  # as the vendor lists them
    key: (VOICES[key][0], description, {"gender": gender, "accent": accent, "language": "en"})
    for key, gender, accent, description in (
        ("21m00Tcm4TlvDq8ikWAM", "female", "american", "Calm"),
        ("pNInz6obpgDQGcFmaJgB", "male", "american", "Deep"),
        ("EXAVITQu4vr4xnSDxMaL", "female", "american", "Soft"),
        ("JBFqnCBsd6RMkjVDRZzb", "male", "british", "Warm"),
        ("SAz9YHcvj6GT2YYXdXww", "neutral", "american", "Relaxed"),
        (CLONED, "male", "british", "Of somebody who agreed to be cloned"),
    )
}
_CODES = {400: "bad_request", 401: "invalid_api_key", 404: "voice_not_found", 429: "too_many_concurrent_requests"}
bill = Bill()
_ESPEAK_NAMES = {"zh": "cmn", "no": "nb"}  # where it calls a language otherwise
_PIECE_S = 0.35  # seconds of sound in a streamed chunk, about


def refusal(status: int, code: str = "", message: str = "") -> dict[str, Any]:
    code = code or _CODES.get(status, "system_busy")
    return {"detail": {"status": code, "message": message or code.replace("_", " ").capitalize()}}


@dataclass(frozen=True)
class Take:
    """A text spoken: samples at `rate`, and start and end of each of its characters in seconds."""

    samples: NDArray[np.int16]
    rate: int
    text: str
    starts: list[float]
    ends: list[float]

    def alignment(self, first: int, last: int) -> dict[str, Any]:
        return {
            "characters": list(self.text[first:last]),
            "character_start_times_seconds": [round(t, 4) for t in self.starts[first:last]],
            "character_end_times_seconds": [round(t, 4) for t in self.ends[first:last]],
        }


def speak(text: str, voice_id: str, rate: int, times: float = 1.0, language: str = "") -> Take:
    """Speak with espeak-ng, resampled to `rate`. An id that is not listed gets a voice by lot of the id.

    times: its usual speed. language: ISO 639-1, English without. Raises ValueError for one that espeak-ng lacks.
    """
    lot = int(hashlib.sha256(voice_id.encode()).hexdigest(), 16)
    _, voice, speed, pitch = VOICES.get(voice_id) or (
        "",
        f"en-us+{'fm'[lot % 2]}{lot % 4 + 1}",
        150 + lot % 25,
        35 + lot % 30,
    )
    if language:
        voice = f"{_ESPEAK_NAMES.get(language, language)}+{voice.partition('+')[2]}"
    spoken = Espeak.shared().speak(text, voice, round(speed * times), pitch)
    count = round(len(spoken.samples) * rate / spoken.rate)
    places = np.arange(count) * (spoken.rate / rate)
    samples = np.interp(places, np.arange(len(spoken.samples)), spoken.samples) if count else np.zeros(0)
    starts, ends = _characters(text, spoken)
    return Take(np.clip(samples * 1.15, -32768, 32767).astype(np.int16), rate, text, starts, ends)


def _characters(text: str, spoken: Spoken) -> tuple[list[float], list[float]]:
    """Start and end of each character: letters lie on the sounds they spell, the rest fills the pauses."""
    total = len(spoken.samples) / spoken.rate
    starts, ends = [-1.0] * len(text), [-1.0] * len(text)
    letters = [place for place in range(len(text)) if text[place].isalnum()]
    times = _spread([text[place].lower() for place in letters], spoken.phonemes, total)
    for place, (a, b) in zip(letters, times, strict=True):
        starts[place], ends[place] = a, b
    clock = 0.0
    for place in range(len(text)):
        if starts[place] < 0:
            later = next((starts[i] for i in range(place + 1, len(text)) if starts[i] >= 0), total)
            starts[place], ends[place] = clock, max(clock, later)
        clock = ends[place]
    return starts, ends


_ALIKE = {
    "p": "p", "b": "b", "m": "m", "f": "f", "v": "vf", "w": "wʊ", "t": "tɾθðʃ", "d": "dɾ", "n": "nŋ", "s": "szʃʒ",
    "z": "zs", "l": "l", "r": "ɹɚɜr", "k": "k", "c": "kstʃ", "g": "ɡgdʒ", "h": "hθðʃ", "j": "dʒ", "q": "k", "x": "ks",
}  # fmt: skip
_VOWEL_LETTERS = "aeiouyäöüáéíóúàèìòùâêîôû"


def _spread(letters: list[str], sounds: list[Timing], total: float) -> list[tuple[float, float]]:
    """Times for letters: the likeliest pairing with sounds, both in order. Several may share a sound."""
    if not sounds or not letters:
        edges = np.linspace(0, total, len(letters) + 1)
        return [(float(a), float(b)) for a, b in pairwise(edges)]
    kinds = {letter: np.array([_mismatch(letter, sound.symbol) for sound in sounds]) for letter in set(letters)}
    steps = (0.35, 0.0, 0.6, 1.2, 1.8, 2.4, 3.0)  # price of moving on by 0, 1, 2 ... sounds with the next letter
    came = np.zeros((len(letters), len(sounds)), np.int8)
    best = kinds[letters[0]] + 0.6 * np.arange(len(sounds))
    for i, letter in enumerate(letters[1:], 1):
        options = np.full((len(steps), len(sounds)), np.inf)
        for move, price in enumerate(steps[: len(sounds)]):
            options[move, move:] = best[: len(sounds) - move] + price
        came[i] = np.argmin(options, axis=0)
        best = options[came[i], np.arange(len(sounds))] + kinds[letter]
    path = [int(np.argmin(best + 0.6 * np.arange(len(sounds))[::-1]))]
    for i in range(len(letters) - 1, 0, -1):
        path.append(path[-1] - int(came[i, path[-1]]))
    path.reverse()
    times: list[tuple[float, float]] = []
    for i, j in enumerate(path):
        first = path.index(j)
        share = (sounds[j].end - sounds[j].start) / path.count(j)
        times.append((sounds[j].start + (i - first) * share, sounds[j].start + (i - first + 1) * share))
    return times


def _mismatch(letter: str, sound: str) -> float:
    if letter in _VOWEL_LETTERS:
        return 0.0 if any(s in "aɑɐʌæeɛəɜɚiɪyoɔɒuʊᵻj" for s in sound) else 1.0
    return 0.0 if any(s in _ALIKE.get(letter, "") for s in sound) else 0.8


def _pieces(take: Take) -> Iterator[tuple[NDArray[np.int16], dict[str, Any] | None]]:
    """Sound and alignment in chunks that end between words; times count from the start of the whole."""
    first, done = 0, 0
    for place in range(1, len(take.text) + 1):
        last = place == len(take.text)
        long_enough = take.ends[place - 1] - done / take.rate > _PIECE_S
        if last or (long_enough and take.text[place - 1].isspace()):
            until = len(take.samples) if last else min(len(take.samples), round(take.ends[place - 1] * take.rate))
            yield take.samples[done:until], take.alignment(first, place)
            first, done = place, until


def _encode(take: Take, output_format: str) -> bytes:
    if output_format.startswith("pcm_"):
        return take.samples.tobytes()
    out = BytesIO()
    with av.open(out, "w", format="mp3") as file:
        stream = file.add_stream("mp3", rate=take.rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(take.samples[None], format="s16p", layout="mono")
        frame.sample_rate = take.rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return out.getvalue()


async def text_to_speech(request: Request) -> Response:  # one refusal, one line
    if request.headers.get("xi-api-key") != os.environ["STANDIN_KEY"]:
        return JSONResponse(refusal(401, message="Invalid API key"), 401)
    voice_id = request.path_params["voice_id"]
    if not re.fullmatch(r"[A-Za-z0-9]{20}", voice_id):
        return JSONResponse(refusal(404, message=f"A voice with voice_id {voice_id} was not found."), 404)
    try:
        body = await request.json()
    except json.JSONDecodeError:
        body = None
    text = body.get("text") if isinstance(body, dict) else None
    if not isinstance(text, str):
        loc = [{"loc": ["body", "text"], "msg": "Field required", "type": "missing"}]
        return JSONResponse({"detail": loc}, 422)
    if len(text) > 40_000:
        return JSONResponse(refusal(400, "max_character_limit_exceeded"), 400)
    output_format = request.query_params.get("output_format", "mp3_44100_128")
    known = re.fullmatch(r"pcm_(8000|16000|22050|24000|32000|44100|48000)|mp3_(22050|24000|44100)_\d+", output_format)
    if not known:
        return JSONResponse(refusal(400, "unsupported_output_format", f"Not offered here: {output_format}"), 400)
    bill.add(body.get("model_id") or "eleven_multilingual_v2", characters=len(text))
    speed = (body.get("voice_settings") or {}).get("speed") or 1.0
    if not 0.7 <= speed <= 1.2 or len(body.get("previous_request_ids") or []) > 3:
        return JSONResponse(refusal(400, "invalid_voice_settings"), 400)
    language = body.get("language_code") or ""
    if language and body.get("model_id") not in ("eleven_flash_v2_5", "eleven_turbo_v2_5"):
        return JSONResponse(refusal(400, "unsupported_language", "This model takes no language_code"), 400)
    try:
        take = await asyncio.to_thread(speak, text, voice_id, int(known[1] or known[2]), speed, language)
    except ValueError:
        return JSONResponse(refusal(400, "unsupported_language", f"{language!r} is not supported"), 400)
    _spoken[_print(take.samples)] = text
    headers = {"request-id": uuid4().hex, "character-cost": str(len(text))}
    kind = request.path_params.get("kind", "")
    if kind == "stream/with-timestamps":
        return StreamingResponse(_lines(take, output_format), media_type="application/json", headers=headers)
    data = _encode(take, output_format)
    if kind == "with-timestamps":
        alignment = take.alignment(0, len(take.text))
        found = {
            "audio_base64": base64.b64encode(data).decode(),
            "alignment": alignment,
            "normalized_alignment": alignment,
        }
        return JSONResponse(found, headers=headers)
    media = "audio/mpeg" if output_format.startswith("mp3") else "audio/pcm"
    if kind == "stream":
        parts = (data[at : at + 8192] for at in range(0, len(data), 8192))
        return StreamingResponse(parts, media_type=media, headers=headers)
    return Response(data, media_type=media, headers=headers)


async def _lines(take: Take, output_format: str) -> AsyncIterator[bytes]:
    if output_format.startswith("mp3"):  # an encoder cannot be cut anywhere: one chunk
        pieces = iter([(None, take.alignment(0, len(take.text)))])
    else:
        pieces = iter(_pieces(take))  # type: ignore[arg-type]
    for samples, alignment in pieces:
        data = _encode(take, output_format) if samples is None else samples.tobytes()
        chunk = {
            "audio_base64": base64.b64encode(data).decode(),
            "alignment": alignment,
            "normalized_alignment": alignment,
        }
        yield json.dumps(chunk).encode() + b"\n"


_spoken: dict[str, str] = {}  # by what it sounds like: the stand-in understands itself


def _print(samples: Samples) -> str:
    """Of a sound: survives a file around it."""
    return hashlib.sha256(samples.tobytes()).hexdigest()


async def transcribe(request: Request) -> Response:
    """Of what it has spoken itself, the words; of silence, none; of anything else, always the same question."""
    if request.headers.get("xi-api-key") != os.environ["STANDIN_KEY"]:
        return JSONResponse(refusal(401, message="Invalid API key"), 401)
    form = await request.form()
    file, model = form.get("file"), form.get("model_id")
    if file is None or isinstance(file, str) or not str(model or "").startswith("scribe_"):
        return JSONResponse({"detail": [{"loc": ["body", "file"], "msg": "Field required"}]}, 422)
    with wave.open(BytesIO(await file.read())) as sound:
        samples: Samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
    quiet = not len(samples) or int(np.abs(samples.astype(np.int32)).max()) < 300
    text = "" if quiet else _spoken.get(_print(samples), "Who are you?")
    return JSONResponse({
        "language_code": "eng", "language_probability": 0.98, "text": text, "words": [],
        "audio_duration_secs": len(samples) / 24_000,
    })  # fmt: skip


async def voice(request: Request) -> Response:
    if request.headers.get("xi-api-key") != os.environ["STANDIN_KEY"]:
        return JSONResponse(refusal(401, message="Invalid API key"), 401)
    key = request.path_params["voice_id"]
    found = next((one for one in _listed(request) if one["voice_id"] == key), None)
    lists: dict[str, Any] = {"available_for_tiers": [], "high_quality_base_model_ids": []}
    other = {"voice_id": key, "name": key, "category": "premade", "labels": {}, **lists}
    there = re.fullmatch(r"[A-Za-z0-9]{20}", key) is not None  # as text_to_speech has it
    return JSONResponse(found or other) if there else JSONResponse(refusal(404, "voice_not_found"), 404)


async def subscription(request: Request) -> Response:
    if request.headers.get("xi-api-key") != os.environ["STANDIN_KEY"]:
        return JSONResponse(refusal(401, message="Invalid API key"), 401)
    used = sum(line["characters"] for line in bill.lines)
    return JSONResponse({
        "tier": "creator", "status": "active", "character_count": used, "character_limit": 100_000,
        "max_character_limit_extension": None, "can_extend_character_limit": False,
        "allowed_to_extend_character_limit": False, "voice_slots_used": 1, "voice_limit": 30,
        "professional_voice_slots_used": 0, "professional_voice_limit": 1, "voice_add_edit_counter": 0,
        "can_extend_voice_limit": False, "can_use_instant_voice_cloning": True,
        "can_use_professional_voice_cloning": True, "has_open_invoices": False, "open_invoices": [],
    })  # fmt: skip


async def voices(request: Request) -> Response:
    if request.headers.get("xi-api-key") != os.environ["STANDIN_KEY"]:
        return JSONResponse(refusal(401, message="Invalid API key"), 401)
    wanted = request.query_params.get("search", "").lower()
    found = [one for one in _listed(request) if wanted in f"{list(one.values())}".lower()]
    return JSONResponse({"voices": found, "has_more": False, "total_count": len(found)})


def _listed(request: Request) -> list[dict[str, Any]]:
    base = str(request.base_url).rstrip("/")
    return [
        {
            "voice_id": key, "name": voice[0], "category": "cloned" if key == CLONED else "premade",
            "description": voice[1], "labels": voice[2], "preview_url": f"{base}/previews/{key}.wav",
            "available_for_tiers": [], "high_quality_base_model_ids": ["eleven_flash_v2_5"],
        }
        for key, voice in PREMADE.items()
    ]  # fmt: skip


async def preview(request: Request) -> Response:
    """A sample, public as the vendor's."""
    voice_id = request.path_params["voice_id"]
    take = await asyncio.to_thread(speak, f"Hello, I am {PREMADE[voice_id][0]}. This is how I sound.", voice_id, 24_000)
    return Response(encode_wav(take.samples), media_type="audio/wav")


app = Starlette(
    routes=[
        bill.route,
        Route("/v1/text-to-speech/{voice_id}", text_to_speech, methods=["POST"]),
        Route("/v1/text-to-speech/{voice_id}/{kind:path}", text_to_speech, methods=["POST"]),
        Route("/v1/user/subscription", subscription),
        Route("/v1/speech-to-text", transcribe, methods=["POST"]),
        Route("/v1/voices", voices),
        Route("/v1/voices/{voice_id}", voice),
        Route("/v2/voices", voices),
        Route("/previews/{voice_id}.wav", preview),
    ],
    middleware=[Middleware(Faults, refusal=refusal)],
)
