"""What functions and workers work with: a container's connections and what is made of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import Depends

from shared.core.bounded import BoundedProcesses
from shared.core.single_flight import SingleFlight
from shared.core.store import Store
from shared.core.web import Context, ContextDep
from shared.predictions.heartbeat import Heartbeats
from shared.predictions.lifecycle import Lifecycle
from shared.predictions.output import Outputs
from shared.predictions.prediction import Prediction
from shared.predictions.provenance import Signer
from shared.providers.fal import Fal
from shared.providers.modal import Modal
from shared.providers.replicate import Replicate
from shared.runners.execution import Executions
from shared.talk.runtime import TalkRuntime

if TYPE_CHECKING:
    from shared.providers.elevenlabs import TextToSpeech


class Services:
    """Opened when a container starts or a worker is called. talk: only where talks are made."""

    def __init__(self, store: Store, talk: TalkRuntime | None = None) -> None:
        self.store, self.settings, self.modal = store, store.settings, Modal()
        self.heartbeats = Heartbeats(self.modal)
        self.lifecycle = Lifecycle(store, self.heartbeats)
        self.looks: SingleFlight[UUID, Prediction] = SingleFlight()
        self.executions = Executions()
        self.processes = BoundedProcesses(
            "shared.media.audio", "av", "shared.lipsync.finder", "shared.lipsync.cpu.engine"
        )
        self._talk = talk

    @cached_property
    def replicate(self) -> Replicate:
        """Made when it is first used: its SDK takes half a second to import."""
        return Replicate(self.settings)

    @cached_property
    def outputs(self) -> Outputs:
        return Outputs(self.store, Signer(self.settings))

    @cached_property
    def text_to_speech(self) -> TextToSpeech:
        """Made when it is first used, as the others."""
        from shared.providers.elevenlabs import TextToSpeech

        return TextToSpeech(self.settings)

    @cached_property
    def fal(self) -> Fal:
        """Made when it is first used, as only clips need its key."""
        return Fal(self.settings)

    @property
    def talk(self) -> TalkRuntime:
        assert self._talk, "this function was opened without a talk runtime"
        return self._talk

    @classmethod
    @asynccontextmanager
    async def open(cls, store: Store, talk: TalkRuntime | None = None) -> AsyncIterator[Services]:
        services = cls(store, talk)
        try:
            yield services
        finally:
            await services.executions.stop()
            services.processes.close()
            for provider in {"replicate", "fal", "text_to_speech"} & services.__dict__.keys():
                await services.__dict__[provider].close()


@asynccontextmanager
async def open_services(context: Context) -> AsyncIterator[Services]:
    """For function_app."""
    async with Services.open(context.store) as services:
        yield services


async def _services(context: ContextDep) -> Services:
    services: Services = context.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]
