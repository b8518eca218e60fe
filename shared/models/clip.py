"""personaforge/clip: a few seconds of a scene with speech and sound, from words, or from words and a picture."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field, model_validator

from shared.billing.budget import Budget
from shared.core.auth import User
from shared.core.errors import InvalidInput, PictureUnusable, ProviderFailed
from shared.core.fetch import Fetcher
from shared.core.text import Text
from shared.files import upload
from shared.files.upload import LONGEST_INLINE
from shared.models.model import Input, Model
from shared.personas import persona as personas
from shared.predictions.outcome import Outcome
from shared.predictions.output import succeeded
from shared.predictions.prediction import Prediction
from shared.predictions.receipt import Receipt
from shared.providers import catalogue
from shared.providers.catalogue import HostedModel as CatalogueModel
from shared.providers.job import JobProvider
from shared.runners.hosted import Hosted, HostedModel, Request
from shared.runners.services import Services

LARGEST_PICTURE = 20 * 1024 * 1024
WORDS = 14  # that can be said unhurried in five seconds
SIZES = {"wide": "992x512", "tall": "512x992", "square": "720x720"}  # of those that Ovi offers


class ClipInput(Input):
    """Five seconds of a scene, with speech and sound."""

    scene: Text = Field(min_length=3, max_length=1000, description="What is seen. Other names: `prompt`.")
    says: Text = Field("", max_length=300, description=f"What is spoken in it: up to {WORDS} words.")
    sound: Text = Field("", max_length=300, description="What else is heard.")
    image: Text | None = Field(
        None,
        min_length=1,
        max_length=LONGEST_INLINE,
        description="Its first frame: an https address of a PNG, JPEG or WebP, `urls.get` of an uploaded file, or a "
        "data: URL of up to 256 kB.",
    )
    shape: Literal["wide", "tall", "square"] = Field("wide", description="Of a clip without a picture.")
    persona: UUID | None = Field(None, description="Whose portrait is the first frame, unless `image` is given.")

    other_names: ClassVar[frozenset[str]] = frozenset({"prompt"})
    files: ClassVar[tuple[str, ...]] = ("image",)

    @model_validator(mode="before")
    @classmethod
    def _prompt_is_scene(cls, data: object) -> object:
        """Clients of other video models call it `prompt`."""
        if isinstance(data, dict) and "prompt" in data and "scene" not in data:
            return {**data, "scene": data["prompt"]}
        return data

    @model_validator(mode="after")
    def _fits(self) -> ClipInput:
        if not _plain(self.scene):
            raise ValueError("the scene is blank")
        words = len(self.says.split())
        if words > WORDS:
            raise ValueError(f"five seconds hold {WORDS} words; `says` has {words}, so take out {words - WORDS}")
        if self.image and len(self.image) > 2000 and not self.image.startswith("data:"):
            raise ValueError("an address has at most 2,000 characters")
        return self


class HostedClip(HostedModel):
    def provider(self, services: Services, job_id: str = "") -> JobProvider:
        """Of a job that runs, where it runs, whatever the setting says by now: fal's ids are paths."""
        model = catalogue.hosted(services.settings, "clip")
        at_fal = "/" in job_id if job_id else model.provider == "fal"
        return services.fal if at_fal else services.replicate

    async def request(self, services: Services, prediction: Prediction, user: User, budget: Budget) -> Request:  # noqa: ARG002  # nothing else is bought
        """Raises PictureUnusable, FetchFailed; NotFound for a persona without a portrait; InvalidInput."""
        wanted = ClipInput.model_validate(prediction.input)
        model = catalogue.hosted(services.settings, "clip")
        prompt = _prompt(model, wanted)
        picture = await _first_frame(services, wanted, user)
        if picture is not None:
            if model.provider == "fal":
                address = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
            else:
                address = await services.replicate.upload(picture, "frame.jpg")
            return Request(model.from_picture, model.given(prompt=prompt, picture=address), model.cost(0))
        if model.from_picture == model.name:
            raise InvalidInput(f"{model.name} begins with a picture: give `image`, or a `persona` with a portrait.")
        return Request(model.call, model.given(prompt=prompt) | {"resolution": SIZES[wanted.shape]}, model.cost(0))

    async def keep(self, services: Services, prediction: Prediction, data: bytes, receipt: Receipt) -> Outcome:
        """Raises ProviderFailed for what is no video, whatever it is called."""
        from shared.media.image import jpeg
        from shared.media.video import duration, first_frame

        try:
            picture = await asyncio.to_thread(lambda: jpeg(first_frame(data)))
        except ValueError as error:
            provider = self.provider(services, prediction.provider_id or "")
            raise ProviderFailed(provider.name, "Its output is not a video.") from error
        model, wanted = catalogue.hosted(services.settings, "clip"), ClipInput.model_validate(prediction.input)
        shown = None if wanted.image else wanted.persona
        persona = await personas.look_up(services.store, shown, prediction.owner)
        known = {
            "model": model.name,
            "models": [model.name],
            "consent_at": persona and persona.consent_at,
            "duration_s": await asyncio.to_thread(duration, data),
            "cost_usd": model.cost(0),
        }
        kept = await services.outputs.keep(
            prediction, data, _kind(data), receipt.model_copy(update=known), poster=picture
        )
        return succeeded(kept, text=wanted.says or wanted.scene)


async def _first_frame(services: Services, wanted: ClipInput, user: User) -> bytes | None:
    """A JPEG, or None where the words alone are to do. Decoded and encoded anew: what else its file says stays here."""
    from shared.lipsync.picture import still

    if wanted.image:
        data = await upload.read(services.store, user, wanted.image)
        if data is None:
            async with Fetcher.open(services.settings) as fetcher:
                data = await fetcher.get(wanted.image, LARGEST_PICTURE)
    elif wanted.persona:
        persona = await personas.find(services.store, wanted.persona, user)
        data = await services.store.get(persona.required_portrait)
    else:
        return None
    try:
        return await services.processes.run(still, data)
    except (TimeoutError, MemoryError) as error:
        raise PictureUnusable("Decoding this picture takes too long or too much memory. Save it anew.") from error


def _prompt(model: CatalogueModel, wanted: ClipInput) -> str:
    """The one text that it takes. What is said and heard stands in tags of its own version: people type none."""
    parts = [f"{_plain(wanted.scene).rstrip('.')}."]
    parts += [model.speech.format(_plain(wanted.says))] if wanted.says else []
    parts += [model.sound_tag.format(_plain(wanted.sound))] if wanted.sound else []
    return " ".join(parts)


def _plain(text: str) -> str:
    """Without what could be taken for a tag."""
    return re.sub(r"\s+", " ", re.sub(r"[<>]", " ", text)).strip()


def _kind(video: bytes) -> str:
    """Its content type, by its first bytes: models send WebM under the name of MP4."""
    return "video/webm" if video.startswith(b"\x1aE\xdf\xa3") else "video/mp4"


MODEL = Model(
    name="clip", code=4, input=ClipInput, runner=Hosted(HostedClip()), reserve=200, output="video", seconds=300,
    in_gallery=True,
)  # fmt: skip
