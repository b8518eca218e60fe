"""personaforge/portrait: a picture of the persona, by a hosted image model."""

from __future__ import annotations

from pydantic import Field

from shared.billing.budget import Budget
from shared.core.auth import User
from shared.core.text import Text
from shared.models.model import InputWithPersona, Model
from shared.personas import persona as personas
from shared.personas.persona import Persona
from shared.personas.portrait import read_portrait
from shared.predictions.outcome import Outcome, PortraitChange
from shared.predictions.output import succeeded
from shared.predictions.prediction import Prediction
from shared.predictions.receipt import Receipt
from shared.providers import catalogue
from shared.providers.job import JobProvider
from shared.runners.hosted import Hosted, HostedModel, Request
from shared.runners.services import Services


class PortraitInput(InputWithPersona):
    """A picture of the persona, made from its appearance unless a prompt is given."""

    prompt: Text | None = Field(None, min_length=3, max_length=1000)


class PortraitModel(HostedModel):
    def provider(self, services: Services, job_id: str = "") -> JobProvider:  # noqa: ARG002  # there is one
        return services.replicate

    async def request(self, services: Services, prediction: Prediction, user: User, budget: Budget) -> Request:  # noqa: ARG002  # nothing else is bought
        wanted = PortraitInput.model_validate(prediction.input)
        persona = await personas.find(services.store, wanted.persona, user)
        model = catalogue.hosted(services.settings, "portrait")
        return Request(model.call, model.given(prompt=wanted.prompt or _prompt(persona)), model.cost(0))

    async def keep(self, services: Services, prediction: Prediction, data: bytes, receipt: Receipt) -> Outcome:
        """Raises PictureUnusable when the model drew nothing that can speak."""
        portrait = await read_portrait(services.processes, data, generated=True)
        model = catalogue.hosted(services.settings, "portrait")
        known = {"model": model.name, "models": [model.name], "cost_usd": round(model.cost(0), 6)}
        kept = await services.outputs.keep(prediction, portrait.png, "image/png", receipt.model_copy(update=known))
        return succeeded(kept, portrait=PortraitChange(kept.file, portrait.face))


def _prompt(persona: Persona) -> str:
    look = persona.appearance.strip() or persona.description.strip()[:300]
    return f"Portrait of {persona.name}: {look}. One person, from the front, mouth closed, head and shoulders."


MODEL = Model(
    name="portrait", code=1, input=PortraitInput, runner=Hosted(PortraitModel()), reserve=60, output="image",
    needs=("persona",),
)  # fmt: skip
