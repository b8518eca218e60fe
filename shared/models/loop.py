"""personaforge/loop: the loop of the persona listening, by a hosted image-to-video model, in place of our own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

from pydantic import Field

from shared.billing.budget import Budget
from shared.core.auth import User
from shared.core.errors import Conflict, NotFound, ProviderFailed
from shared.core.text import Text
from shared.models.model import InputWithPersona, Model
from shared.personas import persona as personas
from shared.predictions.outcome import IdleChange, Outcome
from shared.predictions.output import succeeded
from shared.predictions.prediction import Prediction
from shared.predictions.receipt import Receipt
from shared.providers import catalogue
from shared.providers.catalogue import HostedModel as CatalogueModel
from shared.providers.job import JobProvider
from shared.runners.hosted import Hosted, HostedModel, Request
from shared.runners.services import Services

SIZE = 1024  # pixels of the picture that is sent: such models give 720 or 1080 lines
SHOWN = 512  # pixels of the loop, as our own
SECONDS = 5  # unless the catalogue's options say another duration
SHORTEST, LONGEST = 2, 20  # seconds of a loop
PROMPT = (
    "The person listens attentively and stays where they are: calm breathing, a blink now and then, mouth closed. "
    "The camera and everything behind them stand still."
)


class LoopInput(InputWithPersona):
    """The persona listening, by a hosted image-to-video model: hair and cloth move, too. It replaces our own loop."""

    prompt: Text | None = Field(None, min_length=3, max_length=500, description="What moves, instead of our own words.")


class LoopModel(HostedModel):
    def provider(self, services: Services, job_id: str = "") -> JobProvider:  # noqa: ARG002  # there is one
        return services.replicate

    async def request(self, services: Services, prediction: Prediction, user: User, budget: Budget) -> Request:  # noqa: ARG002  # nothing else is bought
        """Raises Conflict where no such model is chosen, or while the persona's own loops are being made."""
        from shared.lipsync.picture import head_png

        if not services.settings.forge_idle_model:
            raise Conflict("This deployment has chosen no image-to-video model: FORGE_IDLE_MODEL.")
        wanted = LoopInput.model_validate(prediction.input)
        persona = await personas.find(services.store, wanted.persona, user)
        if not persona.thinking:
            raise Conflict(f"{persona.name}'s own loops are still being made. Try again in a few seconds.")
        model = catalogue.hosted(services.settings, "idle")
        data = await services.store.get(persona.required_portrait)
        still = await asyncio.to_thread(head_png, data, persona.readable_face, SIZE)
        picture = await services.replicate.upload(still, "portrait.png")
        inputs = model.given(prompt=wanted.prompt or PROMPT, picture=picture, last=picture)
        return Request(model.call, inputs, model.cost(_seconds(model)))

    async def keep(self, services: Services, prediction: Prediction, data: bytes, receipt: Receipt) -> Outcome:
        """Raises ProviderFailed for what is no video. A persona that looks otherwise by now does not get the loop."""
        from shared.media import colour, image, video

        loop = await asyncio.to_thread(_loop, data)
        poster = await asyncio.to_thread(video.first_frame, loop)
        model, store = catalogue.hosted(services.settings, "idle"), services.store
        persona = await personas.look_up(store, prediction.persona_id, prediction.owner)
        known = {
            "model": model.name,
            "models": [model.name],
            "consent_at": persona and persona.consent_at,
            "duration_s": await asyncio.to_thread(video.duration, loop),
            "cost_usd": model.cost(_seconds(model)),
        }
        receipt = receipt.model_copy(update=known)
        kept = await services.outputs.keep(prediction, loop, "video/mp4", receipt, poster=image.jpeg(poster))
        if not persona or not persona.thinking or persona.look_since > prediction.created_at:
            return succeeded(kept)
        # The persona's files go with its look, what was paid for stays: it gets files of its own.
        assert kept.poster
        path = f"{prediction.owner}/{uuid4().hex}"
        idle, thinking, picture = f"{path}.idle.mp4", f"{path}.thinking.mp4", f"{path}.poster.jpg"
        copies = {
            idle: (kept.file, "video/mp4"),
            thinking: (persona.thinking, "video/mp4"),
            picture: (kept.poster, "image/jpeg"),
        }
        try:
            for copy, (original, kind) in copies.items():
                await store.put(copy, await store.get(original), kind, owner=prediction.owner)
        except NotFound:  # it got another look in this moment
            await store.remove(*copies)
            return succeeded(kept)
        change = IdleChange(idle, thinking, picture, colour.edge_hue(poster), persona.look_since.isoformat())
        return replace(succeeded(kept, idle=change), files=(*kept.files, *copies))


def _seconds(model: CatalogueModel) -> float:
    """That are asked for, and paid."""
    return float(model.options.get("duration", SECONDS))


def _loop(data: bytes) -> bytes:
    """Out of its first picture, which is the one that was sent, and back into it."""
    import av

    from shared.lipsync.clip import Clip
    from shared.media import image, video
    from shared.media.types import FPS

    frames = round((video.duration(data) or 0) * FPS)
    if not SHORTEST * FPS <= frames <= LONGEST * FPS:
        raise ProviderFailed("replicate", f"Its output is no video of {SHORTEST} to {LONGEST} s.")
    try:
        return video.loop(Clip(data, SHOWN, image.png(video.first_frame(data))).loop(frames), SHOWN, frames)
    except (av.FFmpegError, ValueError) as error:
        raise ProviderFailed("replicate", "Its output cannot be decoded.") from error


MODEL = Model(
    name="loop", code=5, input=LoopInput, runner=Hosted(LoopModel()), reserve=100, output="video", seconds=900,
    needs=("persona", "portrait"),
)  # fmt: skip
