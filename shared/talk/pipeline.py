"""A talk in three overlapping stages: Claude writes, the voice speaks, the film is made and leaves as it is.

When a stage cannot be had, the best that can is delivered, and `degraded` says so: see ladder.py.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from shared.billing import prices
from shared.core.errors import ForgeError, InvalidInput, ProviderFailed
from shared.media.audio import encode_m4a
from shared.media.types import FPS, RATE, Speech, Timing
from shared.media.video import LEAD_IN
from shared.providers.anthropic import LanguageModel, Usage
from shared.providers.elevenlabs import TextToSpeech
from shared.providers.retry import retried
from shared.talk.captions import webvtt
from shared.talk.fallback import Renderer, VideoSource, reason
from shared.talk.segmenter import Segmenter
from shared.talk.utterance import Utterance

log = logging.getLogger("personaforge.talk")
PAUSE = 0.3  # seconds between sentences, as people speak
SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]]*\s*$")


@dataclass
class Clock:
    """Milliseconds since the talk was asked for, by event."""

    started: float = field(default_factory=time.perf_counter)
    marks: dict[str, int] = field(default_factory=dict)

    def mark(self, event: str) -> None:
        self.marks.setdefault(event, round((time.perf_counter() - self.started) * 1000))


@dataclass(frozen=True)
class Script:
    """What is to be said: exact words, or what Claude answers to a conversation."""

    voice_id: str
    say: str | None = None
    system: str = ""
    messages: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class FallbackReason:
    """A step of the ladder that could not be had."""

    step: str
    code: str
    detail: str


class Talk:
    """One answer. After `run`: what was delivered and why not more, the text, its captions, the file, a receipt."""

    def __init__(self, script: Script, claude: LanguageModel, voice: TextToSpeech, clock: Clock) -> None:
        self._script, self._claude, self._voice, self._clock = script, claude, voice, clock
        self._usage = Usage()
        self._request_ids: list[str] = []
        self._characters = 0
        self._seconds = LEAD_IN / FPS
        self._timings: list[Timing] = []
        self._utterance = Utterance()
        self._steps: Sequence[VideoSource] = ()
        self._step: VideoSource | None = None
        self._reel: Renderer | None = None
        self._falls: list[FallbackReason] = []
        self.delivered = ""  # a step's name, or voice, or text
        self.broken = False  # the listener got a part that does not belong to what was delivered
        self.text = ""
        self.data = bytearray()

    async def run(self, steps: Sequence[VideoSource], write: Callable[[bytes], None], ends: float) -> None:
        """Make it by the best step that can be had. `write` gets the video's bytes on the event loop.

        ends: on the loop's clock, until when it may take. Raises ProviderFailed and its kinds when there is nothing
        to say, InvalidInput when nothing of it can be spoken; then everything that was started has ended.
        """
        self._steps = steps
        pieces: asyncio.Queue[str | None] = asyncio.Queue(8)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write(pieces, ends))
                group.create_task(self._speak(pieces, ends))
                group.create_task(self._deliver(steps, write))
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors
        finally:
            for step in steps:
                step.close()
        self._clock.mark("total")

    async def _write(self, pieces: asyncio.Queue[str | None], ends: float) -> None:
        cutter = Segmenter()
        async for text in self._words(ends):
            self._clock.mark("first_token")
            self.text += text
            for piece in cutter.feed(text):
                self._clock.mark("first_clause")
                await pieces.put(piece)
        for piece in cutter.rest():
            self._clock.mark("first_clause")
            await pieces.put(piece)
        await pieces.put(None)

    def _words(self, ends: float) -> AsyncIterator[str]:
        if self._script.say is not None:
            return _once(self._script.say)
        return retried(lambda: self._claude.write(self._script.system, self._script.messages, self._usage), ends)

    async def _speak(self, pieces: asyncio.Queue[str | None], ends: float) -> None:
        """Say piece after piece. When the voice fails the text goes on without it, if it is an answer."""
        said = ""
        ended = False  # a sentence, with the piece before
        while (piece := await pieces.get()) is not None:
            if not any(map(str.isalnum, piece)) or self._utterance.lost:
                continue  # dots and smileys have no sound
            voiced = False
            try:
                async for speech in retried(partial(self._say, piece, said), ends):
                    self._clock.mark("first_audio")
                    if ended and not voiced:
                        self._pause()
                    self._characters += 0 if voiced else len(piece)
                    voiced = True
                    self._timings += [
                        Timing(t.symbol, t.start + self._seconds, t.end + self._seconds) for t in speech.timings
                    ]
                    self._seconds += len(speech.samples) / RATE
                    self._utterance.add(speech)
            except ProviderFailed as error:
                if self._script.say is not None:
                    raise  # the caller has the text already
                self._utterance.end(lost=error)
            self._timings.append(Timing(" ", self._seconds, self._seconds))
            ended = SENTENCE_END.search(piece) is not None
            said += f"{piece} "
        if not said:
            raise InvalidInput("There is nothing in this text that can be spoken.")
        if not self._utterance.lost:
            self._pause()
            self._utterance.end()

    def _pause(self) -> None:
        """Let a pause follow what was said last: a voice that is given sentences one by one makes none."""
        missing = round(PAUSE * RATE) - self._utterance.silence()
        if missing > 0:
            self._seconds += missing / RATE
            self._utterance.add(Speech(np.zeros(missing, np.int16)))

    def _say(self, piece: str, said: str) -> AsyncIterator[Speech]:
        return self._voice.speak(piece, self._script.voice_id, said, self._request_ids)

    async def _deliver(self, steps: Sequence[VideoSource], write: Callable[[bytes], None]) -> None:
        for step in steps:
            try:
                await self._film(step, write)
            except Exception as error:
                if self._utterance.lost:
                    break
                self._fall(step.name, error)
            else:
                self._step, self.delivered = step, step.name
                return
            self._reel = None
            if self.data:  # a part of it is out: what comes now is only kept
                self.broken, write = True, lambda _: None
                self.data.clear()
        if not self._utterance.lost:
            self.data += await asyncio.to_thread(encode_m4a, await self._utterance.whole())
            self.delivered = "voice"
            return
        self._fall("voice", self._utterance.lost)
        self._reel, self.broken = None, self.broken or bool(self.data)
        self.data.clear()
        self._timings.clear()
        self.delivered = "text"

    async def _film(self, step: VideoSource, write: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()

        def hand_over(data: bytes) -> None:
            if self._reel is not film:
                return  # of a film that was given up
            self.data += data
            if b"moof" in data:
                self._clock.mark("first_frame")
            write(data)

        speech = aiter(self._utterance)
        first = await anext(speech)
        make = await step.prepare(self._utterance)
        film = self._reel = make(lambda data: loop.call_soon_threadsafe(hand_over, data))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(film.run())
                film.say(first)
                async for part in speech:
                    film.say(part)
                film.end()
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors

    def _fall(self, step: str, error: BaseException) -> None:
        if not isinstance(error, ForgeError):
            log.error("the step %s failed unexpectedly", step, exc_info=error)
        self._falls.append(FallbackReason(step, *reason(error)))

    @property
    def degraded(self) -> dict[str, Any] | None:
        """What was delivered instead of our own engine's video, and why; None when nothing is amiss."""
        if not self._falls:
            return None
        return {"delivered": self.delivered, "because": [asdict(fall) for fall in self._falls]}

    @property
    def captions(self) -> str:
        return webvtt(self._timings)

    @property
    def seconds(self) -> float:
        """Length of what is delivered."""
        if self.delivered == "voice":
            return self._seconds
        return self._reel.frames / FPS if self._reel else 0.0

    def receipt(self, *, cold: bool) -> dict[str, Any]:
        """What it took: milliseconds by event, sizes, the providers' ids, an estimate of the cost in USD."""
        marks = self._clock.marks
        total = marks.get("total") or round((time.perf_counter() - self._clock.started) * 1000)
        usage = self._usage
        cost = prices.elevenlabs(self._voice.model, self._characters) + prices.compute(total / 1000)
        if usage.message_id:
            cost += prices.claude(self._claude.model, usage.tokens_in, usage.tokens_out)
        cost += self._step.cost(self.seconds) if self._step else 0
        return {
            "engine": self._step.engine if self._step else None,
            "cold": cold,
            "first_token_ms": marks.get("first_token"),
            "first_clause_ms": marks.get("first_clause"),
            "first_audio_ms": marks.get("first_audio"),
            "first_frame_ms": marks.get("first_frame"),
            "total_ms": total,
            "duration_s": round(self.seconds, 3),
            "realtime_factor": round(self.seconds / (total / 1000), 2) if total else None,
            "bytes": len(self.data),
            "tokens_in": usage.tokens_in,
            "tokens_out": usage.tokens_out,
            "characters": self._characters,
            "provider_ids": {
                "anthropic": usage.message_id or None,
                "elevenlabs": [request for request in self._request_ids if request],
                "replicate": next((step.job_id for step in self._steps if step.job_id), None),
            },
            "cost_usd": round(cost, 6),
        }


async def _once(text: str) -> AsyncIterator[str]:
    yield text


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that began it: what else a task group collects are its consequences."""
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
