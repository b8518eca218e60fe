"""One device, several speakers: what they ask for at the same moment is drawn in one batch of a fixed size."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.media.types import Pixels

Frames = Callable[[], Iterator[Pixels]]  # waits for the device, then gives the frames


@dataclass
class _Request:
    tensors: tuple[Tensor, ...]
    result: Future[Frames] = field(default_factory=Future)

    def __len__(self) -> int:
        return len(self.tensors[0])

    @property
    def shapes(self) -> list[torch.Size]:
        """Of one frame's part; only like joins like."""
        return [one.shape[1:] for one in self.tensors]


class Batcher:
    """Runs `draw` on a thread of its own: a graph that was compiled on one thread is replayed on that one."""

    def __init__(self, draw: Callable[..., Tensor], sizes: tuple[int, ...]) -> None:
        """draw: tensors with the batch as their first dimension -> frames. sizes: of batches, ascending."""
        self._draw, self._sizes = draw, sizes
        self._urgent: deque[_Request] = deque()
        self._requests: deque[_Request] = deque()
        self._closed = False
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="device", daemon=True).start()

    def submit(self, *tensors: Tensor, urgent: bool = False) -> Future[Frames]:
        """Ask for at most as many frames as the largest batch has.

        urgent: goes ahead of what waits, in a batch of its own: somebody waits for the first frames of a talk.
        """
        request = _Request(tensors)
        with self._changed:
            (self._urgent if urgent else self._requests).append(request)
            self._changed.notify()
        return request.result

    def close(self) -> None:
        """End the thread after what was asked for."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        while batch := self._next():
            try:
                self._answer(batch)
            except Exception as error:
                for one in batch:
                    if not one.result.done():
                        one.result.set_exception(error)

    def _next(self) -> list[_Request]:
        """What is drawn next: one that is urgent, or as many of those that wait as fit. Empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._urgent or self._requests or self._closed)
            if self._urgent:
                return [self._urgent.popleft()]
            batch: list[_Request] = []
            while self._requests and self._fits(batch, self._requests[0]):
                batch.append(self._requests.popleft())
            return batch

    def _fits(self, batch: list[_Request], one: _Request) -> bool:
        return not batch or (one.shapes == batch[0].shapes and sum(map(len, batch)) + len(one) <= self._sizes[-1])

    def _answer(self, batch: list[_Request]) -> None:
        count = sum(map(len, batch))
        full = next(size for size in self._sizes if size >= count)
        tensors = [torch.cat([part, part.new_zeros(full - count, *part.shape[1:])]) for part in map(torch.cat, zip(
            *(one.tensors for one in batch), strict=True))]  # fmt: skip
        with torch.inference_mode():
            drawn = self._draw(*tensors)[:count]
        frames = _to_host(drawn)
        first = 0
        for one in batch:
            one.result.set_result(_part(frames, first, first + len(one)))
            first += len(one)


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """An array as a tensor on the device; a copy to a GPU does not wait for what is queued there."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _to_host(drawn: Tensor) -> Callable[[], list[Pixels]]:
    """Copy frames without waiting; while they are on their way the device draws the next batch."""
    if drawn.device.type != "cuda":
        frames = list(drawn.numpy())
        return lambda: frames
    host = torch.empty(drawn.shape, dtype=drawn.dtype, pin_memory=True)
    host.copy_(drawn, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()

    def wait() -> list[Pixels]:
        arrived.synchronize()
        return list(host.numpy())

    return wait


def _part(frames: Callable[[], list[Pixels]], first: int, end: int) -> Frames:
    return lambda: iter(frames()[first:end])
