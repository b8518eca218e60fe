"""A project over HTTP: what is shown of its rows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field, JsonValue

from shared.billing.prices import CREDIT
from shared.core.store import Row
from shared.core.time import Time
from shared.studio.project import WORDS_A_SECOND, Project, ProjectInput, Status, credit
from shared.studio.publication import Publication
from shared.studio.words import count_words, speakable


class Film(BaseModel):
    """A finished film in one shape, with what was measured on it."""

    video: str
    captions: str
    report: list[dict[str, JsonValue]]


class Thumbnail(BaseModel):
    """One of three to choose from when the film is published."""

    picture: str
    description: str
    words: str


class Sentence(BaseModel):
    """text: as it is spoken. footage: what is searched for it, or empty."""

    text: str
    footage: str = ""


class Point(BaseModel):
    """Of the rubric."""

    point: str
    score: int
    reason: str


class Script(BaseModel):
    """A script of this round, as soon as it is written; the order is there once all of them are."""

    id: str
    title: str
    sentences: list[Sentence]
    draft: list[str] = Field([], description="Its sentences before they were revised.")
    words: int
    seconds: float = Field(description="By the measured speed of the voice, if it has spoken before.")
    rank: int | None = None
    rank_before: int | None = Field(None, description="By the judge alone, before what the audience taught.")
    learned: list[str] = Field([], description="What moved it, from the films that were watched.")
    tied_with: list[str] = []
    differs: str = ""
    score: float | None = Field(None, description="1 to 5, by the rubric, less what was counted in `facts`.")
    points: list[Point] = []
    facts: list[str] = []
    wins: int = 0
    reasons: list[str] = Field([], description="Of the judge, for preferring it to another one.")


class ProjectResponse(BaseModel):
    """A project over HTTP."""

    id: UUID
    status: Status
    stage: str
    waiting_for: str | None = Field(description="script or film: a person decides; credits: they have run out.")
    gate_until: Time | None
    round: int
    error: dict[str, JsonValue] | None
    progress: str = Field(description="Of the step that runs, such as `42%|########  | 120/483 frames`.")
    persona: UUID | None
    input: ProjectInput
    scripts: list[Script]
    films: dict[str, Film]
    thumbnails: list[Thumbnail] = []
    publication: Publication | None = None
    credits: list[str] = Field(description="Of the footage, to be shown wherever the film is.")
    cost_credits: float | None = Field(description="So far; not told by a link to a gate.")
    created_at: Time
    updated_at: Time


class ProjectStats(BaseModel):
    """Of all of one's projects."""

    all: int
    needs_you: int = Field(description="A person decides, or credits have run out.")
    in_work: int
    finished: int
    stopped: int
    credits_a_film: float | None = Field(description="On average, of finished ones.")


class ProjectPage(BaseModel):
    """Projects, newest first, without their scripts and films."""

    next: str | None
    previous: str | None
    results: list[ProjectResponse]
    stats: ProjectStats


def to_api(project: Project, steps: list[Row], films: dict[str, Any], progress: str) -> ProjectResponse:
    """steps: rows with stage, key, result and cost_usd. films: by shape, with addresses. progress: of what runs."""
    return ProjectResponse(
        id=project.id, status=project.status, stage=project.stage, waiting_for=project.waiting_for,
        gate_until=project.gate_until, round=project.round, error=project.error, progress=progress,
        persona=project.persona_id, input=project.input, scripts=_written(project, steps),
        films={shape: Film(**one) for shape, one in films.items()}, credits=_credits(project, steps),
        cost_credits=round(sum(float(step["cost_usd"]) for step in steps) / CREDIT, 3),
        created_at=project.created_at, updated_at=project.updated_at,
    )  # fmt: skip


def _written(project: Project, steps: list[Row]) -> list[Script]:
    """Ranked where they are; else those that are written so far, in the order in which they were proposed."""
    of_round = {
        step["key"].partition("/")[2]: step["result"] for step in steps
        if step["stage"] == "scripts" and step["key"].startswith(f"{project.round}/") and step["result"]
    }  # fmt: skip
    if "ranked" in of_round:
        return [Script.model_validate(one) for one in of_round["ranked"]]
    found = []
    for key, draft in sorted(of_round.items()):
        if key.startswith("revision-"):
            words = sum(count_words(speakable(one["text"])) for one in draft["sentences"])
            number, seconds = key.rpartition("-")[2], round(words / WORDS_A_SECOND, 1)
            found.append(Script(id=f"{project.round}-{number}", words=words, seconds=seconds, **draft))
    return found


def _credits(project: Project, steps: list[Row]) -> list[str]:
    """Of this round's clips."""
    lines = [
        step["result"] for step in steps
        if step["stage"] == "footage" and step["key"].startswith(f"{project.round}/") and "id" in (step["result"] or {})
    ]  # fmt: skip
    return [credit(one) for one in lines]
