"""A talk from claim to settlement: whatever happens in between, the prediction ends and no file is orphaned."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from shared import persona as personas
from shared import prediction
from shared.auth import User
from shared.errors import Conflict, DeadlineOver, ForgeError
from shared.lipsync.engine import Engine, Prepared
from shared.prediction import PredictionId, TalkInput
from shared.providers.anthropic import Claude
from shared.providers.elevenlabs import Voice
from shared.store import Row, Store
from shared.talk import prompt
from shared.talk.pipeline import Clock, Script, Talk
from shared.video import seekable

log = logging.getLogger("personaforge.talk")


class TalkJob:
    """One claimed talk. `chunks` gives the video's bytes while `run` makes it; None ends them."""

    def __init__(self, store: Store, engine: Engine, row: Row, persona: Row, talk: Talk, *, cold: bool) -> None:
        self._store, self._engine, self._row, self._persona, self._talk = store, engine, row, persona, talk
        self._cold = cold
        self.chunks: asyncio.Queue[bytes | None] = asyncio.Queue()

    @classmethod
    async def claim(
        cls,
        store: Store,
        engine: Engine,
        claude: Claude,
        voice: Voice,
        user: User,
        identity: PredictionId,
        *,
        cold: bool,
    ) -> TalkJob:
        """Take the prediction to work on it. Raises Conflict when it is taken, finished or has no portrait."""
        clock = Clock()
        row = await prediction.read(store, user, identity.row)
        if row["status"] != "starting":
            raise Conflict(
                f"This talk is {row['status']}; a stream can be opened once.", prediction_status=row["status"]
            )
        given = prediction.read_input("talk", row["input"])
        assert isinstance(given, TalkInput)
        earlier = store.as_user(user).from_("messages").select("role,content").eq("persona_id", row["persona_id"])
        persona, recent = await asyncio.gather(
            personas.find(store, user, given.persona),
            store.rows(earlier.order("id", desc=True).limit(prompt.REMEMBERED)),
        )
        personas.need_portrait(persona)
        if not await store.call("claim_prediction", {"p_id": row["id"]}):
            raise Conflict("This talk was just opened elsewhere; a stream can be opened once.")
        script = Script(persona["voice_id"], say=given.say)
        if given.message is not None:
            turns = prompt.conversation(list(reversed(recent)), given.message)
            script = Script(persona["voice_id"], system=prompt.system(persona), messages=turns)
        return cls(store, engine, row, persona, Talk(script, claude, voice, clock), cold=cold)

    async def run(self) -> None:
        """Make the talk and settle it: succeeded, failed with the reason, or canceled when this is cancelled.

        Cancelling with a message means that not the listener ended it, but what the message says.
        """
        left = (prediction.moment(self._row["deadline"]) - datetime.now(UTC)).total_seconds()
        prepared = asyncio.ensure_future(self._prepare())
        try:
            async with asyncio.timeout(left):
                await self._talk.run(prepared, self.chunks.put_nowait)
            # From here on the talk exists: hanging up does not undo it.
            await _to_the_end(self._keep())
        except asyncio.CancelledError as error:
            if error.args:
                await _to_the_end(self._end("failed", str(error.args[0]), "stopped"))
            else:
                await _to_the_end(self._end("canceled", "The listener hung up.", "hung_up"))
            raise
        except TimeoutError as error:
            await self._end("failed", "It was not finished before its deadline.", "deadline")
            raise DeadlineOver("The talk was not finished before its deadline.") from error
        except ForgeError as error:
            await self._end("failed", error.detail, error.code)
            raise
        except Exception:
            log.exception("talk %s failed unexpectedly", self._row["id"])
            await self._end("failed", "An unexpected error; it has been logged.", "error")
            raise
        finally:
            prepared.cancel()
            self.chunks.put_nowait(None)

    async def _prepare(self) -> Prepared:
        picture = await self._store.get(personas.need_portrait(self._persona))
        return await asyncio.to_thread(self._load, picture)

    def _load(self, data: bytes) -> Prepared:
        from shared.lipsync.face import Face
        from shared.lipsync.picture import Picture, decode

        picture = Picture(decode(data), Face.load(self._persona["face"]))
        return self._engine.prepare(picture, int(self._row["input"].get("size", 512)))

    async def _keep(self) -> None:
        """Upload the files, then settle."""
        video = await asyncio.to_thread(seekable, bytes(self._talk.data))
        path = f"{self._row['owner']}/{uuid4().hex}"
        files = (f"{path}.mp4", f"{path}.vtt")
        uploads = await asyncio.gather(
            self._store.put(files[0], video, "video/mp4"),
            self._store.put(files[1], self._talk.captions.encode(), "text/vtt"),
            return_exceptions=True,
        )
        if failed := [error for error in uploads if error]:
            await self._store.remove(*files)
            raise failed[0]
        result = {
            "output": files[0],
            "captions": files[1],
            "text": self._talk.text.strip(),
            "receipt": self._talk.receipt(self._engine.name, cold=self._cold),
        }
        await prediction.settle(self._store, self._row["id"], "succeeded", result, self._said(), files)

    async def _end(self, status: str, reason: str, code: str) -> None:
        receipt = self._talk.receipt(self._engine.name, cold=self._cold)
        result = {"error": reason, "text": self._talk.text.strip(), "receipt": {**receipt, "error_code": code}}
        said = self._said() if status == "canceled" else {}
        await prediction.settle(self._store, self._row["id"], status, result, said)

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
