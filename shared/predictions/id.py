"""The id of a prediction: self-contained and signed, so that asking for a status needs no database."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from uuid import UUID

from shared.core import telemetry
from shared.core.auth import User
from shared.core.errors import NotFound

_VERSION = 1
_MAC = 12  # bytes of the signature: 96 bits cannot be guessed over HTTP


@dataclass(frozen=True)
class PredictionId:
    """What an id says by itself. model_code: see shared/models; created and deadline in seconds since 1970."""

    row: UUID
    owner: UUID
    model_code: int
    created: int
    deadline: int
    provider_id: str = ""

    @property
    def overdue(self) -> bool:
        return time.time() > self.deadline

    def sign(self, key: str) -> str:
        """The id as the caller sees it: URL-safe, unforgeable without the key."""
        head = bytes([_VERSION, self.model_code]) + self.created.to_bytes(5) + self.deadline.to_bytes(5)
        body = head + self.row.bytes + self.owner.bytes + self.provider_id.encode()
        return base64.urlsafe_b64encode(body + _mac(key, body)).rstrip(b"=").decode()

    @classmethod
    def read(cls, text: str, key: str, user: User | None = None) -> PredictionId:
        """Raises NotFound for an id that is forged, cut off, or another user's: always with the same text.

        Without a user it is enough that we signed it: for callers who prove otherwise who they are.
        """
        unknown = NotFound("There is no such prediction of yours.")
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            body, mac = data[:-_MAC], data[-_MAC:]
            if not hmac.compare_digest(mac, _mac(key, body)) or body[0] != _VERSION:
                raise unknown
            created, deadline = int.from_bytes(body[2:7]), int.from_bytes(body[7:12])
            row, owner = UUID(bytes=body[12:28]), UUID(bytes=body[28:44])
            identity = cls(row, owner, body[1], created, deadline, body[44:].decode())
        except (ValueError, IndexError) as error:
            raise unknown from error
        if identity.sign(key) != text:  # base64 has several spellings of the same bytes; an id has one
            raise unknown
        if user and identity.owner != user.id:
            raise unknown
        telemetry.set_job(str(row))
        return identity


def _mac(key: str, body: bytes) -> bytes:
    return hmac.new(key.encode(), body, hashlib.sha256).digest()[:_MAC]
