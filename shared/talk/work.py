"""A talk as a prediction's work: persona and conversation in, video, captions and what is remembered out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.billing.budget import Budget
from shared.core.auth import User
from shared.core.errors import NoVideo
from shared.core.store import Store
from shared.media.types import Timing
from shared.media.video import first_frame, seekable
from shared.personas import persona as personas
from shared.personas.voice import voice_of, voice_settings
from shared.predictions.outcome import Message, Outcome
from shared.predictions.output import Outputs, succeeded
from shared.predictions.prediction import Prediction
from shared.predictions.receipt import Receipt
from shared.predictions.work import Ending, Work
from shared.providers.replicate import Replicate
from shared.talk import prompt
from shared.talk.backlog import Backlog
from shared.talk.fallback import HostedSource, IdleSource, LocalSource, PortraitPicture, RemoteSource, VideoSource
from shared.talk.pipeline import Clock, Script, Talk
from shared.talk.runtime import TALKS, TalkRuntime


@dataclass(frozen=True)
class Heard:
    """A message that was spoken, and what listening to it cost in USD."""

    text: str
    cost_usd: float


class TalkWork(Work):
    """One claimed talk. `backlog` gives the video's bytes to the listener, if there is one, while `run` makes it."""

    def __init__(
        self,
        store: Store,
        runtime: TalkRuntime,
        replicate: Replicate,
        outputs: Outputs,
        prediction: Prediction,
        budget: Budget,
    ) -> None:
        self._store, self._runtime, self._replicate, self._outputs = store, runtime, replicate, outputs
        self._prediction, self._budget = prediction, budget
        self._clock, self._cold = Clock(), runtime.first_talk()
        self._queued_ms: int | None = None
        self._waits_for = ""
        self.backlog = Backlog()

    async def prepare(
        self,
        persona: UUID,
        *,
        message: str | None,
        heard: Heard | None,
        say: str | None,
        size: int,
        listener: User | None,
    ) -> None:
        """Read what is needed, as the listener where there is one. heard: a message that was spoken.

        Raises NotFound, Conflict without a portrait.
        """
        self._heard = heard
        store, owner = self._store, self._prediction.owner
        client = store.as_user(listener) if listener else store.as_service()
        found, recent = await asyncio.gather(
            personas.find(store, persona, listener) if listener else personas.find_of(store, persona, owner),
            prompt.recent_messages(store, client, persona, owner),
        )
        self._picture = PortraitPicture(store, found, size)
        self._message, self._listens = message, listener is not None
        voice_id = voice_of(found, self._runtime.text_to_speech.default_voice)
        settings = voice_settings(found)
        script = Script(voice_id, settings, say=say)
        if message is not None:
            turns = prompt.conversation(recent, message)
            script = Script(voice_id, settings, system=prompt.system(found), messages=turns)
        self._talk = Talk(script, self._runtime.language_model, self._runtime.text_to_speech, self._clock, self._budget)

    @property
    def logs(self) -> str:
        return self._waits_for or self._talk.progress

    @property
    def text(self) -> str:
        """What was written so far."""
        return self._talk.text

    @property
    def spoken(self) -> bool:
        """Whether what was delivered has sound."""
        return self._talk.delivered != "text"

    @property
    def seconds(self) -> float:
        """Length of what was delivered."""
        return self._talk.seconds

    def words(self) -> AsyncIterator[Timing]:
        """Each word with its time in the video, as soon as it is spoken. Ends when `stop_words` is called, too."""
        return self._talk.words()

    def stop_words(self) -> None:
        self._talk.stop_words()

    async def run(self, ends: float) -> None:
        """Wait for a turn in this container, then make the talk."""
        slots = self._runtime.slots
        if slots.locked():
            self._waits_for = (
                f"This container makes {TALKS} talks already; {self._runtime.waiting} more wait before this one.\n"
            )
            self._runtime.waiting += 1
            try:
                await slots.acquire()
            finally:
                self._runtime.waiting -= 1
            self._waits_for, self._queued_ms = "", self._clock.now()
        else:
            await slots.acquire()
        try:
            write = self.backlog.put if self._listens else _discard
            await self._talk.run(self._sources(ends), write, ends)
        finally:
            slots.release()

    def _sources(self, ends: float) -> tuple[VideoSource, ...]:
        runtime, picture = self._runtime, self._picture
        remote = (RemoteSource(runtime.render_remotely, picture),) if runtime.render_remotely else ()
        hosted = HostedSource(self._store, self._replicate, picture, ends, self._budget)
        return (*remote, LocalSource(runtime.engine.name, runtime.portraits, picture), hosted, IdleSource(picture))

    async def keep(self) -> Outcome:
        """Upload the files, if there are any."""
        talk = self._talk
        receipt = self._receipt().model_copy(update={"consent_at": self._picture.persona.consent_at})
        told: dict[str, Any] = {"text": talk.text.strip(), "degraded": talk.degraded, "messages": self._messages()}
        if not talk.data:
            return Outcome("succeeded", receipt=receipt, **told)
        data, poster, kind = bytes(talk.data), None, "audio/mp4"
        if talk.delivered != "voice":
            data, kind = await asyncio.to_thread(seekable, data), "video/mp4"
            poster = await asyncio.to_thread(_poster, data)
        kept = await self._outputs.keep(self._prediction, data, kind, receipt, captions=talk.captions, poster=poster)
        return succeeded(kept, **told)

    def ended(self, ending: Ending) -> Outcome:
        receipt = self._receipt()
        return Outcome(
            ending.status,
            text=self._talk.text.strip(),
            error=ending.error,
            charged=ending.charged,
            receipt=receipt.model_copy(update={"error_code": ending.code}),
            messages=self._messages() if ending.status == "canceled" else (),
        )

    def _receipt(self) -> Receipt:
        receipt = self._talk.receipt(cold=self._cold, queued_ms=self._queued_ms)
        if not self._heard:
            return receipt
        cost = round((receipt.cost_usd or 0) + self._heard.cost_usd, 6)
        return receipt.model_copy(update={"heard": self._heard.text, "cost_usd": cost})

    def _messages(self) -> tuple[Message, ...]:
        """What the persona will remember of this turn."""
        text = self._talk.text.strip()
        if not text:
            return ()
        question = (Message("user", self._message),) if self._message else ()
        return (*question, Message("assistant", text))

    @property
    def whole(self) -> bool:
        """Whether the bytes in `backlog` are all of what was delivered."""
        return self._talk.delivered not in ("", "voice", "text") and not self._talk.broken

    def no_video(self) -> NoVideo:
        """The error for a listener who gets no video."""
        degraded = self._talk.degraded
        reasons = "; ".join(reason.detail for reason in degraded.reasons) if degraded else ""
        rest = f"The {degraded.delivered if degraded else 'text'} of it is where the prediction is"
        extra = {"degraded": degraded.model_dump()} if degraded else {}
        return NoVideo(f"No video can be shown of this talk: {reasons} {rest}.", **extra)


def _poster(video: bytes) -> bytes:
    from shared.media.image import jpeg

    return jpeg(first_frame(video))


def _discard(_: bytes) -> None:
    """Where nobody listens the video is only kept."""
