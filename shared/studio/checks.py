"""Checks of a finished film, in code: each measured on the decoded file, with its limit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from shared.media.types import Floats, Pixels
from shared.studio import fonts, loudness
from shared.studio.captions import Captions
from shared.studio.film import SIZES, largest
from shared.studio.project import Shape
from shared.studio.shots import FPS, Shot
from shared.studio.voiceover import Voiceover

LONGEST_BLACK, LONGEST_STILL, LONGEST_SILENCE = 0.5, 2.0, 1.5  # seconds
# Where captions may stand, from the top and the sides of the picture: title, author and buttons cover the rest.
SAFE = {"wide": (0.05, 0.95), "tall": (0.15, 0.75), "square": (0.05, 0.95)}
SAFE_SIDE = 0.02
FASTEST = 28.0  # characters a second: a fast speaker's; who only reads manages about 20
_BARS, _BAR = 0.9, 0.02  # share of frames in which an edge is dark, and how much of the picture it takes
_DARK = 6  # of 255
_FLASH, _FLASH_DARKER, _FLASHES, _FLASHING = 0.1, 0.8, 3, 0.25  # WCAG 2.3.1: in a second, in a quarter of the picture
_CELLS = (16, 9)
_CLIPPED, _RUN = 0.999, 3  # of full scale, for so many samples


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    passed: bool
    measured: str
    limit: str

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "passed": bool(self.passed)}  # numpy has truths of its own


@dataclass
class _Seen:
    """What one pass over a film's frames found."""

    frames: int = 0
    last: float = 0.0
    format: str = ""
    black: list[tuple[float, float]] = field(default_factory=list)  # from and until, in seconds
    still: list[tuple[float, float]] = field(default_factory=list)
    silent: float = 0.0
    clipped: int = 0
    dark: dict[int, tuple[Pixels, Pixels]] = field(default_factory=dict)  # of some frames: dark rows, dark columns
    cells: list[Floats] = field(default_factory=list)  # of each frame: the luminance of its parts, 0 to 1


def check(
    path: Path,
    shape: Shape,
    voice: Voiceover,
    shots: Sequence[Shot],
    captions: Captions | None,
    clips: Mapping[int, str] | None = None,
    ledger: Mapping[int, str] | None = None,
    provenance: str = "",
    cards: Collection[int] = (),
) -> list[Check]:
    """Everything that can be measured; a film that cannot be decoded fails at once.

    clips: the sha256 of the footage that each shot shows. ledger: the one that its line has. provenance: what
    shared.predictions.provenance says of the file; empty where nothing is signed. cards: the shots that are still text.
    """
    try:
        seen, sound, stream = _watch(path)
    except (av.FFmpegError, ValueError, IndexError) as error:
        return [Check("decodes", False, type(error).__name__, "every frame")]
    planned = shots[-1].last
    heard = loudness.measure(sound)
    boxes = _boxes(path)
    drift = _drift(sound, voice)
    size, most = path.stat().st_size, largest(voice.seconds)
    width, height = SIZES[shape]
    planned_still = [(shot.start - 0.1, shot.end + 0.1) for shot in shots if shot.number in cards]
    black, still = _longest(seen.black, []), _longest(seen.still, planned_still)
    found = [
        Check("decodes", seen.frames == planned, f"{seen.frames} frames", f"{planned}"),
        Check(
            "length", abs(seen.last - voice.seconds) <= 0.05 + 1 / FPS, f"{seen.last:.2f} s", f"{voice.seconds:.2f} s"
        ),
        Check("picture", stream == _wanted(width, height), stream, _wanted(width, height)),
        Check("black", black < LONGEST_BLACK, f"{black:.2f} s", f"under {LONGEST_BLACK} s"),
        Check("frozen", still < LONGEST_STILL, f"{still:.2f} s", f"under {LONGEST_STILL} s"),
        Check("silence", seen.silent < LONGEST_SILENCE, f"{seen.silent:.2f} s", f"under {LONGEST_SILENCE} s"),
        Check(
            "loudness", abs(heard.integrated - loudness.TARGET) <= 1, f"{heard.integrated:.1f} LUFS",
            f"{loudness.TARGET:.0f} LUFS, by 1 at most",
        ),
        Check("peak", heard.peak <= loudness.HIGHEST, f"{heard.peak:.1f} dBTP", f"at most {loudness.HIGHEST:.0f} dBTP"),
        Check("clipping", seen.clipped == 0, f"{seen.clipped} samples", "none"),
        _bars(seen, [shot for shot in shots if shot.number in (clips or {})]),
        _flashing(seen),
        Check("drift", abs(drift) < 0.04, f"{drift * 1000:.0f} ms", "under 40 ms"),
        Check("index first", boxes.index("moov") < boxes.index("mdat"), " ".join(boxes), "moov before mdat"),
        Check("size", size <= most, f"{size / 1e6:.1f} MB", f"at most {most / 1e6:.1f} MB"),
        Check("edit list", b"elst" not in path.read_bytes()[:2_000_000], "", "none"),
    ]  # fmt: skip
    if captions:
        found += _captions(captions, shape, voice)
    used, known = clips or {}, ledger or {}
    strange = [number for number, digest in used.items() if known.get(number) != digest]
    found.append(Check("credits", not strange, f"{len(used)} clips, {len(strange)} without their line", "each has one"))
    if provenance:
        found.append(Check("provenance", provenance in ("Valid", "Trusted"), provenance, "a valid manifest"))
    return found


