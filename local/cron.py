"""Calls the functions that Modal would call by schedule."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from functions.payments import payments
from functions.pregenerate import pregenerate
from functions.reconcile import reconcile


async def _every(seconds: float, call: Callable[[], Awaitable[Any]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await call()
        except Exception:  # a schedule goes on whatever happened in one run
            logging.exception("a scheduled call failed")


async def main() -> None:
    await asyncio.gather(_every(60, reconcile.local), _every(60, pregenerate.local), _every(24 * 3600, payments.local))


if __name__ == "__main__":
    asyncio.run(main())
