"""A prediction: a job as the domain has it, and as HTTP shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.billing.prices import CREDIT
from shared.core.settings import Settings
from shared.core.store import Row, Store
from shared.core.time import Time
from shared.predictions.id import PredictionId
from shared.predictions.receipt import Degraded, Receipt

OWNER = "personaforge"
GRACE = timedelta(seconds=5)  # as in overdue_predictions
Status = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
FINISHED: tuple[Status, ...] = ("succeeded", "failed", "canceled", "aborted")


class Prediction(BaseModel):
    """One row of the table, frozen. `output`, `captions` and `poster` are paths in our storage; `id` is the row's."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())
    id: UUID
    owner: UUID
    model: str
    model_code: int
    persona_id: UUID | None = None
    status: Status
    input: dict[str, JsonValue] = {}
    stream: bool = False
    provider_id: str | None = None
    cancel_after: bool = False
    cancel_requested: bool = False
    reserved: float = 0.0  # credits
    bought: float = 0.0  # credits that the provider's job costs
    output: str | None = None
    captions: str | None = None
    poster: str | None = None
    published: bool = False
    text: str | None = None
    error: str | None = None
    degraded: Degraded | None = None
    receipt: Receipt | None = None
    webhook: str | None = None
    webhook_events: tuple[str, ...] = ()
    deadline: Time
    created_at: Time
    started_at: Time | None = None
    completed_at: Time | None = None
    logs: str = ""
    known_by_id: bool = False  # input and persona are not known: no database was asked

    @classmethod
    def from_row(cls, row: Row) -> Prediction:
        return cls.model_validate(row)

    @classmethod
    def running(
        cls, identity: PredictionId, model: str, status: Status, started_at: datetime | None = None, logs: str = ""
    ) -> Prediction:
        """What can be said of a running one without its row: input and persona are only in the database."""
        created, deadline = (datetime.fromtimestamp(one, UTC) for one in (identity.created, identity.deadline))
        return cls(
            id=identity.row, owner=identity.owner, model=model, model_code=identity.model_code, status=status,
            provider_id=identity.provider_id or None, deadline=deadline, created_at=created, started_at=started_at,
            logs=logs, known_by_id=True,
        )  # fmt: skip

    @property
    def identity(self) -> PredictionId:
        created, deadline = int(self.created_at.timestamp()), int(self.deadline.timestamp())
        return PredictionId(self.id, self.owner, self.model_code, created, deadline, self.provider_id or "")

    @property
    def finished(self) -> bool:
        return self.status in FINISHED

    @property
    def overdue(self) -> bool:
        """Whether nobody works on it any more: whoever does ends it at its deadline and says what it has used."""
        return not self.finished and self.deadline + GRACE < datetime.now(UTC)

    @property
    def bought_usd(self) -> float:
        return self.bought * CREDIT


class Account(BaseModel):
    """Whose token it is: Replicate's fields, then ours."""

    type: str = "user"
    username: str = Field(description="The user's id.")
    name: str = ""
    balance: float = Field(description="Credits that are left.")
    running_limit: int
    minute_limit: int


def _is_none(value: object) -> bool:
    return value is None


class Urls(BaseModel):
    """Where to go on."""

    get: str
    cancel: str
    web: str
    # Left out where there is none: Replicate's clients take one that is there for one that can be opened.
    stream: str | None = Field(
        None, description="Open it once: fragmented MP4 while the talk is made.", exclude_if=_is_none
    )


_UNKNOWN = "Left out in answers about one that runs, as no database is asked then."


class PredictionResponse(BaseModel):
    """A prediction over HTTP: Replicate's fields, then ours."""

    model_config = ConfigDict(protected_namespaces=())
    id: str
    model: str
    version: str
    input: dict[str, JsonValue] | None = Field(description=_UNKNOWN, exclude_if=_is_none)
    output: str | None = Field(description="Address of the file.")
    logs: str
    error: str | None
    status: Status
    created_at: Time
    started_at: Time | None = Field(description="Left out while that is not known.", exclude_if=_is_none)
    completed_at: Time | None
    metrics: dict[str, float]
    urls: Urls
    data_removed: bool = False
    source: str = "api"
    deadline: Time
    persona: UUID | None = Field(description=_UNKNOWN, exclude_if=_is_none)
    text: str | None = Field(description="What is spoken.")
    captions: str | None = Field(description="Address of the WebVTT file.")
    degraded: Degraded | None = Field(description="What was delivered instead, and why; null when nothing is amiss.")
    receipt: Receipt | None


class PredictionPage(BaseModel):
    """Predictions, newest first."""

    next: str | None = Field(description="Address of the next page.")
    previous: str | None = None
    results: list[PredictionResponse]


async def addresses(
    predictions: Iterable[Prediction], store: Store, others: Iterable[str | None] = ()
) -> Mapping[str | None, str]:
    """Of their files, and of other private ones."""
    private: list[str | None] = [*others]
    public: list[str | None] = []
    for one in predictions:
        (public if one.published else private).extend([one.output, one.captions, one.poster])
    return await store.addresses(private, public)


async def all_to_api(predictions: Sequence[Prediction], store: Store) -> list[PredictionResponse]:
    """Predictions as HTTP shows them."""
    files = await addresses(predictions, store)
    return [_to_api(one, files, store.settings) for one in predictions]


async def to_api(prediction: Prediction, store: Store) -> PredictionResponse:
    """A prediction as HTTP shows it."""
    return (await all_to_api([prediction], store))[0]


def _to_api(prediction: Prediction, files: Mapping[str | None, str], settings: Settings) -> PredictionResponse:
    public, base = prediction.identity.sign(settings.forge_signing_key), settings.forge_url
    address = f"{base}/v1/predictions/{public}"
    waits_for_listener = prediction.stream and prediction.status == "starting"
    urls: dict[str, Any] = {"get": address, "cancel": f"{address}/cancel", "web": address}
    urls |= {"stream": f"{base}/v1/talk/{public}"} if waits_for_listener else {}
    work = prediction.receipt.total_ms if prediction.receipt else None
    metrics = {} if work is None else {"predict_time": work / 1000}
    if prediction.completed_at:
        metrics["total_time"] = (prediction.completed_at - prediction.created_at).total_seconds()
    return PredictionResponse(
        id=public,
        model=f"{OWNER}/{prediction.model}",
        version=prediction.model,
        input=None if prediction.known_by_id else prediction.input,
        output=files.get(prediction.output),
        logs=prediction.logs,
        error=prediction.error,
        status=prediction.status,
        created_at=prediction.created_at,
        started_at=prediction.started_at,
        completed_at=prediction.completed_at,
        metrics=metrics,
        urls=Urls(**urls),
        deadline=prediction.deadline,
        persona=prediction.persona_id,
        text=prediction.text,
        captions=files.get(prediction.captions),
        degraded=prediction.degraded,
        receipt=prediction.receipt,
    )
