"""A talk in three overlapping stages: Claude writes, the voice speaks, the film is made and leaves as it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from shared import prices
from shared.errors import InvalidInput
from shared.lipsync.engine import FPS, RATE, Prepared
from shared.lipsync.visemes import Timing
from shared.providers.anthropic import Claude, Usage
from shared.providers.elevenlabs import Voice
from shared.talk.captions import webvtt
from shared.talk.film import Film
from shared.talk.pieces import Cutter
from shared.video import LEAD_IN


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


class Talk:
    """One answer on video. After `run`: the text said, its captions, the file's bytes, and a receipt."""

    def __init__(self, script: Script, claude: Claude, voice: Voice, clock: Clock) -> None:
        self._script, self._claude, self._voice, self._clock = script, claude, voice, clock
        self._usage = Usage()
        self._request_ids: list[str] = []
        self._characters = 0
        self._seconds = LEAD_IN / FPS
        self._timings: list[Timing] = []
        self._frames = 0
        self.text = ""
        self.data = bytearray()

    async def run(self, prepared: asyncio.Future[Prepared], write: Callable[[bytes], None]) -> None:
        """Make it. `write` gets the bytes on the event loop; `prepared` is awaited when the first sound is there.

        Raises ProviderFailed and its kinds; then everything that was started has ended.
        """
        pieces: asyncio.Queue[str | None] = asyncio.Queue(8)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write(pieces))
                group.create_task(self._speak_and_film(pieces, prepared, write))
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors
        self._clock.mark("total")

    async def _write(self, pieces: asyncio.Queue[str | None]) -> None:
        cutter = Cutter()
        async for text in self._words():
            self._clock.mark("first_token")
            self.text += text
            for piece in cutter.feed(text):
                self._clock.mark("first_clause")
                await pieces.put(piece)
        for piece in cutter.rest():
            self._clock.mark("first_clause")
            await pieces.put(piece)
        await pieces.put(None)

    async def _words(self) -> AsyncIterator[str]:
        if self._script.say is not None:
            yield self._script.say
            return
        async for text in self._claude.write(self._script.system, self._script.messages, self._usage):
            yield text

    async def _speak_and_film(
        self,
        pieces: asyncio.Queue[str | None],
        prepared: asyncio.Future[Prepared],
        write: Callable[[bytes], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        film: Film | None = None

        def hand_over(data: bytes) -> None:
            self.data += data
            if b"moof" in data:
                self._clock.mark("first_frame")
            write(data)

        async with asyncio.TaskGroup() as group:
            said = ""
            while (piece := await pieces.get()) is not None:
                if not any(map(str.isalnum, piece)):
                    continue  # dots and smileys have no sound
                self._characters += len(piece)
                async for speech in self._voice.speak(piece, self._script.voice_id, said, self._request_ids):
                    self._clock.mark("first_audio")
                    if film is None:
                        film = Film(await prepared, lambda data: loop.call_soon_threadsafe(hand_over, data))
                        group.create_task(film.run())
                    film.say(speech)
                    self._timings += [
                        Timing(t.symbol, t.start + self._seconds, t.end + self._seconds) for t in speech.timings
                    ]
                    self._seconds += len(speech.samples) / RATE
                self._timings.append(Timing(" ", self._seconds, self._seconds))
                said += f"{piece} "
            if film is None:
                raise InvalidInput("There is nothing in this text that can be spoken.")
            film.end()
        self._frames = film.frames

    @property
    def captions(self) -> str:
        return webvtt(self._timings)

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return self._frames / FPS

    def receipt(self, engine: str, *, cold: bool) -> dict[str, Any]:
        """What it took: milliseconds by event, sizes, the providers' ids, an estimate of the cost in USD."""
        marks = self._clock.marks
        total = marks.get("total") or round((time.perf_counter() - self._clock.started) * 1000)
        usage = self._usage
        cost = prices.elevenlabs(self._voice.model, self._characters) + prices.compute(total / 1000)
        if usage.message_id:
            cost += prices.claude(self._claude.model, usage.tokens_in, usage.tokens_out)
        return {
            "engine": engine,
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
            },
            "cost_usd": round(cost, 6),
        }


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that began it: what else a task group collects are its consequences."""
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