def _captions(captions: Captions, shape: Shape, voice: Voiceover) -> list[Check]:
    shown = [word.text for word in captions.seen()]
    said = [word.text for word in voice.words]
    lost = fonts.missing(" ".join(said))
    fit, (width, height) = captions.report(), SIZES[shape]
    top, bottom = (round(height * share) for share in SAFE[shape])
    inside = top <= fit.top and fit.bottom <= bottom and fit.left >= width * SAFE_SIDE <= width - fit.right
    return [
        Check(
            "captions", shown == said and not lost, f"{len(shown)} words" + (f", no glyph for {lost}" if lost else ""),
            f"{len(said)}, each once and in order",
        ),
        Check(
            "safe area", inside, f"rows {fit.top} to {fit.bottom}, columns {fit.left} to {fit.right}",
            f"rows {top} to {bottom}, {SAFE_SIDE:.0%} free at the sides",
        ),
        Check(
            "reading speed", fit.characters_a_second <= FASTEST, f"{fit.characters_a_second:.0f} characters a second",
            f"at most {FASTEST:.0f}",
        ),
    ]  # fmt: skip


def _bars(seen: _Seen, footage: Sequence[Shot]) -> Check:
    """Edges of the footage that are dark in nearly all its frames, as of a film within a film."""
    looked = [
        dark for number, dark in seen.dark.items() if any(shot.first <= number < shot.last for shot in footage)
    ]  # fmt: skip
    widest = 0.0
    for edges in zip(*looked, strict=True):  # rows, columns
        always = np.mean(edges, axis=0) >= _BARS
        for edge in (always, always[::-1]):
            widest = max(widest, float(np.argmin(edge) if not edge.all() else len(edge)) / len(edge))
    return Check("bars", widest < _BAR, f"{widest:.1%} of the picture", f"under {_BAR:.0%} of footage")


