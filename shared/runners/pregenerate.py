"""What is made before anybody asks for it: the loops of personas that have a new look."""

from __future__ import annotations

import logging
from uuid import UUID, uuid4

from shared.core.errors import ForgeError
from shared.runners.services import Services
from shared.runners.spawned import WORKER

log = logging.getLogger("personaforge.pregenerate")


async def begin_idle(services: Services, persona: UUID) -> bool:
    """Have a worker make a persona's loops, if they are missing. Where it cannot be begun now, the schedule does it."""
    try:
        begun = await services.store.call("begin_idle", {"p_persona": str(persona), "p_id": str(uuid4())})
        for row in begun:
            await services.modal.spawn(WORKER, row["id"])
    except ForgeError as error:
        log.warning("the loops of persona %s are left to the schedule: %s", persona, error.detail)
        return False
    return bool(begun)


async def begin_missing(services: Services) -> int:
    """Begin what is missing of all personas; returns how many were begun."""
    found = await services.store.call("personas_without_idle", {})
    return sum([await begin_idle(services, UUID(persona)) for persona in found])
