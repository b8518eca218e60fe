"""A prediction: its signed id, and what it looks like over HTTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shared.core import telemetry
from shared.core.auth import User
from shared.core.errors import NotFound
from shared.core.store import Row, Store
from shared.core.time import format_time, parse_time
from shared.models.inputs import MODELS, OWNER

FINISHED = ("succeeded", "failed", "canceled", "aborted")
_MODEL_CODES = list(MODELS)  # the order is part of every id: only ever append


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
        created, deadline = (int(parse_time(row[name]).timestamp()) for name in ("created_at", "deadline"))
        row_id, owner = UUID(row["id"]), UUID(row["owner"])
        return cls(row_id, owner, row["model"], created, deadline, row.get("provider_id") or "")

    @property
    def overdue(self) -> bool:
        return time.time() > self.deadline

    def row_while_it_runs(self, status: str, started_at: str | None = None) -> Row:
        """What can be said of its row without asking for it: input and persona are only in the database."""
        created, deadline = (datetime.fromtimestamp(one, UTC).isoformat() for one in (self.created, self.deadline))
        known = {"id": str(self.row), "owner": str(self.owner), "model": self.model, "provider_id": self.provider_id}
        unknown = (
            "output",
            "error",
            "completed_at",
            "persona_id",
            "text",
            "captions",
            "degraded",
            "receipt",
        )
        said: Row = {"status": status, "created_at": created, "started_at": started_at, "deadline": deadline}
        said |= {"input": {}, "stream": False}
        return {**dict.fromkeys(unknown), **known, **said}

    def sign(self, key: str) -> str:
        """The id as the caller sees it: URL-safe, unforgeable without the key."""
        head = bytes([1, _MODEL_CODES.index(self.model)]) + self.created.to_bytes(5) + self.deadline.to_bytes(5)
        body = head + self.row.bytes + self.owner.bytes + self.provider_id.encode()
        return base64.urlsafe_b64encode(body + _mac(key, body)).rstrip(b"=").decode()

    @classmethod
    def read(cls, text: str, key: str, user: User | None = None) -> PredictionId:
        """Raises NotFound for an id that is forged, cut off, or another user's: the answer is always the same.

        Without a user it is enough that we signed it: for who proves otherwise who they are.
        """
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
        if user and found.owner != user.id:
            raise unknown
        telemetry.about(str(row))
        return found


def _mac(key: str, body: bytes) -> bytes:
    return hmac.new(key.encode(), body, hashlib.sha256).digest()[:12]


def shown(row: Row, store: Store) -> dict[str, Any]:
    """The prediction as HTTP shows it: Replicate's fields, then ours."""
    public, base = PredictionId.of(row).sign(store.settings.forge_signing_key), store.settings.forge_url
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
        "created_at": format_time(row["created_at"]),
        "started_at": format_time(row["started_at"]),
        "completed_at": format_time(row["completed_at"]),
        "metrics": {"predict_time": receipt["total_ms"] / 1000} if "total_ms" in receipt else {},
        "urls": urls,
        "data_removed": False,
        "source": "api",
        "deadline": format_time(row["deadline"]),
        "persona": row["persona_id"],
        "text": row["text"],
        "captions": store.address(row["captions"]),
        "degraded": row["degraded"],
        "receipt": row["receipt"],
    }
