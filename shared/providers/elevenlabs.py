"""ElevenLabs: text to speech, 24 kHz with the time of each character, as it comes."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from shared.core import telemetry
from shared.core.errors import ForgeError, ProviderFailed, ProviderTimeout, provider_error
from shared.core.settings import Settings
from shared.media.types import RATE, Samples, Speech, Timing

NAME = "elevenlabs"


TRANSCRIBER = "scribe_v2"
TAKES_LANGUAGE_CODE = {"eleven_flash_v2_5"}  # by its OpenAPI document; other models refuse `language_code`
CONTINUES = 3  # requests before, that the vendor takes for continuity
PATIENCE = 10.0  # seconds without a word from the voice, which speaks several times faster than people listen


@dataclass(frozen=True)
class VoiceSettings:
    """How a voice speaks. speed: 0.7 to 1.2 of its own. stability: from 0, moved, to 1, even.

    language: ISO 639-1; empty for that of the text, as the model takes it.
    """

    speed: float = 1.0
    stability: float = 0.5
    language: str = ""

    def options(self, model: str) -> dict[str, Any]:
        """Of a request. Models that would refuse a language are not sent one: they speak that of the text."""
        options: dict[str, Any] = {}
        if (self.speed, self.stability) != (1.0, 0.5):
            options["voice_settings"] = {"speed": self.speed, "stability": self.stability}
        if self.language and model in TAKES_LANGUAGE_CODE:
            options["language_code"] = self.language
        return options


@dataclass(frozen=True)
class Voice:
    """labels: such as gender, age, accent and language. preview: address of a sample, public. cloned: from somebody."""

    id: str
    name: str
    description: str
    labels: dict[str, str]
    preview: str | None
    cloned: bool = False


class TextToSpeech:
    """Text-to-speech with timestamps. One attempt only, as streaming calls of the SDK never retry."""

    def __init__(self, settings: Settings) -> None:
        from elevenlabs.client import AsyncElevenLabs

        self.model = settings.elevenlabs_model
        self.default_voice = settings.elevenlabs_voice
        self._http = httpx.AsyncClient()
        self._client = AsyncElevenLabs(
            api_key=settings.elevenlabs_api_key,
            base_url=settings.elevenlabs_base_url,
            httpx_client=self._http,
            timeout=PATIENCE,  # the SDK's own, 240 s otherwise, whatever the client's is
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def voices(self, search: str = "") -> list[Voice]:
        """Up to a hundred of the account's voices, by name, description or label."""
        with telemetry.call(NAME, "voices"):
            try:
                found = await self._client.voices.search(search=search or None, page_size=100)
            except Exception as error:
                raise translate(error) from error
        return [_voice(one) for one in found.voices]

    async def voice(self, voice_id: str) -> Voice | None:
        """One of the account's voices, or None where it has none of this id."""
        with telemetry.call(NAME, "voice"):
            try:
                return _voice(await self._client.voices.get(voice_id))
            except Exception as error:
                if getattr(error, "status_code", None) in (400, 404):  # voice_not_found
                    return None
                raise translate(error) from error

    async def transcribe(self, sound: bytes) -> str:
        """What is said in a WAV file, in any language; empty where nothing is."""
        with telemetry.call(NAME, "speech-to-text"):
            try:
                found = await self._client.speech_to_text.convert(
                    model_id=TRANSCRIBER, file=("question.wav", sound, "audio/wav"), tag_audio_events=False,
                    timestamps_granularity="none", request_options={"timeout_in_seconds": 30, "max_retries": 0},
                )  # fmt: skip
            except Exception as error:
                raise translate(error) from error
        return str(getattr(found, "text", "")).strip()

    async def speak(
        self,
        text: str,
        voice_id: str,
        previous_text: str,
        request_ids: list[str],
        settings: VoiceSettings = VoiceSettings(),
    ) -> AsyncIterator[Speech]:
        """Speak a text; yields sound as it arrives, each stretch with the timings of its own characters.

        previous_text: what was said before, for the melody. request_ids: of the requests that said it, for its sound;
        receives the vendor's id of this one.
        Raises ProviderFailed and its kinds, also in mid-stream, or when sound was lost on the way.
        """
        with telemetry.call(NAME, "text-to-speech"):
            async for speech in self._speak(text, voice_id, previous_text, request_ids, settings):
                yield speech

    async def _speak(
        self, text: str, voice_id: str, previous_text: str, request_ids: list[str], settings: VoiceSettings
    ) -> AsyncIterator[Speech]:
        odd = b""
        spoken = 0  # samples so far
        heard = 0  # characters that came back
        base = 0.0  # seconds to add where the vendor restarts its clock with a chunk
        last = 0.0
        options: dict[str, Any] = {"previous_text": previous_text[-500:]} if previous_text else {}
        if before := [one for one in request_ids if one][-CONTINUES:]:
            options["previous_request_ids"] = before
        options |= settings.options(self.model)
        try:
            async with self._client.text_to_speech.with_raw_response.stream_with_timestamps(
                voice_id,
                text=text,
                model_id=self.model,
                output_format=f"pcm_{RATE}",
                **options,
            ) as answer:
                request_ids.append(answer.headers.get("request-id", ""))
                async for chunk in answer.data:
                    sound = odd + base64.b64decode(chunk.audio_base_64)
                    whole = len(sound) // 2 * 2
                    sound, odd = sound[:whole], sound[whole:]
                    samples: Samples = np.frombuffer(sound, np.int16)
                    timings: list[Timing] = []
                    if chunk.alignment:
                        heard += len(chunk.alignment.characters)
                        starts = chunk.alignment.character_start_times_seconds
                        if starts and starts[0] + base < last - 0.25 and spoken:
                            base = spoken / RATE
                        offset = base - spoken / RATE
                        timings = [
                            Timing(character, start + offset, end + offset)
                            for character, start, end in zip(
                                chunk.alignment.characters,
                                starts,
                                chunk.alignment.character_end_times_seconds,
                                strict=True,
                            )
                        ]
                        if timings:
                            last = timings[-1].end + spoken / RATE
                    spoken += len(samples)
                    yield Speech(samples, timings)
        except Exception as error:
            raise translate(error) from error
        # The SDK drops broken lines without a word: no sound for a text means that it happened.
        if not spoken or (heard and heard < 0.5 * len(text.strip())):
            raise ProviderFailed(NAME, "Part of the voice was lost on the way.")


