"""Reading files of strangers in processes of their own: bounded in memory and time, few at once."""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from shared.core.errors import TooManyRequests

T = TypeVar("T")
AT_ONCE = 2  # processes: as many as a container has cores
WAITING = 16  # calls that may wait for one; a photo takes about a tenth of a second
SECONDS = 10.0  # for one call
MEBIBYTES = 900  # beyond what the process has after its imports: 40 megapixels with transparency take 800
_NICENESS = 10  # who answers requests comes first


class BoundedProcesses:
    """Starts its processes with the first call; a process that was killed is replaced."""

    def __init__(self, *modules: str) -> None:
        """modules: imported in each process before its first call."""
        self._modules = modules
        self._pool: Any = None
        self._under_way = 0

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Raises what the function raises; TimeoutError or MemoryError when it takes too much; TooManyRequests."""
        from pebble import ProcessExpired

        if self._under_way >= AT_ONCE + WAITING:
            raise TooManyRequests("Many files are being read at this moment. Retry in some seconds.", retry_after=5)
        self._under_way += 1
        try:
            future = self._opened().schedule(function, args=arguments, timeout=SECONDS)
            try:
                result: T = await asyncio.wrap_future(future)
                return result
            except ProcessExpired as error:
                raise MemoryError("the process was ended") from error
        finally:
            self._under_way -= 1

    def _opened(self) -> Any:
        from pebble import ProcessPool

        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPool(AT_ONCE, initializer=_confine, initargs=[self._modules], context=context)
        return self._pool

    def close(self) -> None:
        """End the processes, and what they do."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()


def _confine(modules: tuple[str, ...]) -> None:
    for module in modules:
        importlib.import_module(module)
    if sys.platform == "linux":  # elsewhere the limit of time alone holds
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + MEBIBYTES * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        os.nice(_NICENESS)
