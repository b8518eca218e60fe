"""A talk in three overlapping stages: the language model writes, the voice speaks, the video leaves as it is made.

When a stage cannot be had, the best that can is delivered, and `degraded` says so: see fallback.py.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from shared.billing import prices
from shared.billing.budget import Budget
from shared.core.errors import ForgeError, InvalidInput, ProviderFailed
from shared.media.audio import encode_m4a
from shared.media.types import FPS, RATE, Speech, Timing
from shared.media.video import LEAD_IN
from shared.predictions.receipt import Degraded, FallbackReason, Receipt
from shared.providers.anthropic import CHARACTERS_A_TOKEN, LanguageModel, Usage
from shared.providers.elevenlabs import TextToSpeech, VoiceSettings
from shared.providers.retry import retry
from shared.talk import word_events
from shared.talk.captions import webvtt
from shared.talk.fallback import VideoSource, fallback_reason
from shared.talk.segmenter import Segmenter
from shared.talk.utterance import Utterance
from shared.talk.video_renderer import Renderer
from shared.talk.word_events import Boxes, Words

log = logging.getLogger("personaforge.talk")
SLOWEST_SPEECH = 8  # characters a second: a reservation for a segment's video, whose length is not known yet
PAUSE = 0.3  # seconds between sentences, as people speak
SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]]*\s*$")


@dataclass
class Clock:
    """Milliseconds since the talk was asked for, by event."""

    started: float = field(default_factory=time.perf_counter)
    marks: dict[str, int] = field(default_factory=dict)

    def mark(self, event: str) -> None:
        """Only the first of its kind counts."""
        self.marks.setdefault(event, self.now())

    def now(self) -> int:
        return round((time.perf_counter() - self.started) * 1000)


@dataclass(frozen=True)
class Script:
    """What is spoken: exact words, or what the language model answers to a conversation."""

    voice_id: str
    voice_settings: VoiceSettings = field(default_factory=VoiceSettings)
    say: str | None = None
    system: str = ""
    messages: list[dict[str, str]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes that the language model is given."""
        return len(self.system.encode()) + sum(len(turn["content"].encode()) for turn in self.messages)


