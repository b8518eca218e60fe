"""Loudness as EBU R128 measures it, and bringing a voice to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np

from shared.media.types import Floats

RATE = 48_000  # of a film's sound
TARGET, HIGHEST = -14.0, -1.0  # LUFS at which YouTube plays, and dBTP at most
_PEAK = 0.84  # where samples are limited: -1.5 dB, as AAC goes over what it was given


@dataclass(frozen=True)
class Loudness:
    """integrated in LUFS, peak in dBTP."""

    integrated: float
    peak: float


def measure(sound: Floats) -> Loudness:
    """Of mono samples at 48 kHz, -1..1, as a film has them: on both channels, which is 3 dB louder than on one."""
    last: dict[str, str] = {}
    both = [("pan", "stereo|c0=c0|c1=c0"), ("ebur128", "metadata=1:peak=true:framelog=quiet")]
    for frame in _filtered(sound, both, "stereo"):
        last = {**last, **frame.metadata}
    peak = float(last.get("lavfi.r128.true_peak", 0) or 0)  # linear
    return Loudness(float(last.get("lavfi.r128.I", -70)), 20 * float(np.log10(max(peak, 1e-6))))


def brought_to(sound: Floats, target: float = TARGET) -> Floats:
    """The same samples, as many, at this loudness: one gain for all, and a limiter for its peaks."""
    gain = target - measure(sound).integrated
    for _ in range(3):  # what the limiter takes away is added again
        done = _whole(sound, gain)
        missing = target - measure(done).integrated
        if abs(missing) < 0.3:
            break
        gain += missing
    return done


def _whole(sound: Floats, gain: float) -> Floats:
    chain = [("volume", f"{gain:.2f}dB"), ("alimiter", f"limit={_PEAK}:level=false:latency=1")]
    parts = [frame.to_ndarray()[0] for frame in _filtered(sound, chain)]
    done = np.concatenate(parts).astype(np.float32)
    return np.pad(done, (0, max(0, len(sound) - len(done))))[: len(sound)]


def _filtered(sound: Floats, chain: list[tuple[str, str]], layout: str = "mono") -> Iterable[av.AudioFrame]:
    graph = av.filter.Graph()
    nodes = [graph.add_abuffer(sample_rate=RATE, format="fltp", layout="mono", time_base=Fraction(1, RATE))]
    nodes += [graph.add(name, options) for name, options in chain]
    nodes += [
        graph.add("aformat", f"sample_fmts=fltp:sample_rates={RATE}:channel_layouts={layout}"),
        graph.add("abuffersink"),
    ]
    for one, following in pairwise(nodes):
        one.link_to(following)
    graph.configure()
    for at in range(0, len(sound), RATE):
        block = np.ascontiguousarray(sound[at : at + RATE], np.float32)[None]
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
        graph.push(frame)
        yield from _pulled(graph)
    graph.push(None)
    yield from _pulled(graph)


def _pulled(graph: av.filter.Graph) -> Iterable[av.AudioFrame]:
    while True:
        try:
            frame = graph.pull()
        except (BlockingIOError, EOFError):
            return
        assert isinstance(frame, av.AudioFrame)
        yield frame
