"""A talk from claim to settlement: whatever happens in between, the prediction ends and no file is orphaned."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from shared.core.auth import User
from shared.core.errors import Conflict, DeadlineOver, ForgeError, NoVideo
from shared.core.store import Row, Store
from shared.core.time import parse_time
from shared.lipsync.engine import Engine
from shared.media.video import seekable
from shared.models.inputs import TalkInput, read_input
from shared.personas import persona as personas
from shared.predictions import lifecycle
from shared.predictions.heartbeat import running
from shared.predictions.prediction import FINISHED, PredictionId
from shared.providers.anthropic import LanguageModel
from shared.providers.elevenlabs import TextToSpeech
from shared.providers.replicate import Replicate
from shared.talk import prompt
from shared.talk.fallback import HostedSource, LocalSource, Portrait, RemoteSource, StillSource, VideoSource
from shared.talk.pipeline import Clock, Script, Talk
from shared.talk.remote import RenderRemotely

log = logging.getLogger("personaforge.talk")
WATCH = 2.0  # seconds between looks at whether the talk is still wanted


@dataclass(frozen=True)
class Ending:
    """How a talk ends that does not succeed."""

    status: str
    reason: str
    code: str


STOPPED = Ending("failed", "The server was stopped in the middle of this talk.", "stopped")


@dataclass(frozen=True)
class TalkServices:
    """What talks are made with; gpu is None where there is none."""

    engine: Engine
    gpu: RenderRemotely | None
    replicate: Replicate
    claude: LanguageModel
    voice: TextToSpeech


class TalkJob:
    """One claimed talk. `chunks` gives the video's bytes while `run` makes it; None ends them."""

    def __init__(self, store: Store, kit: TalkServices, row: Row, persona: Row, talk: Talk, *, cold: bool) -> None:
        self._store, self._kit, self._row, self._persona, self._talk = store, kit, row, persona, talk
        self._cold = cold
        self.chunks: asyncio.Queue[bytes | None] = asyncio.Queue()

    @classmethod
    async def claim(cls, store: Store, kit: TalkServices, user: User, identity: PredictionId, *, cold: bool) -> TalkJob:
        """Take the prediction to work on it. Raises Conflict when it is taken, finished or has no portrait."""
        clock = Clock()
        row = await lifecycle.read(store, user, identity.row)
        if row["status"] != "starting":
            raise Conflict(
                f"This talk is {row['status']}; a stream can be opened once.", prediction_status=row["status"]
            )
        given = read_input("talk", row["input"])
        assert isinstance(given, TalkInput)
        earlier = store.as_user(user).from_("messages").select("role,content").eq("persona_id", row["persona_id"])
        persona, recent = await asyncio.gather(
            personas.find(store, user, given.persona),
            store.rows(earlier.order("id", desc=True).limit(prompt.REMEMBERED)),
        )
        personas.need_portrait(persona)
        if not await lifecycle.claim(store, row):
            raise Conflict("This talk was just opened elsewhere; a stream can be opened once.")
        voice_id = personas.voice_of(persona, kit.voice.usual)
        script = Script(voice_id, say=given.say)
        if given.message is not None:
            turns = prompt.conversation(list(reversed(recent)), given.message)
            script = Script(voice_id, system=prompt.system(persona), messages=turns)
        return cls(store, kit, row, persona, Talk(script, kit.claude, kit.voice, clock), cold=cold)

    async def run(self) -> None:
        """Make the talk and settle it: succeeded, failed with the reason, or canceled when this is cancelled.

        Cancelling with an Ending as the message means that not the listener ended it, but what that says.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + (parse_time(self._row["deadline"]) - datetime.now(UTC)).total_seconds()
        watch = asyncio.create_task(self._watch(asyncio.current_task()))
        try:
            async with asyncio.timeout_at(ends):
                await self._talk.run(self._steps(ends), self.chunks.put_nowait, ends)
            # From here on the talk exists: hanging up does not undo it.
            watch.cancel()
            await _to_the_end(self._keep())
        except asyncio.CancelledError as error:
            why = error.args[0] if error.args else Ending("canceled", "The listener hung up.", "hung_up")
            await _to_the_end(self._end(why))
            raise
        except TimeoutError as error:
            await _to_the_end(self._end(Ending("failed", "It was not finished before its deadline.", "deadline")))
            raise DeadlineOver("The talk was not finished before its deadline.") from error
        except ForgeError as error:
            await _to_the_end(self._end(Ending("failed", error.detail, error.code)))
            raise
        except Exception:
            log.exception("talk %s failed unexpectedly", self._row["id"])
            await _to_the_end(self._end(Ending("failed", "An unexpected error; it has been logged.", "error")))
            raise
        finally:
            watch.cancel()
            self.chunks.put_nowait(None)

    @property
    def whole(self) -> bool:
        """Whether the bytes in `chunks` are all of what was delivered."""
        return self._talk.delivered not in ("", "voice", "text") and not self._talk.broken

    def no_video(self) -> NoVideo:
        """What to tell a listener who gets no video."""
        degraded = self._talk.degraded or {}
        why = "; ".join(one["detail"] for one in degraded.get("because", []))
        there = f"The {degraded.get('delivered', 'text')} of it is where the prediction is"
        return NoVideo(f"No video can be shown of this talk: {why} {there}.", degraded=degraded)

    def _steps(self, ends: float) -> tuple[VideoSource, ...]:
        portrait = Portrait(self._store, self._persona, int(self._row["input"].get("size", 512)))
        kit = self._kit
        gpu = (RemoteSource(kit.gpu, portrait),) if kit.gpu else ()
        return (
            *gpu,
            LocalSource(kit.engine, portrait),
            HostedSource(self._store, kit.replicate, portrait, ends),
            StillSource(portrait),
        )

    async def _watch(self, run: asyncio.Task[Any] | None) -> None:
        """Say that this talk is being made, until its owner asks to stop or somebody else has ended the prediction."""
        columns = "id,status,started_at,cancel_requested"
        query = self._store.as_service().from_("predictions").select(columns).eq("id", self._row["id"])
        known: Row | None = None
        while run:
            # A database that is slow is not to be asked by all who poll as well.
            with suppress(ForgeError, TimeoutError):
                async with asyncio.timeout(WATCH):
                    rows = await self._store.rows(query)
                if not rows or rows[0]["cancel_requested"] or rows[0]["status"] in FINISHED:
                    run.cancel(Ending("canceled", "Canceled by its owner.", "canceled"))
                    return
                known = rows[0]
            if known:
                await running().say(known)
            await asyncio.sleep(WATCH)

    async def _keep(self) -> None:
        """Upload the files, if there are any, then settle."""
        talk, path = self._talk, f"{self._row['owner']}/{uuid4().hex}"
        result: Row = {"text": talk.text.strip(), "degraded": talk.degraded, "receipt": talk.receipt(cold=self._cold)}
        files: tuple[str, ...] = ()
        if talk.data:
            kind, name = ("audio/mp4", "m4a") if talk.delivered == "voice" else ("video/mp4", "mp4")
            data = bytes(talk.data)
            video = data if talk.delivered == "voice" else await asyncio.to_thread(seekable, data)
            files = (f"{path}.{name}", f"{path}.vtt")
            result |= {"output": files[0], "captions": files[1]}
            uploads = await asyncio.gather(
                self._store.put(files[0], video, kind),
                self._store.put(files[1], talk.captions.encode(), "text/vtt"),
                return_exceptions=True,
            )
            if failed := [error for error in uploads if error]:
                await self._store.remove(*files)
                raise failed[0]
        await lifecycle.settle(self._store, self._row["id"], "succeeded", result, self._said(), files)

    async def _end(self, why: Ending) -> None:
        receipt = {**self._talk.receipt(cold=self._cold), "error_code": why.code}
        result = {"error": why.reason, "text": self._talk.text.strip(), "receipt": receipt}
        said = self._said() if why.status == "canceled" else {}
        await lifecycle.settle(self._store, self._row["id"], why.status, result, said)

    def _said(self) -> Row:
        """What the persona will remember of this turn."""
        text = self._talk.text.strip()
        message = self._row["input"].get("message")
        turns = [{"role": "user", "content": message}] if message else []
        return {"messages": [*turns, {"role": "assistant", "content": text}] if text else []}


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await work that must not be left half done, however often this task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()