def _flashing(seen: _Seen) -> Check:
    """Pairs of opposing changes of luminance within any second, in at least a quarter of the picture."""
    cells = np.array(seen.cells)
    turned = np.zeros(cells.shape, bool)  # where a change against the one before is complete
    extreme, falling = cells[0].copy(), np.zeros(cells.shape[1], np.int8)
    for number, now in enumerate(cells[1:], 1):
        darker = np.minimum(extreme, now)
        for way in (1, -1):  # brighter, darker
            grown = (way * (now - extreme) >= _FLASH) & (darker < _FLASH_DARKER) & (falling != way)
            turned[number] |= grown
            falling[grown], extreme[grown] = way, now[grown]
        further = falling * (now - extreme) > 0
        extreme[further] = now[further]
    counts = np.cumsum(np.concatenate([np.zeros((1, cells.shape[1])), turned]), axis=0)
    second = counts[FPS:] - counts[:-FPS] if len(counts) > FPS else counts[-1:]
    most = np.sort(second // 2, axis=1)[:, ::-1][:, int(cells.shape[1] * _FLASHING) - 1].max()
    return Check("flashing", most <= _FLASHES, f"{most:.0f} flashes a second", f"at most {_FLASHES}")


def _wanted(width: int, height: int) -> str:
    return f"{width} x {height}, square pixels, {FPS} frames/s, h264 High, yuv420p, BT.709"


def _watch(path: Path) -> tuple[_Seen, Floats, str]:
    """One decode of picture and sound."""
    seen, parts = _Seen(), []
    with av.open(str(path), "r") as file:
        video, audio = file.streams.video[0], file.streams.audio[0]
        stream = _told(video)
        graph = av.filter.Graph()
        nodes = [
            graph.add_buffer(template=video, time_base=video.time_base), graph.add("scale", "320:-2"),
            graph.add("blackdetect", f"d={LONGEST_BLACK}:pix_th=0.10"),
            graph.add("freezedetect", f"n=-60dB:d={LONGEST_STILL}"),
            graph.add("format", "gray"), graph.add("buffersink"),
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
                for block in resampler.resample(frame):
                    samples = np.asarray(block.to_ndarray(), np.float32)
                    seen.clipped += _clipped(samples)
                    parts.append(samples.mean(axis=0))
        graph.push(None)
        _note(graph, opened, seen)
    for name, start in opened.items():  # an interval that lasts to the end is never closed by the filter
        getattr(seen, name).append((start, seen.last))
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
        assert isinstance(frame, av.VideoFrame)
        _look(np.asarray(frame.to_ndarray(), np.uint8), seen)
        for key, (name, begins) in keys.items():
            if (value := frame.metadata.get(key)) is None:
                continue
            if begins:
                opened.setdefault(name, float(value))
            elif name in opened:
                getattr(seen, name).append((opened.pop(name), float(value)))


def _longest(found: Sequence[tuple[float, float]], planned: Sequence[tuple[float, float]]) -> float:
    """Seconds of the longest stretch that was not planned."""
    inside = (any(a <= start and end <= b for a, b in planned) for start, end in found)
    return max((end - start for (start, end), within in zip(found, inside, strict=True) if not within), default=0.0)


def _look(gray: Pixels, seen: _Seen) -> None:
    if len(seen.cells) % (FPS // 2) == 0:
        seen.dark[len(seen.cells)] = gray.max(axis=1) <= _DARK, gray.max(axis=0) <= _DARK
    small = cv2.resize(gray, _CELLS, interpolation=cv2.INTER_AREA)
    seen.cells.append(((small.astype(np.float32) / 255) ** 2.2).ravel())


def _told(video: av.VideoStream) -> str:
    context = video.codec_context
    square = "square pixels" if (video.sample_aspect_ratio or 1) == 1 else f"pixels {video.sample_aspect_ratio}"
    colours = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
    bt709 = (ColorPrimaries.BT709, ColorTrc.BT709, Colorspace.ITU709, ColorRange.MPEG)
    return (
        f"{video.width} x {video.height}, {square}, {round(float(video.average_rate or 0))} frames/s, "
        f"{context.name} {context.profile}, {context.pix_fmt}, {'BT.709' if colours == bt709 else 'other colours'}"
    )


def _clipped(samples: Floats) -> int:
    """Samples at full scale, in runs."""
    full = np.abs(samples) >= _CLIPPED
    runs = np.lib.stride_tricks.sliding_window_view(full, _RUN, axis=1).all(axis=2)
    return int(runs.sum())


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
