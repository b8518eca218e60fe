"""personaforge/lipsync: the persona's picture moved to a text or a sound, by a hosted model, not streamed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from shared.billing import prices
from shared.billing.budget import Budget
from shared.core.auth import User
from shared.core.errors import AudioUnusable, ProviderFailed
from shared.core.fetch import Fetcher
from shared.core.settings import Settings
from shared.core.text import Text
from shared.files import upload
from shared.files.upload import LONGEST_INLINE
from shared.models.model import InputWithPersona, Model
from shared.personas import persona as personas
from shared.personas.persona import Persona
from shared.personas.voice import voice_of, voice_settings
from shared.predictions.outcome import Outcome
from shared.predictions.output import succeeded
from shared.predictions.prediction import Prediction
from shared.predictions.receipt import Receipt
from shared.providers import catalogue
from shared.providers.job import JobProvider
from shared.runners.hosted import Hosted, HostedModel, Request
from shared.runners.services import Services

if TYPE_CHECKING:
    from shared.media.types import Samples

LARGEST_AUDIO = 20 * 1024 * 1024


class LipsyncInput(InputWithPersona):
    """The persona says `say` or moves to the sound at `audio`: up to 35 s, by a hosted model, not streamed."""

    say: Text | None = Field(None, min_length=1, max_length=500)
    audio: Text | None = Field(
        None,
        min_length=1,
        max_length=LONGEST_INLINE,
        description="https address of a WAV, MP3, Ogg, FLAC or M4A of up to 35 s, `urls.get` of an uploaded file, or a "
        "data: URL of up to 256 kB.",
    )

    files: ClassVar[tuple[str, ...]] = ("audio",)

    @model_validator(mode="after")
    def _one_of(self) -> LipsyncInput:
        if (self.say is None) == (self.audio is None):
            raise ValueError("send either `say` or `audio`")
        if self.audio and len(self.audio) > 2000 and not self.audio.startswith("data:"):
            raise ValueError("an address has at most 2,000 characters")
        return self


class LipsyncModel(HostedModel):
    def provider(self, services: Services, job_id: str = "") -> JobProvider:  # noqa: ARG002  # there is one
        return services.replicate

    async def request(self, services: Services, prediction: Prediction, user: User, budget: Budget) -> Request:
        """Raises AudioUnusable for a sound that hosted models do not take."""
        from shared.media.types import RATE

        model = catalogue.hosted(services.settings, "lipsync")
        wanted = LipsyncInput.model_validate(prediction.input)
        persona = await personas.find(services.store, wanted.persona, user)
        picture = await services.store.get(persona.required_portrait)
        if wanted.audio:
            data = await upload.read(services.store, user, wanted.audio)
            if data is None:
                async with Fetcher.open(services.settings) as fetcher:
                    data = await fetcher.get(wanted.audio, LARGEST_AUDIO)
            samples = await _decode(services, data)
        else:
            say = wanted.say or ""
            await budget.commit(prices.elevenlabs(services.settings.elevenlabs_model, len(say)), "The voice")
            samples = await _speak(services.settings, persona, say)
        if model.longest and len(samples) > model.longest * RATE:
            raise AudioUnusable(f"This takes {len(samples) / RATE:.0f} s; {model.name} takes up to {model.longest} s.")
        inputs = await services.replicate.lipsync_inputs(model, picture, samples)
        return Request(model.call, inputs, model.cost(len(samples) / RATE))

    async def keep(self, services: Services, prediction: Prediction, data: bytes, receipt: Receipt) -> Outcome:
        from shared.media.image import jpeg
        from shared.media.video import duration, first_frame

        try:
            picture = await asyncio.to_thread(lambda: jpeg(first_frame(data)))
        except ValueError as error:
            raise ProviderFailed(services.replicate.name, "Its output is not a video.") from error
        seconds = await asyncio.to_thread(duration, data)
        characters = len(str(prediction.input.get("say") or ""))
        model = catalogue.hosted(services.settings, "lipsync")
        voice_model = services.settings.elevenlabs_model
        voice = prices.elevenlabs(voice_model, characters)
        persona = await personas.look_up(services.store, prediction.persona_id, prediction.owner)
        known = {
            "model": model.name,
            "models": [*([voice_model] if characters else []), model.name],
            "consent_at": persona and persona.consent_at,
            "characters": characters,
            "duration_s": seconds,
            "realtime_factor": round((seconds or 0) / (receipt.total_ms or 1) * 1000, 3),
            "cost_usd": round(model.cost(seconds or 0) + voice, 6),
        }
        receipt = receipt.model_copy(update=known)
        return succeeded(await services.outputs.keep(prediction, data, "video/mp4", receipt, poster=picture))


async def _decode(services: Services, data: bytes) -> Samples:
    from shared.media.audio import decode_audio

    try:
        return await services.processes.run(decode_audio, data)
    except (TimeoutError, MemoryError) as error:
        raise AudioUnusable("Decoding this sound takes too long or too much memory. Save it anew.") from error


async def _speak(settings: Settings, persona: Persona, text: str) -> Samples:
    """The text in the persona's voice."""
    import numpy as np

    from shared.providers.elevenlabs import TextToSpeech

    voice = TextToSpeech(settings)
    try:
        spoken = voice.speak(text, voice_of(persona, voice.default_voice), "", [], voice_settings(persona))
        parts = [part.samples async for part in spoken]
    finally:
        await voice.close()
    return np.concatenate(parts)


MODEL = Model(
    name="lipsync", code=2, input=LipsyncInput, runner=Hosted(LipsyncModel()), reserve=100, output="video",
    needs=("persona", "portrait"), in_gallery=True,
)  # fmt: skip
