"""Work that nobody listens to: spawned with a prediction's row id alone; claims it, works, settles it."""

from __future__ import annotations

import asyncio
from uuid import UUID

import modal

from shared.core import telemetry
from shared.core.containers import secrets, talk_image
from shared.core.errors import ForgeError
from shared.core.settings import ANTHROPIC, ELEVENLABS, REPLICATE, SUPABASE, Settings
from shared.core.store import Store
from shared.models import registry
from shared.providers import catalogue
from shared.runners.services import Services
from shared.runners.spawned import Spawned
from shared.talk.runtime import TALKS, TalkRuntime

app = modal.App("personaforge-worker")


@app.function(
    image=talk_image, secrets=secrets, timeout=3700, cpu=2.0, memory=1024, max_containers=20, scaledown_window=10
)
@modal.concurrent(max_inputs=TALKS)
async def worker(row: str) -> str:
    """Returns what became of it: its status, or `taken` when somebody else works on it. Errors are in its row."""
    telemetry.configure()
    telemetry.set_job(row)
    settings = Settings.from_environment()
    settings.validate(*SUPABASE, *ANTHROPIC, *ELEVENLABS, *REPLICATE)
    catalogue.check(settings)
    async with (
        Store.open(settings) as store,
        TalkRuntime.open(settings) as runtime,
        Services.open(store, runtime) as services,
    ):
        prediction = await services.lifecycle.read(UUID(row))
        runner = registry.find(prediction.model).runner
        assert isinstance(runner, Spawned)
        try:
            execution = await runner.execute(services, prediction.id)
            if execution is None:
                return "taken"
            await execution.run()
        except ForgeError:
            pass  # the reason is in the row
        finally:
            await asyncio.to_thread(telemetry.flush)
        return (await services.lifecycle.read(prediction.id)).status
