"""What a prediction took and why it is not what was asked for: kept with it, and shown as they are."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.core.time import Time


class Receipt(BaseModel):
    """What it took. Times in milliseconds from the start of the work; what does not apply is null."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())
    engine: str | None = Field(None, description="What drew: cpu, musetalk, replicate, idle.")
    heard: str | None = Field(None, description="What was understood of a spoken message.")
    model: str | None = Field(None, description="The provider's model.")
    cold: bool | None = Field(None, description="Whether a container or a provider's model had to be started first.")
    error_code: str | None = Field(None, description="Why it did not succeed.")
    queued_ms: int | None = Field(None, description="How long it waited for its turn.")
    first_token_ms: int | None = None
    first_clause_ms: int | None = None
    first_audio_ms: int | None = None
    first_frame_ms: int | None = None
    compute_ms: int | None = Field(None, description="What the provider says it computed.")
    total_ms: int | None = None
    duration_s: float | None = Field(None, description="Length of what was delivered.")
    repeated_frames: int | None = Field(None, description="Shown twice, as there was no time to draw the next.")
    realtime_factor: float | None = Field(None, description="duration_s over total_ms.")
    bytes: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    characters: int | None = Field(None, description="Spoken.")
    provider_ids: dict[str, str | list[str] | None] = Field({}, description="By provider, for its support.")
    models: list[str] | None = Field(None, description="Those that had a part in what was delivered.")
    consent_at: Time | None = Field(None, description="When the person on the photo that it began with agreed to it.")
    provenance: Literal["signed", "failed"] | None = Field(
        None, description="Whether the file carries its C2PA manifest; one that failed is signed within minutes."
    )
    cost_usd: float | None = Field(None, description="Estimated from list prices.")


class FallbackReason(BaseModel):
    """Why a better way could not be had. source: what failed, such as cpu, hosted or voice."""

    model_config = ConfigDict(frozen=True)
    source: str
    code: str
    detail: str


class Degraded(BaseModel):
    """What was delivered instead, such as cpu, hosted, idle, voice or text, and why nothing better."""

    model_config = ConfigDict(frozen=True)
    delivered: str
    reasons: list[FallbackReason]
