"""Begin again after a failure that repeating can mend: only while nothing has come, and only while there is time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from shared.core.errors import ProviderFailed

PAUSES = (0.3, 1.2)  # seconds before the second and the third attempt
LONGEST = 5.0  # seconds: a provider that wants a longer pause is not waited for

T = TypeVar("T")


async def retry(begin: Callable[[], AsyncIterator[T]], ends: float) -> AsyncIterator[T]:
    """What `begin()` yields. ends: on the loop's clock, after which no new attempt starts.

    Raises the last attempt's ProviderFailed. A request is repeated only if it had no effect that anyone saw: a
    stream that breaks after its first item is not begun again.
    """
    for pause in (*PAUSES, None):
        begun = False
        try:
            async for item in begin():
                begun = True
                yield item
            return
        except ProviderFailed as error:
            if begun or pause is None or not (error.retryable or error.extra.get("provider_status", 0) >= 500):
                raise
            wait = max(pause, float(error.extra.get("retry_after", 0)))
            if wait > LONGEST or asyncio.get_running_loop().time() + wait > ends:
                raise
        await asyncio.sleep(wait)
