"""What can be asked for: each model's input, checked against its schema."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.core.errors import InvalidInput, NotFound
from shared.core.text import Text

OWNER = "personaforge"


class Input(BaseModel):
    model_config = ConfigDict(extra="forbid")
    persona: UUID = Field(description="The persona's id.")


class TalkInput(Input):
    """Exactly one of `message` (the persona answers it) and `say` (it says exactly this)."""

    message: Text | None = Field(None, min_length=1, max_length=8000)
    say: Text | None = Field(None, min_length=1, max_length=4000)
    size: Literal[512, 1024] = Field(512, description="Width and height of the video in pixels.")

    @model_validator(mode="after")
    def _one_of(self) -> TalkInput:
        texts = [text for text in (self.message, self.say) if text is not None]
        if len(texts) != 1:
            raise ValueError("send either `message` or `say`")
        if not texts[0].strip():
            raise ValueError("the text is blank")
        return self


class PortraitInput(Input):
    """A picture of the persona, made from its appearance unless a prompt is given."""

    prompt: Text | None = Field(None, min_length=3, max_length=1000)


class LipsyncInput(Input):
    """The persona says `say`, or moves to the sound at `audio`, up to 35 s; by a hosted model, not streamed."""

    say: Text | None = Field(None, min_length=1, max_length=1000)
    audio: Text | None = Field(
        None,
        min_length=1,
        max_length=2000,
        description="https address of a WAV, MP3, Ogg, FLAC or M4A of up to 35 s.",
    )

    @model_validator(mode="after")
    def _one_of(self) -> LipsyncInput:
        if (self.say is None) == (self.audio is None):
            raise ValueError("send either `say` or `audio`")
        return self


MODELS: dict[str, type[Input]] = {"talk": TalkInput, "portrait": PortraitInput, "lipsync": LipsyncInput}


def model_name(name: str) -> str:
    """'talk' from 'personaforge/talk' or 'personaforge/talk:latest'. Raises NotFound for models not ours."""
    owner, _, model = name.partition(":")[0].rpartition("/")
    if owner in ("", OWNER) and model in MODELS:
        return model
    known = ", ".join(f"{OWNER}/{known}" for known in MODELS)
    raise NotFound(f"There is no model {name[:80]!r}. There are {known}.")


def read_input(model: str, given: Any) -> Input:
    """Check an input against its model's schema. Raises InvalidInput that names each wrong field."""
    try:
        return MODELS[model].model_validate(given)
    except ValidationError as error:
        fields = [
            {"at": ".".join(["input", *map(str, found["loc"])]), "message": found["msg"].removeprefix("Value error, ")}
            for found in error.errors()
        ]
        detail = "; ".join(f"{field['at']}: {field['message']}" for field in fields)
        raise InvalidInput(detail, fields=fields) from error
