"""WebVTT captions from the times of spoken characters."""

from __future__ import annotations

from collections.abc import Sequence

from shared.media.types import Timing

LINE = 42  # characters a caption, as broadcasters do
LONGEST = 6.0  # seconds a caption stays


def webvtt(timings: Sequence[Timing]) -> str:
    """Captions cut at spaces, at sentence ends, and after LINE characters or LONGEST seconds."""
    cues: list[tuple[float, float, str]] = []
    text, start = "", 0.0
    for place, timing in enumerate(timings):
        if not text.strip():
            text, start = "", timing.start
        text += timing.symbol
        ended = text.rstrip()[-1:] in tuple(".!?。！？") and timing.symbol.isspace()
        full = timing.symbol.isspace() and (len(text) > LINE - 8 or timing.end - start > LONGEST)
        if full and len(text) <= LINE - 2 and _rest(timings, place) < 12:
            full = False  # a word alone on the next line reads worse than a long line
        if ended or full:
            cues.append((start, timing.end, " ".join(text.split())))
            text = ""
    if text.strip():
        cues.append((start, timings[-1].end, " ".join(text.split())))
    blocks = [f"{_clock(a)} --> {_clock(max(b, a + 0.2))}\n{_escape(words)}" for a, b, words in cues]
    return "\n\n".join(["WEBVTT", *blocks]) + "\n"


def _rest(timings: Sequence[Timing], place: int) -> int:
    """Characters from here to the end of the sentence."""
    for count, timing in enumerate(timings[place + 1 : place + 40], 1):
        if timing.symbol in ".!?。！？":
            return count
    return len(timings) - place - 1


def _clock(seconds: float) -> str:
    thousandths = round(max(0.0, seconds) * 1000)
    hours, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
