"""How a prediction ends: what its row becomes, and what else comes true with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from shared.core.errors import ForgeError
from shared.predictions.receipt import Degraded, Receipt


@dataclass(frozen=True)
class Message:
    """A turn of the conversation, to be remembered."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True)
class PortraitChange:
    """The picture that the prediction's persona gets. face: as Face.dump writes it."""

    path: str
    face: dict[str, Any]


@dataclass(frozen=True)
class IdleChange:
    """What shows the prediction's persona while it does not speak: paths of two loops and a picture, and its hue.

    look_since: of the look that they show (ISO 8601); a persona that looks otherwise by now does not get them.
    """

    idle: str
    thinking: str
    poster: str
    hue: int
    look_since: str


@dataclass(frozen=True)
class Outcome:
    """charged: whether the owner pays what the receipt says: for what was used by their choice, not for our faults.

    files: paths in our storage, uploaded for this prediction; they are removed when somebody else settles first.
    """

    status: Literal["succeeded", "failed", "canceled"]
    output: str | None = None
    captions: str | None = None
    poster: str | None = None
    text: str | None = None
    error: str | None = None
    degraded: Degraded | None = None
    receipt: Receipt | None = None
    messages: tuple[Message, ...] = ()
    files: tuple[str, ...] = ()
    portrait: PortraitChange | None = None
    idle: IdleChange | None = None
    charged: bool = False

    def to_json(self) -> dict[str, Any]:
        """The argument of the SQL function settle_prediction."""
        body = {name: getattr(self, name) for name in ("status", "output", "captions", "poster", "text", "error")}
        body["charged"] = self.charged or self.status in ("succeeded", "canceled")
        body["degraded"] = self.degraded.model_dump() if self.degraded else None
        body["receipt"] = self.receipt.model_dump(exclude_none=True) if self.receipt else None
        body["messages"] = [asdict(message) for message in self.messages]
        body["files"] = list(self.files)
        body["portrait"] = asdict(self.portrait) if self.portrait else None
        body["idle"] = asdict(self.idle) if self.idle else None
        return body


def failed(reason: str, code: str) -> Outcome:
    """By our fault or a provider's: free."""
    return Outcome("failed", error=reason, receipt=Receipt(error_code=code))


def refused(error: ForgeError, dollars: float) -> Outcome:
    """What ended with this error after so much was bought: charged where the request itself was at fault."""
    receipt = Receipt(error_code=error.code, cost_usd=round(dollars, 6))
    return Outcome("failed", error=error.detail, receipt=receipt, charged=error.status < 500)


def canceled(code: str, dollars: float = 0.0) -> Outcome:
    """By its owner, who pays what it has used."""
    return Outcome("canceled", receipt=Receipt(error_code=code, cost_usd=round(dollars, 6)))
