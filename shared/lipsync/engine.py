"""What every lip-sync engine offers: prepare a picture once, then render speech piece by piece.

engine.prepare(picture) -> PreparedPortrait   once per persona and size
prepared.session()      -> Session           one talk
session.render(speech)  -> frames, as many as can be known yet
session.finish()        -> the remaining frames, until the last sample is covered, and those in which it comes to rest
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from shared.lipsync.picture import Picture
    from shared.media.types import Pixels, Speech


SETTLE = 8  # frames, as long as the pause between two sentences: time for a head to come to rest


@dataclass(frozen=True)
class Style:
    """How a persona holds itself."""

    liveliness: float = 0.5  # 0 holds still but for mouth and lids, 1 moves much
    gaze: Literal["viewer", "natural", "wandering"] = "natural"  # how often it looks away


class Session(Protocol):
    """One talk. Frames are NV12, shape (height * 3 / 2, width), 25 a second, never overwritten later.

    Set `behind` while frames are late: an engine whose frames cost the processor then draws every other one only and
    yields the one in between twice.
    """

    behind: bool
    repeated: int  # frames that were yielded twice

    def render(self, speech: Speech) -> Iterator[Pixels]: ...

    def finish(self, settle: int = 0) -> Iterator[Pixels]:
        """settle: frames after the last sample; the last of all is the neutral pose, in which a talk begins, too."""
        ...


class PreparedPortrait(Protocol):
    """A picture made ready; sessions share it."""

    size: int

    @property
    def waits(self) -> bool:
        """Whether rendering waits for a device instead of using this processor."""
        ...

    def session(self) -> Session: ...


class Engine(Protocol):
    """A way to make a picture speak. `name` stands in the receipt."""

    name: str

    def prepare(self, picture: Picture, size: int, style: Style | None = None) -> PreparedPortrait:
        """style: of moving head and eyes, for engines that do."""
        ...
