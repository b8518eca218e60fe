"""A project of the studio: from an idea to a film, as the domain has it and as HTTP shows it."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from shared.core.errors import NotFound
from shared.core.store import Row
from shared.core.text import Text
from shared.core.time import Time

WORDS_A_SECOND = 2.5  # of a voice that has not been measured yet: a usual speaker's
Shape = Literal["wide", "tall", "square"]
Status = Literal["ready", "working", "waiting", "succeeded", "failed", "canceled"]
Gate = Literal["script", "film"]
ENDED: tuple[Status, ...] = ("succeeded", "failed", "canceled")


Phrase = Annotated[Text, Field(min_length=1, max_length=100)]


class Style(BaseModel):
    """How the film is to sound and look: data for the writer, rules for the code that counts."""

    model_config = ConfigDict(extra="forbid")
    tone: Text = Field("friendly and exact", max_length=200)
    hook: Text = Field("", max_length=200, description="What the first sentence should do.")
    shape: Text = Field("", max_length=300, description="How the story goes, such as question, surprise, answer.")
    words: list[Phrase] = Field([], max_length=20, description="To be used.")
    avoid: list[Phrase] = Field([], max_length=50, description="Never to be used; counted by code.")
    captions: Literal["words", "lines", "none"] = Field("words", description="words: the spoken one is highlighted.")
    no_match: Literal["presenter", "card"] = Field("presenter", description="Who takes a shot without footage.")
    presenter: Literal["full", "corner"] = Field("full", description="corner: over footage it stays in a corner.")


class ProjectInput(BaseModel):
    """What a project begins with."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    idea: Text = Field(min_length=3, max_length=2000)
    research: Text = Field("", max_length=20_000, description="Notes and sources: facts come from them.")
    persona: UUID
    seconds: int = Field(60, ge=15, le=180, description="About how long; the film is as long as its voice.")
    shapes: list[Shape] = Field(["wide"], min_length=1, max_length=3)
    style: Style = Style()
    music: Text | None = Field(
        None,
        min_length=1,
        max_length=2000,
        description="Address of a sound to lie under the voice, such as an uploaded file.",
    )
    webhook: Text | None = Field(
        None,
        min_length=1,
        max_length=2000,
        description="Called when a person is needed, a day before time is up, at the end.",
    )

    @field_validator("shapes")
    @classmethod
    def _once(cls, shapes: list[Shape]) -> list[Shape]:
        return sorted(set(shapes), key=shapes.index)


class Step(BaseModel):
    """Something that was made or bought once."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    stage: str
    key: str
    attempt: int
    result: JsonValue = None
    cost_usd: float = 0.0
    error: dict[str, Any] | None = None
    started_at: Time
    ended_at: Time | None = None


class Decision(BaseModel):
    """What a person decided at a gate. The first one stands."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    gate: Gate
    round: int
    decision: Literal["approve", "reject"]
    payload: dict[str, JsonValue] = {}
    by: str
    created_at: Time


class Project(BaseModel):
    """One row, frozen."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: UUID
    owner: UUID
    persona_id: UUID | None
    pipeline: int
    input: ProjectInput
    status: Status
    stage: str
    waiting_for: str | None
    gate_until: Time | None
    round: int
    attempt: int
    cancel_requested: bool
    error: dict[str, Any] | None
    output: dict[str, Any] | None
    created_at: Time
    updated_at: Time

    @classmethod
    def from_row(cls, row: Row) -> Project:
        return cls.model_validate(row)


def credit(line: dict[str, Any]) -> str:
    """Of a line of the footage's ledger, as Pexels asks for it."""
    return f"Footage: {line['author']} ({line['page']}) on Pexels"


def sign_gate(project: Project, gate: str, key: str, until: int) -> str:
    """What a link to one gate carries: good for this project, gate and round, until then (seconds since 1970)."""
    mac = _mac(project.owner, project.id, gate, project.round, until, key)
    return f"{project.id}.{gate}.{project.round}.{until}.{mac}"


def read_gate(token: str, key: str, owner_of: Row) -> None:
    """Raises NotFound for a link that is forged, over, or of another round."""
    try:
        project, gate, round_, until, mac = token.split(".")
        owner, current = UUID(owner_of["owner"]), owner_of["round"]
        expected = _mac(owner, UUID(project), gate, int(round_), int(until), key)
        good = hmac.compare_digest(mac.encode(), expected.encode())
        if not good or int(until) < time.time() or int(round_) != current:
            raise ValueError
    except (ValueError, KeyError) as error:
        raise NotFound("This link is not valid any more. Ask for a new one.") from error


def _mac(owner: UUID, project: UUID, gate: str, round_: int, until: int, key: str) -> str:
    said = json.dumps(["gate", str(owner), str(project), gate, round_, until])
    return hmac.new(key.encode(), said.encode(), hashlib.sha256).hexdigest()[:32]