def _voice(one: Any) -> Voice:
    labels, cloned = dict(one.labels or {}), one.category in ("cloned", "professional")
    return Voice(one.voice_id, one.name or "", one.description or "", labels, one.preview_url, cloned)


def translate(error: Exception) -> ForgeError:
    """The error for one of the SDK's, or of the connection under it."""
    from elevenlabs.core.api_error import ApiError
    from elevenlabs.core.parse_error import ParsingError

    if isinstance(error, httpx.TimeoutException):
        return ProviderTimeout(NAME, "The voice did not answer in time.")
    if isinstance(error, (httpx.HTTPError, httpx.StreamError, httpx.CookieConflict)):
        return ProviderFailed(NAME, "The connection to the voice failed.")
    if isinstance(error, (httpx.InvalidURL, ValueError, ParsingError)):
        return ProviderFailed(NAME, "The voice's answer is not what its interface promises.")
    if isinstance(error, ApiError):
        body: Any = error.body
        detail = body.get("detail") if isinstance(body, dict) else None
        code = detail.get("status", "") if isinstance(detail, dict) else ""
        text = f"The voice answered {error.status_code} ({code or 'no code'})."
        return provider_error(NAME, error.status_code or 502, text, (error.headers or {}).get("retry-after"))
    return ForgeError("An unexpected error in the adapter of ElevenLabs; it has been logged.")
