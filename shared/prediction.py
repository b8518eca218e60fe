"""A prediction: its signed id, what goes into each model, what it looks like over HTTP, how it ends."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.auth import User
from shared.errors import InvalidInput, NotFound, StoreUnavailable
from shared.store import Row, Store
from shared.text import Text

FINISHED = ("succeeded", "failed", "canceled", "aborted")
DEADLINE = 120  # seconds from creation to the end, whatever happens, unless asked otherwise
OWNER = "personaforge"


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid")
    persona: UUID = Field(description="The persona's id.")


class TalkInput(_Input):
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


class PortraitInput(_Input):
    """A picture of the persona, made from its appearance unless a prompt is given."""

    prompt: Text | None = Field(None, min_length=3, max_length=1000)


class LipsyncInput(_Input):
    """The persona says `say`, rendered by a hosted lip-sync model. Slower than talk, and does not stream."""

    say: Text = Field(min_length=1, max_length=1000)


MODELS: dict[str, type[_Input]] = {"talk": TalkInput, "portrait": PortraitInput, "lipsync": LipsyncInput}
_MODEL_CODES = list(MODELS)  # the order is part of every id: only ever append


def model_name(name: str) -> str:
    """'talk' from 'personaforge/talk' or 'personaforge/talk:latest'. Raises NotFound for models not ours."""
    owner, _, model = name.partition(":")[0].rpartition("/")
    if owner in ("", OWNER) and model in MODELS:
        return model
    known = ", ".join(f"{OWNER}/{known}" for known in MODELS)
    raise NotFound(f"There is no model {name[:80]!r}. There are {known}.")


def read_input(model: str, given: Any) -> _Input:
    """Check an input against its model's schema. Raises InvalidInput that names each wrong field."""
    try:
        return MODELS[model].model_validate(given)
    except ValidationError as error:
        fields = [
            {"at": ".".join(["input", *map(str, found["loc"])]), "message": found["msg"]} for found in error.errors()
        ]
        detail = "; ".join(f"{field['at']}: {field['message']}" for field in fields)
        raise InvalidInput(detail, fields=fields) from error


@dataclass(frozen=True)
class PredictionId:
    """What an id says by itself, so that asking for a status needs no database."""

    row: UUID
    owner: UUID
    model: str
    created: int  # seconds since 1970, as the deadline
    deadline: int
    provider_id: str = ""

    @classmethod
    def of(cls, row: Row) -> PredictionId:
        created, deadline = (int(moment(row[name]).timestamp()) for name in ("created_at", "deadline"))
        row_id, owner = UUID(row["id"]), UUID(row["owner"])
        return cls(row_id, owner, row["model"], created, deadline, row.get("provider_id") or "")

    @property
    def overdue(self) -> bool:
        return time.time() > self.deadline

    def sign(self, key: str) -> str:
        """The id as the caller sees it: URL-safe, unforgeable without the key."""
        head = bytes([1, _MODEL_CODES.index(self.model)]) + self.created.to_bytes(5) + self.deadline.to_bytes(5)
        body = head + self.row.bytes + self.owner.bytes + self.provider_id.encode()
        return base64.urlsafe_b64encode(body + _mac(key, body)).rstrip(b"=").decode()

    @classmethod
    def read(cls, text: str, key: str, user: User) -> PredictionId:
        """Raises NotFound for an id that is forged, cut off, or another user's: the answer is always the same."""
        unknown = NotFound("There is no such prediction of yours.")
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            body, mac = data[:-12], data[-12:]
            if not hmac.compare_digest(mac, _mac(key, body)) or body[0] != 1:
                raise unknown
            created, deadline = int.from_bytes(body[2:7]), int.from_bytes(body[7:12])
            row, owner = UUID(bytes=body[12:28]), UUID(bytes=body[28:44])
            found = cls(row, owner, _MODEL_CODES[body[1]], created, deadline, body[44:].decode())
        except (ValueError, IndexError) as error:
            raise unknown from error
        if found.owner != user.id:
            raise unknown
        return found


def _mac(key: str, body: bytes) -> bytes:
    return hmac.new(key.encode(), body, hashlib.sha256).digest()[:12]


@dataclass(frozen=True)
class Creation:
    """A prediction's row, and whether this call made it: a repeated Idempotency-Key finds the first one."""

    row: Row
    made: bool


