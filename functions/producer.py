"""Work on a project of the studio: given its id alone; goes from stage to stage until a person has to decide."""

from __future__ import annotations

import asyncio
from uuid import UUID

import modal

from shared.core import telemetry
from shared.core.containers import secrets, studio_image
from shared.core.settings import ANTHROPIC, ELEVENLABS, SUPABASE, Settings
from shared.core.store import Store
from shared.predictions import webhook
from shared.predictions.provenance import Signer
from shared.providers import catalogue
from shared.providers.firefly import Firefly
from shared.providers.pexels import Pexels
from shared.runners.services import Services
from shared.talk.runtime import TalkRuntime

app = modal.App("personaforge-producer")


@app.function(
    image=studio_image, secrets=secrets, timeout=3600, cpu=4.0, memory=4096, max_containers=20, scaledown_window=10
)
async def producer(project: str) -> str:
    """Returns where it stopped, or `taken` when another worker has it or there is nothing to do."""
    from shared.studio.channel import Channels
    from shared.studio.production import Production
    from shared.studio.publisher import Publisher
    from shared.studio.stages import Studio

    telemetry.configure()
    telemetry.set_job(project)
    settings = Settings.from_environment()
    settings.validate(*SUPABASE, *ANTHROPIC, *ELEVENLABS)
    catalogue.check(settings)
    async with (
        Store.open(settings) as store,
        TalkRuntime.open(settings) as runtime,
        Services.open(store, runtime) as services,
    ):
        production = await Production.claim(store, UUID(project))
        if production is None:
            return "taken"
        pexels, firefly = Pexels(settings), Firefly(settings)
        try:
            async with Channels.open(store, settings) as channels:
                publisher = Publisher(store, channels, services.heartbeats, settings.forge_signing_key)
                signer = Signer(settings)
                studio = Studio(
                    store, runtime, services.heartbeats, pexels, signer, services.processes, firefly, publisher
                )
                await production.run(studio.stages)
        finally:
            await pexels.close()
            await firefly.close()
            await webhook.deliver(store, production.project.id)
        await asyncio.to_thread(telemetry.flush)
        return production.project.stage