class Talk:
    """One answer. After `run`: what was delivered and why not more, the text, its captions, the file, a receipt."""

    def __init__(
        self, script: Script, language_model: LanguageModel, text_to_speech: TextToSpeech, clock: Clock, budget: Budget
    ) -> None:
        self._script, self._clock, self._budget = script, clock, budget
        self._language_model, self._text_to_speech = language_model, text_to_speech
        self._usage = Usage()
        self._asked = False  # the language model
        self._request_ids: list[str] = []
        self._characters = 0
        self._seconds = LEAD_IN / FPS
        self._timings: list[Timing] = []
        self._utterance = Utterance()
        self._sources: Sequence[VideoSource] = ()
        self._source: VideoSource | None = None
        self._renderer: Renderer | None = None
        self._reasons: list[FallbackReason] = []
        self.delivered = ""  # a source's name, or voice, or text
        self.broken = False  # the listener got a part that does not belong to what was delivered
        self.text = ""
        self.data = bytearray()

    async def run(self, sources: Sequence[VideoSource], write: Callable[[bytes], None], ends: float) -> None:
        """Make it by the best source that can be had. `write` gets the video's bytes on the event loop.

        ends: on the loop's clock, until when it may take. Raises ProviderFailed and its kinds when there is nothing
        to say, InvalidInput when nothing of it can be spoken, OutOfCredits; then everything that was started has ended.
        """
        self._sources = sources
        remaining = max(0.0, ends - asyncio.get_running_loop().time())
        await self._budget.commit(prices.compute(remaining), "This talk")
        segments: asyncio.Queue[str | None] = asyncio.Queue(8)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write(segments, ends))
                group.create_task(self._speak(segments, ends))
                group.create_task(self._deliver(sources, write))
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors
        finally:
            for source in sources:
                source.close()
        self._clock.mark("total")

    async def _write(self, segments: asyncio.Queue[str | None], ends: float) -> None:
        segmenter = Segmenter()
        await self._budget.commit(self._words_cost(), "The answer")
        async for text in self._words(ends):
            self._clock.mark("first_token")
            self.text += text
            for segment in segmenter.feed(text):
                self._clock.mark("first_clause")
                await segments.put(segment)
        for segment in segmenter.rest():
            self._clock.mark("first_clause")
            await segments.put(segment)
        await segments.put(None)

    def _words(self, ends: float) -> AsyncIterator[str]:
        script = self._script
        if script.say is not None:
            return _once(script.say)
        self._asked = True
        return retry(lambda: self._language_model.write(script.system, script.messages, self._usage), ends)

    def _words_cost(self) -> float:
        script = self._script
        if script.say is not None:
            return 0.0
        return prices.claude_at_most(self._language_model.model, script.size, self._language_model.max_tokens)

    async def _speak(self, segments: asyncio.Queue[str | None], ends: float) -> None:
        """Speak segment after segment. When the voice fails the text goes on without it, if it is an answer."""
        spoken = ""
        after_sentence = False
        while (segment := await segments.get()) is not None:
            if not any(map(str.isalnum, segment)) or self._utterance.lost:
                continue  # dots and smileys have no sound
            voiced = False
            seconds = len(segment) / SLOWEST_SPEECH
            drawing = max(source.cost(seconds) for source in self._sources if not source.commits)
            voice = prices.elevenlabs(self._text_to_speech.model, len(segment))
            await self._budget.commit(voice + drawing, "The rest of this talk")
            self._characters += len(segment)  # from the request on
            try:
                async for speech in retry(partial(self._synthesize, segment, spoken), ends):
                    self._clock.mark("first_audio")
                    if after_sentence and not voiced:
                        self._pause()
                    voiced = True
                    self._timings += [
                        Timing(t.symbol, t.start + self._seconds, t.end + self._seconds) for t in speech.timings
                    ]
                    self._seconds += len(speech.samples) / RATE
                    self._utterance.add(speech)
            except ProviderFailed as error:
                self._characters -= 0 if voiced else len(segment)
                if self._script.say is not None:
                    raise  # the caller has the text already
                self._utterance.end(lost=error)
            self._timings.append(Timing(" ", self._seconds, self._seconds))
            after_sentence = SENTENCE_END.search(segment) is not None
            spoken += f"{segment} "
        if not spoken:
            raise InvalidInput("There is nothing in this text that can be spoken.")
        if not self._utterance.lost:
            self._utterance.end()

    def _pause(self) -> None:
        """Let a pause follow what was spoken last: a voice that is given sentences one by one makes none."""
        missing = round(PAUSE * RATE) - self._utterance.silence()
        if missing > 0:
            self._seconds += missing / RATE
            self._utterance.add(Speech(np.zeros(missing, np.int16)))

    def _synthesize(self, segment: str, spoken: str) -> AsyncIterator[Speech]:
        script = self._script
        return self._text_to_speech.speak(segment, script.voice_id, spoken, self._request_ids, script.voice_settings)

    async def _deliver(self, sources: Sequence[VideoSource], write: Callable[[bytes], None]) -> None:
        for source in sources:
            self._source = source
            try:
                await self._render(source, write)
            except Exception as error:
                self._source = None
                if self._utterance.lost:
                    break
                self._fall_back(source.name, error)
            else:
                self.delivered = source.name
                return
            self._renderer = None
            if self.data:  # a part of it is out: what comes now is only kept
                self.broken, write = True, lambda _: None
                self.data.clear()
        if not self._utterance.lost:
            self.data += await asyncio.to_thread(encode_m4a, await self._utterance.whole())
            self.delivered = "voice"
            return
        self._fall_back("voice", self._utterance.lost)
        self._renderer, self.broken = None, self.broken or bool(self.data)
        self.data.clear()
        self._timings.clear()
        self.delivered = "text"

    async def _render(self, source: VideoSource, write: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        boxes, words = Boxes(), Words()

        def deliver(data: bytes) -> None:
            if self._renderer is not renderer:
                return  # of a video that was given up
            self.data += data
            if b"moof" in data:
                self._clock.mark("first_frame")
            write(data)
            if boxes.add(data) and "first_frame" in self._clock.marks and (spoken := words.take(self._timings)):
                write(word_events.box(spoken))  # for who listens; what is kept has captions

        speech = aiter(self._utterance)
        first = await anext(speech)
        make_renderer = await source.prepare(self._utterance)
        renderer = self._renderer = make_renderer(lambda data: loop.call_soon_threadsafe(deliver, data))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(renderer.run())
                renderer.append(first)
                async for part in speech:
                    renderer.append(part)
                renderer.finish()
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors

    def _fall_back(self, source: str, error: BaseException) -> None:
        if not isinstance(error, ForgeError):
            log.error("%s failed unexpectedly", source, exc_info=error)
        self._reasons.append(fallback_reason(source, error))

    @property
    def degraded(self) -> Degraded | None:
        """What was delivered instead of our own engine's video, and why; None when nothing is amiss."""
        return Degraded(delivered=self.delivered, reasons=self._reasons) if self._reasons else None

    @property
    def progress(self) -> str:
        """How much of a text that was known from the start is spoken, in the form that Replicate's clients read."""
        if not self._script.say or not self._characters:
            return ""
        done, total = min(self._characters, len(self._script.say)), len(self._script.say)
        return f"{100 * done // total}%|{'#' * (20 * done // total):<20}| {done}/{total} characters\n"

    async def words(self) -> AsyncIterator[Timing]:
        """Each word with its time in the video, as soon as it is spoken."""
        words = Words()
        with suppress(ProviderFailed):  # the rest is not spoken
            async for _ in self._utterance:
                for word in words.take(self._timings):
                    yield word
        for word in words.take(self._timings, last=True):
            yield word

    def stop_words(self) -> None:
        self._utterance.end(self._utterance.lost)

    @property
    def captions(self) -> str:
        return webvtt(self._timings)

    @property
    def seconds(self) -> float:
        """Length of what is delivered."""
        if self.delivered == "voice":
            return self._seconds
        return self._renderer.frames / FPS if self._renderer else 0.0

    def _models(self) -> list[str]:
        """That had a part."""
        wrote = [self._language_model.model] if self._usage.message_id else []
        spoke = [self._text_to_speech.model] if self._characters else []
        return [*wrote, *spoke, *([self._source.engine] if self._source else [])]

    def receipt(self, *, cold: bool, queued_ms: int | None = None) -> Receipt:
        """What it took: milliseconds by event, sizes, the providers' ids, an estimate of the cost in USD."""
        marks, usage = self._clock.marks, self._usage
        total = marks.get("total") or self._clock.now()
        cost = prices.elevenlabs(self._text_to_speech.model, self._characters) + prices.compute(total / 1000)
        if usage.message_id:
            cost += prices.claude(self._language_model.model, usage.billed_in, usage.tokens_out)
        elif self._asked:  # and nothing has come back yet
            cost += prices.claude(self._language_model.model, self._script.size // CHARACTERS_A_TOKEN, 0)
        cost += self._source.spent(self.seconds) if self._source else 0
        return Receipt(
            engine=self._source.engine if self._source else None,
            models=self._models(),
            cold=cold,
            queued_ms=queued_ms,
            first_token_ms=marks.get("first_token"),
            first_clause_ms=marks.get("first_clause"),
            first_audio_ms=marks.get("first_audio"),
            first_frame_ms=marks.get("first_frame"),
            total_ms=total,
            duration_s=round(self.seconds, 3),
            repeated_frames=self._renderer.repeated if self._renderer else None,
            realtime_factor=round(self.seconds / (total / 1000), 2) if total else None,
            bytes=len(self.data),
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            characters=self._characters,
            provider_ids={
                "anthropic": usage.message_id or None,
                "elevenlabs": [request for request in self._request_ids if request],
                "replicate": next((source.job_id for source in self._sources if source.job_id), None),
            },
            cost_usd=round(cost, 6),
        )


async def _once(text: str) -> AsyncIterator[str]:
    yield text


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that began it: what else a task group collects are its consequences."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
