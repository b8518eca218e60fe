"""One device, several speakers: what they ask for at the same moment is drawn in one batch of a fixed size."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import torch
from torch import Tensor

from shared.lipsync.arrays import Pixels

Frames = Callable[[], Iterator[Pixels]]  # waits for the device, then gives the frames


@dataclass
class _Asked:
    tensors: tuple[Tensor, ...]
    answer: Future[Frames] = field(default_factory=Future)

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
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        threading.Thread(target=self._run, name="device", daemon=True).start()

    def submit(self, *tensors: Tensor) -> Future[Frames]:
        """Ask for at most as many frames as the largest batch has."""
        asked = _Asked(tensors)
        self._asked.put(asked)
        return asked.answer

    def close(self) -> None:
        """End the thread after what was asked for."""
        self._asked.put(None)

    def _run(self) -> None:
        held: _Asked | None = None
        while first := held or self._asked.get():
            batch, held = [first], None
            while held is None:
                try:
                    more = self._asked.get_nowait()
                except Empty:
                    break
                if more is None:
                    self._asked.put(None)
                    break
                if more.shapes == batch[0].shapes and sum(map(len, batch)) + len(more) <= self._sizes[-1]:
                    batch.append(more)
                else:
                    held = more  # begins the next batch
            try:
                self._answer(batch)
            except Exception as error:
                for one in batch:
                    if not one.answer.done():
                        one.answer.set_exception(error)

    def _answer(self, batch: list[_Asked]) -> None:
        count = sum(map(len, batch))
        full = next(size for size in self._sizes if size >= count)
        given = [torch.cat([part, part.new_zeros(full - count, *part.shape[1:])]) for part in map(torch.cat, zip(
            *(one.tensors for one in batch), strict=True))]  # fmt: skip
        with torch.inference_mode():
            drawn = self._draw(*given)[:count]
        frames = _to_host(drawn)
        first = 0
        for one in batch:
            one.answer.set_result(_part(frames, first, first + len(one)))
            first += len(one)


def _to_host(drawn: Tensor) -> Callable[[], list[Pixels]]:
    """Copy frames without waiting; while they are on their way the device draws the next batch."""
    if drawn.device.type != "cuda":
        made = list(drawn.numpy())
        return lambda: made
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
