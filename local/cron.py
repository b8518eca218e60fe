"""Calls the functions that Modal would call by schedule."""

from __future__ import annotations

import asyncio
import logging

from functions.reconcile import reconcile


async def main() -> None:
    while True:
        await asyncio.sleep(60)
        try:
            await reconcile.local()
        except Exception:  # a schedule goes on whatever happened in one run
            logging.exception("reconcile failed")


if __name__ == "__main__":
    asyncio.run(main())