async def create(
    store: Store,
    user: User,
    model: str,
    given: _Input,
    *,
    stream: bool,
    seconds: int = DEADLINE,
    key: str | None = None,
) -> Creation:
    """Make the row, as the user; credits are reserved in the same call.

    Raises NotFound when the persona is not theirs, Conflict when it has no portrait yet or the key was used for
    something else, TooManyRequests over a limit, OutOfCredits.
    """
    body = given.model_dump(mode="json", exclude_none=True)
    told = json.dumps([model, stream, body], sort_keys=True)
    arguments = {
        "p_id": str(uuid4()),
        "p_model": model,
        "p_persona": str(given.persona),
        "p_input": body,
        "p_stream": stream,
        "p_seconds": seconds,
        "p_key": key,
        "p_hash": hashlib.sha256(told.encode()).hexdigest() if key else None,
    }
    found = await store.call("create_prediction", arguments, user)
    return Creation(found["prediction"], found["made"])


async def read(store: Store, user: User, row_id: UUID, *, as_it_is: bool = False) -> Row:
    """The row as the user sees it; one whose deadline has passed is settled as failed first, unless as_it_is."""
    query = store.as_user(user).from_("predictions").select("*").eq("id", str(row_id)).limit(1)
    rows = await store.rows(query)
    if not rows:
        raise NotFound("There is no such prediction of yours.")
    row = rows[0]
    if not as_it_is and row["status"] not in FINISHED and moment(row["deadline"]) < datetime.now(UTC):
        await expire(store, row)
        row = (await store.rows(query))[0]
    return row


async def settle(
    store: Store, row_id: str, status: str, result: Row, effects: Row | None = None, files: tuple[str, ...] = ()
) -> bool:
    """Finish a prediction unless somebody was faster; then the files made for it are removed again.

    Settling twice does no harm, so a lost answer is asked for again.
    """
    arguments = {"p_id": row_id, "p_status": status, "p_result": result, "p_effects": effects or {}}
    for pause in (0.2, 1.0, None):
        try:
            if await store.call("settle_prediction", arguments):
                return True
            break
        except StoreUnavailable:
            if pause is None:
                raise
            await asyncio.sleep(pause)
    # Somebody was faster, or an earlier try of ours had arrived after all.
    query = store.as_service().from_("predictions").select("output").eq("id", row_id)
    kept = [row["output"] for row in await store.rows(query)]
    if files and files[0] not in kept:
        await store.remove(*files)
        return False
    return bool(files)


async def expire(store: Store, row: Row) -> bool:
    """Settle a prediction whose deadline has passed."""
    why = "It was not started" if row["status"] == "starting" else "It was not finished"
    allowed = round((moment(row["deadline"]) - moment(row["created_at"])).total_seconds())
    return await fail(store, row["id"], f"{why} before its deadline ({allowed} s).", "deadline")


async def fail(store: Store, row_id: str, reason: str, code: str) -> bool:
    return await settle(store, row_id, "failed", {"error": reason, "receipt": {"error_code": code}})


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace(" ", "T"))


def shown(row: Row, store: Store, key: str, base: str) -> dict[str, Any]:
    """The prediction as HTTP shows it: Replicate's fields, then ours."""
    public = PredictionId.of(row).sign(key)
    urls = {
        "get": f"{base}/v1/predictions/{public}",
        "cancel": f"{base}/v1/predictions/{public}/cancel",
        "web": f"{base}/v1/predictions/{public}",
    }
    if row["stream"] and row["status"] == "starting":
        urls["stream"] = f"{base}/v1/talk/{public}"
    receipt = row.get("receipt") or {}
    return {
        "id": public,
        "model": f"{OWNER}/{row['model']}",
        "version": row["model"],
        "input": row["input"],
        "output": store.address(row["output"]),
        "logs": "",
        "error": row["error"],
        "status": row["status"],
        "created_at": _iso(row["created_at"]),
        "started_at": _iso(row["started_at"]),
        "completed_at": _iso(row["completed_at"]),
        "metrics": {"predict_time": receipt["total_ms"] / 1000} if "total_ms" in receipt else {},
        "urls": urls,
        "data_removed": False,
        "source": "api",
        "deadline": _iso(row["deadline"]),
        "persona": row["persona_id"],
        "text": row["text"],
        "captions": store.address(row["captions"]),
        "degraded": row["degraded"],
        "receipt": row["receipt"],
    }


def _iso(text: str | None) -> str | None:
    return moment(text).astimezone(UTC).isoformat().replace("+00:00", "Z") if text else None
