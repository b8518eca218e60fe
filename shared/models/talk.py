"""personaforge/talk: the persona answers, or says exactly this, on video, streamed while it is made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field, model_validator

from shared.billing.budget import Budget
from shared.core.auth import User
from shared.core.errors import AudioUnusable
from shared.core.text import Text
from shared.files import upload
from shared.files.upload import LONGEST_INLINE
from shared.models.model import InputWithPersona, Model
from shared.predictions.prediction import Prediction
from shared.predictions.work import Work
from shared.providers.catalogue import TRANSCRIPTION
from shared.runners.services import Services
from shared.runners.spawned import Streamed

if TYPE_CHECKING:
    from shared.talk.work import Heard

LONGEST_QUESTION = 60.0  # seconds
UPLOADED = re.compile(r"https?://[^/]+/v1/files/[0-9a-f-]{36}")


class TalkInput(InputWithPersona):
    """One of `message` (the persona answers it), `audio` (a spoken message) and `say` (it says exactly this)."""

    message: Text | None = Field(None, min_length=1, max_length=8000)
    audio: Text | None = Field(
        None,
        min_length=1,
        max_length=LONGEST_INLINE,
        description="Of a spoken message, up to a minute: `urls.get` of an uploaded file, or a data: URL of up to "
        "256 kB. What was understood is `heard` in the receipt.",
    )
    say: Text | None = Field(None, min_length=1, max_length=4000)
    size: Literal[512, 1024] = Field(512, description="Width and height of the video in pixels.")

    other_names: ClassVar[frozenset[str]] = frozenset({"prompt"})
    files: ClassVar[tuple[str, ...]] = ("audio",)

    @model_validator(mode="before")
    @classmethod
    def _prompt_is_message(cls, data: Any) -> Any:
        """Clients that know no personas call what is asked `prompt`."""
        if isinstance(data, dict) and "prompt" in data and not {"message", "audio", "say"} & set(data):
            return {**data, "message": data["prompt"]}
        return data

    @model_validator(mode="after")
    def _one_of(self) -> TalkInput:
        texts = [text for text in (self.message, self.audio, self.say) if text is not None]
        if len(texts) != 1:
            raise ValueError("send either `message`, `audio` or `say`")
        if not texts[0].strip():
            raise ValueError("the text is blank")
        if self.audio and not self.audio.startswith("data:") and not UPLOADED.fullmatch(self.audio):
            raise ValueError("`audio` is `urls.get` of a file from POST /v1/files, or a data: URL")
        return self


async def make_work(services: Services, prediction: Prediction, user: User | None) -> Work:
    """Read persona and conversation, as the listener where there is one."""
    from shared.talk.work import TalkWork

    request = TalkInput.model_validate(prediction.input)
    budget = services.lifecycle.budget(prediction)
    work = TalkWork(services.store, services.talk, services.replicate, services.outputs, prediction, budget)
    heard = await _heard(services, prediction.owner, request.audio, budget) if request.audio else None
    message = heard.text if heard else request.message
    await work.prepare(request.persona, message=message, heard=heard, say=request.say, size=request.size, listener=user)
    return work


async def _heard(services: Services, owner: UUID, audio: str, budget: Budget) -> Heard:
    """What is said in a sound. Raises AudioUnusable, NotFound, FileUnusable, OutOfCredits, ProviderFailed.

    One in which nothing was understood has `spent_usd` in its error: it was listened to.
    """
    from shared.media.audio import decode_audio, encode_wav
    from shared.media.types import RATE
    from shared.talk.work import Heard

    data = upload.read_data_url(audio) if audio.startswith("data:") else None
    data = data or await upload.read_of(services.store, owner, audio)
    try:
        samples = await services.processes.run(decode_audio, data, LONGEST_QUESTION)
    except (TimeoutError, MemoryError) as error:
        raise AudioUnusable("Decoding this sound takes too long or too much memory. Save it anew.") from error
    cost = len(samples) / RATE * TRANSCRIPTION
    await budget.commit(cost, "Listening")
    heard = await services.talk.text_to_speech.transcribe(encode_wav(samples))
    if not any(map(str.isalnum, heard)):
        nothing = "Nothing was understood. Speak closer to the microphone, or write."
        raise AudioUnusable(nothing, spent_usd=cost)
    return Heard(heard, cost)


MODEL = Model(
    name="talk", code=0, input=TalkInput, runner=Streamed(make_work), reserve=60, output="video",
    needs=("persona", "portrait"), streamable=True, in_gallery=True,
)  # fmt: skip
