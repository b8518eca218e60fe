"""Checks of a finished film, in code: each measured on the decoded file, with its limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from shared.media.types import Floats
from shared.studio import loudness
from shared.studio.captions import lines
from shared.studio.film import SIZES
from shared.studio.project import Shape
from shared.studio.shots import FPS, Shot
from shared.studio.voiceover import Voiceover

LONGEST_BLACK, LONGEST_STILL, LONGEST_SILENCE = 0.5, 2.0, 1.5  # seconds


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    passed: bool
    measured: str
    limit: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class _Seen:
    """What one pass over a film's frames found."""

    frames: int = 0
    last: float = 0.0
    format: str = ""
    black: float = 0.0
    still: float = 0.0
    silent: float = 0.0


def check(path: Path, shape: Shape, voice: Voiceover, shots: Sequence[Shot], captioned: bool) -> list[Check]:
    """Everything that can be measured; a film that cannot be decoded fails at once."""
    try:
        seen, sound, stream = _watch(path)
    except (av.FFmpegError, ValueError, IndexError) as error:
        return [Check("decodes", False, type(error).__name__, "every frame")]
    planned = shots[-1].last
    heard = loudness.measure(sound)
    boxes = _boxes(path)
    drift = _drift(sound, voice)
    width, height = SIZES[shape]
    found = [
        Check("decodes", seen.frames == planned, f"{seen.frames} frames", f"{planned}"),
        Check(
            "length", abs(seen.last - voice.seconds) <= 0.05 + 1 / FPS, f"{seen.last:.2f} s", f"{voice.seconds:.2f} s"
        ),
        Check("picture", stream == (width, height, FPS, "h264"), str(stream), f"{(width, height, FPS, 'h264')}"),
        Check("black", seen.black < LONGEST_BLACK, f"{seen.black:.2f} s", f"under {LONGEST_BLACK} s"),
        Check("frozen", seen.still < LONGEST_STILL, f"{seen.still:.2f} s", f"under {LONGEST_STILL} s"),
        Check("silence", seen.silent < LONGEST_SILENCE, f"{seen.silent:.2f} s", f"under {LONGEST_SILENCE} s"),
        Check(
            "loudness", abs(heard.integrated - loudness.TARGET) <= 1, f"{heard.integrated:.1f} LUFS",
            f"{loudness.TARGET:.0f} LUFS, by 1 at most",
        ),
        Check("peak", heard.peak <= loudness.HIGHEST, f"{heard.peak:.1f} dBTP", f"at most {loudness.HIGHEST:.0f} dBTP"),
        Check("drift", abs(drift) < 0.04, f"{drift * 1000:.0f} ms", "under 40 ms"),
        Check("index first", boxes.index("moov") < boxes.index("mdat"), " ".join(boxes), "moov before mdat"),
        Check("edit list", b"elst" not in path.read_bytes()[:2_000_000], "", "none"),
    ]  # fmt: skip
    if captioned:
        shown = [word.text for line in lines(voice.words, shape) for word in line.words]
        said = [word.text for word in voice.words]
        found.append(Check("captions", shown == said, f"{len(shown)} words", f"{len(said)}, each once and in order"))
    return found


def _watch(path: Path) -> tuple[_Seen, Floats, tuple[int, int, int, str]]:
    """One decode of picture and sound."""
    seen, parts = _Seen(), []
    with av.open(str(path), "r") as file:
        video, audio = file.streams.video[0], file.streams.audio[0]
        stream = (video.width, video.height, round(float(video.average_rate or 0)), video.codec_context.name)
        graph = av.filter.Graph()
        nodes = [
            graph.add_buffer(template=video, time_base=video.time_base), graph.add("scale", "320:-2"),
            graph.add("blackdetect", f"d={LONGEST_BLACK}:pix_th=0.10"),
            graph.add("freezedetect", f"n=-60dB:d={LONGEST_STILL}"),
            graph.add("buffersink"),
        ]  # fmt: skip
        for one, following in pairwise(nodes):
            one.link_to(following)
        graph.configure()
        resampler = av.AudioResampler("fltp", "stereo", loudness.RATE)
        opened: dict[str, float] = {}
        for frame in file.decode(video, audio):
            if isinstance(frame, av.VideoFrame):
                seen.frames += 1
                seen.last = max(seen.last, float(frame.time or 0) + 1 / FPS)
                graph.push(frame)
                _note(graph, opened, seen)
            elif isinstance(frame, av.AudioFrame):
                parts += [one.to_ndarray().mean(axis=0) for one in resampler.resample(frame)]
        graph.push(None)
        _note(graph, opened, seen)
    for name, start in opened.items():  # an interval that lasts to the end is never closed by the filter
        setattr(seen, name, max(getattr(seen, name), seen.last - start))
    sound = np.concatenate(parts)
    seen.silent = _longest_silence(sound)
    return seen, sound, stream


def _note(graph: av.filter.Graph, opened: dict[str, float], seen: _Seen) -> None:
    keys = {
        "lavfi.black_start": ("black", True), "lavfi.black_end": ("black", False),
        "lavfi.freezedetect.freeze_start": ("still", True), "lavfi.freezedetect.freeze_end": ("still", False),
    }  # fmt: skip
    while True:
        try:
            frame = graph.pull()
        except (BlockingIOError, EOFError):
            return
        for key, (name, begins) in keys.items():
            if (value := frame.metadata.get(key)) is None:
                continue
            if begins:
                opened.setdefault(name, float(value))
            elif name in opened:
                setattr(seen, name, max(getattr(seen, name), float(value) - opened.pop(name)))


def _longest_silence(sound: Floats) -> float:
    """Below -50 dB, between the first sound and the last."""
    window = loudness.RATE // 20
    levels = np.abs(sound[: len(sound) // window * window]).reshape(-1, window).max(axis=1)
    loud = np.flatnonzero(levels > 10 ** (-50 / 20))
    if len(loud) < 2:
        return len(sound) / loudness.RATE
    return float((np.diff(loud) - 1).max()) / 20


def _drift(sound: Floats, voice: Voiceover) -> float:
    """Seconds by which the film's sound lies off the voice, the worst of beginning, middle and end."""
    said = np.repeat(voice.samples.astype(np.float32) / 32768, 2)[: len(sound)]
    length, worst = 4 * loudness.RATE, 0.0
    for at in (0, max(0, len(said) // 2 - length // 2), max(0, len(said) - length)):
        a, b = said[at : at + length], sound[at : at + length]
        if len(a) < loudness.RATE or not a.any():
            continue
        n = 1 << (2 * len(a)).bit_length()
        cross = np.fft.irfft(np.fft.rfft(b, n) * np.conj(np.fft.rfft(a, n)), n)
        lag = int(np.argmax(cross))
        worst = max(worst, (lag if lag < n // 2 else lag - n) / loudness.RATE, key=abs)
    return worst


def _boxes(path: Path) -> list[str]:
    """The names of the outermost boxes of an MP4, in order."""
    names, data, at = [], path.read_bytes(), 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        names.append(data[at + 4 : at + 8].decode("latin1"))
        size = int.from_bytes(data[at + 8 : at + 16]) if size == 1 else size
        if size < 8:
            break
        at += size
    return names
