"""personaforge/talk: the persona answers, or says exactly this, on video, streamed while it is made."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from shared.core.auth import User
from shared.core.text import Text
from shared.models.model import InputWithPersona, Model
from shared.predictions.prediction import Prediction
from shared.predictions.work import Work
from shared.runners.services import Services
from shared.runners.spawned import Streamed


class TalkInput(InputWithPersona):
    """Exactly one of `message` (the persona answers it) and `say` (it says exactly this)."""

    message: Text | None = Field(None, min_length=1, max_length=8000)
    say: Text | None = Field(None, min_length=1, max_length=4000)
    size: Literal[512, 1024] = Field(512, description="Width and height of the video in pixels.")

    other_names: ClassVar[frozenset[str]] = frozenset({"prompt"})

    @model_validator(mode="before")
    @classmethod
    def _prompt_is_message(cls, data: Any) -> Any:
        """Clients that know no personas call what is asked `prompt`."""
        if isinstance(data, dict) and "prompt" in data and not {"message", "say"} & set(data):
            return {**data, "message": data["prompt"]}
        return data

    @model_validator(mode="after")
    def _one_of(self) -> TalkInput:
        texts = [text for text in (self.message, self.say) if text is not None]
        if len(texts) != 1:
            raise ValueError("send either `message` or `say`")
        if not texts[0].strip():
            raise ValueError("the text is blank")
        return self


async def make_work(services: Services, prediction: Prediction, user: User | None) -> Work:
    """Read persona and conversation, as the listener where there is one."""
    from shared.talk.work import TalkWork

    request = TalkInput.model_validate(prediction.input)
    budget = services.lifecycle.budget(prediction)
    work = TalkWork(services.store, services.talk, services.replicate, services.outputs, prediction, budget)
    await work.prepare(request.persona, message=request.message, say=request.say, size=request.size, listener=user)
    return work


MODEL = Model(
    name="talk", code=0, input=TalkInput, runner=Streamed(make_work), reserve=60, output="video",
    needs=("persona", "portrait"), streamable=True, in_gallery=True,
)  # fmt: skip
