"""Putting a film together: each shot rendered to a file of its own, in every shape at once; joined as they are."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from PIL import Image, ImageDraw

from shared.lipsync.engine import PreparedPortrait
from shared.media.nv12 import from_nv12, nv12
from shared.media.types import FPS as ENGINE_FPS
from shared.media.types import Floats, Pixels, Speech
from shared.studio.captions import Captions, Lettering, direction
from shared.studio.loudness import RATE
from shared.studio.project import Shape
from shared.studio.shots import FPS, Shot
from shared.studio.voiceover import Word, words_of

SIZES: dict[Shape, tuple[int, int]] = {"wide": (1920, 1080), "tall": (1080, 1920), "square": (1080, 1080)}
# Two B-frames and a closed group of half a second, as YouTube asks for; every shot alike, so that they join.
_PICTURE = 8_000_000  # bits a second at most, as YouTube asks for at 1080p: a film of three minutes is 180 MB
_X264 = {
    "preset": "veryfast",
    "crf": "20",
    "maxrate": str(_PICTURE),
    "bufsize": str(2 * _PICTURE),
    "profile": "high",
    "bf": "2",
    "g": str(FPS // 2),
    "x264-params": "open-gop=0",
}
_AAC = 192_000  # bits a second
_DARK = 0.45  # of what lies beside a picture that is too narrow: it must not be looked at
LOST_BESIDE, LOST_ABOVE = 0.46, 0.25  # of a picture, that may be cut away: heads reach up to the edge
_UNNAMED = 2  # of FFmpeg's colour spaces
_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
CORNER, MARGIN = 0.34, 0.03  # of the shorter side, and of the width beside it
CORNER_TOP: dict[Shape, float] = {"wide": 0.05, "tall": 0.10, "square": 0.04}  # of the height: names stand above
SOFT = 0.08  # of the width of a picture that fades into its ground
_AHEAD = 4  # frames of a shape that wait to be encoded: 3 MB each
CARD, CARD_WIDE = 1080, 0.5  # pixels; share of the width: an upright film shows 0.56 of a square
SPEAKING = 20  # frames after which a persona that begins to speak is in the middle of it
FOCUS = (0.5, 0.35)  # of width and height, that stays in view: eyes are above the middle
ZOOM = 0.06  # by which a still grows within its shot


@dataclass(frozen=True)
class Planes:
    """A frame in NV12: luma (height, width), chroma (height / 2, width)."""

    luma: Pixels
    chroma: Pixels


def presented(portrait: PreparedPortrait, speech: Speech, count: int) -> Iterator[Planes]:
    """`count` frames of the persona saying this, from rest to rest; the engine's 25 a second shown at 30."""
    session = portrait.session()
    drawn = (one for part in (session.render(speech), session.finish()) for one in part)
    size, at, current = portrait.size, -1, None
    for number in range(count):
        wanted = number * ENGINE_FPS // FPS
        while at < wanted:
            following = next(drawn, None)
            if following is None:
                break
            current, at = following, at + 1
        assert current is not None
        yield Planes(current[:size], current[size:])


def picture(frames: Iterable[Planes], number: int) -> Pixels:
    """One of the first frames as BGR, for a thumbnail: the one before `number`."""
    (last,) = deque((one for one, _ in zip(frames, range(number), strict=False)), 1)
    return from_nv12(np.concatenate([last.luma, last.chroma]))


def clip_frames(data: bytes, count: int) -> Iterator[Planes]:
    """`count` frames of a clip from its beginning, by its own times; a shorter one is slowed down to fit.

    Raises ValueError for what is no video.
    """
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(data)
        file.flush()
        try:
            with av.open(file.name, "r") as container:
                stream = container.streams.video[0]
                length = float(container.duration or 0) / av.time_base
                slow = min(1.0, max(0.05, length - 0.05) / (count / FPS))
                frames = (frame for frame in container.decode(stream) if isinstance(frame, av.VideoFrame))
                current, following, shown = None, next(frames, None), None
                began = float(following.time or 0) if following else 0.0
                aspect = float(stream.sample_aspect_ratio or 1)
                if stream.codec_context.color_trc in _HDR:
                    raise ValueError("this clip is HDR, which would look washed out")
                for number in range(count):
                    while following is not None and float(following.time or 0) - began <= number / FPS * slow:
                        current, following, shown = following, next(frames, None), None
                    if current is None:
                        raise ValueError("this clip has no picture")
                    shown = shown or _turned(_planes(current, aspect), current.rotation)
                    yield shown
        except (av.FFmpegError, IndexError) as error:
            raise ValueError("this clip cannot be decoded") from error


def _planes(frame: av.VideoFrame, aspect: float) -> Planes:
    """With square pixels and our colours, which unnamed ones in HD are: converting them takes 4 ms a frame."""
    width, height = round(frame.width * aspect / 2) * 2, frame.height // 2 * 2
    ours = frame.colorspace == Colorspace.ITU709 or (frame.colorspace == _UNNAMED and frame.height >= 720)
    if ours and frame.color_range != ColorRange.JPEG:
        as_ours = frame.reformat(width, height, format="nv12")
    else:
        limited = ColorRange.MPEG
        as_ours = frame.reformat(
            width, height, format="nv12", dst_colorspace=Colorspace.ITU709, dst_color_range=limited
        )
    array = np.asarray(as_ours.to_ndarray(), np.uint8)
    return Planes(array[:height], array[height:])


def _turned(frame: Planes, degrees: int) -> Planes:
    """Upright, as a player turns what a phone filmed sideways. degrees: counterclockwise, as its file says."""
    turns = round(degrees / 90) % 4
    if not turns:
        return frame
    pairs = frame.chroma.reshape(frame.chroma.shape[0], -1, 2)
    luma, chroma = np.rot90(frame.luma, turns), np.rot90(pairs, turns)
    return Planes(np.ascontiguousarray(luma), np.ascontiguousarray(chroma).reshape(chroma.shape[0], -1))


def card(text: str) -> Pixels:
    """A sentence on a plain ground, BGR: its letters keep to the middle, which every shape shows."""
    words = words_of([text], [])
    lettering, base, size = Lettering(words), direction(words), 84
    while True:
        rows: list[list[Word]] = []
        for word in words:
            if rows and lettering.width([*rows[-1], word], size) <= CARD * CARD_WIDE:
                rows[-1].append(word)
            else:
                rows.append([word])
        widest = max(lettering.width(row, size) for row in rows)
        if size <= 18 or (len(rows) * size * 1.3 <= CARD * 0.7 and widest <= CARD * CARD_WIDE):
            break
        size -= 6
    picture = Image.new("RGB", (CARD, CARD), (58, 82, 96))
    pen = ImageDraw.Draw(picture)
    for number, row in enumerate(rows):
        y = CARD / 2 + (number - len(rows) / 2 + 0.5) * size * 1.3
        for word, x in lettering.placed(row, base, CARD / 2, size):
            pen.text((x, y), word.text, font=lettering.font(word, size), anchor="lm", fill=(255, 255, 255))
    return np.asarray(picture, np.uint8)[:, :, ::-1].copy()


def still_frames(bgr: Pixels, count: int) -> Iterator[Planes]:
    """A still that slowly grows, moved by fractions of a pixel: whole ones tremble."""
    height, width = bgr.shape[0] // 2 * 2, bgr.shape[1] // 2 * 2
    for number in range(count):
        zoom = 1 + ZOOM * number / max(1, count - 1)
        matrix = np.array([[zoom, 0, width / 2 * (1 - zoom)], [0, zoom, height / 2 * (1 - zoom)]], np.float32)
        moved = cv2.warpAffine(bgr, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        luma, chroma = nv12(np.ascontiguousarray(moved, np.uint8))
        yield Planes(luma, chroma.reshape(height // 2, width))


class Fitting:
    """Brings frames of one shot to a shape: it fills the shape where little is lost, else stands on itself, blurred."""

    def __init__(self, shape: Shape, *, focus: tuple[float, float] = (0.5, 0.5), fill: bool = False) -> None:
        """focus: what stays in view, as shares of width and height. fill: whatever is lost, as of footage."""
        self._fill = fill
        self._width, self._height = SIZES[shape]
        self._focus = focus
        self._ground: Planes | None = None

    def fit(self, frame: Planes) -> Planes:
        """Writable planes of the shape's size."""
        height, width = frame.luma.shape
        cover = max(self._width / width, self._height / height)
        beside, above = 1 - self._width / cover / width, 1 - self._height / cover / height
        if self._fill or (beside <= LOST_BESIDE and above <= LOST_ABOVE):
            return self._filled(frame, cover)
        return self._on_ground(frame)

    def _filled(self, frame: Planes, scale: float) -> Planes:
        height, width = frame.luma.shape
        wide, high = round(self._width / scale / 2) * 2, round(self._height / scale / 2) * 2
        x = round((width - wide) * self._focus[0] / 2) * 2
        y = round((height - high) * self._focus[1] / 2) * 2
        return _resized(_cut(frame, x, y, wide, high), self._width, self._height)

    def _on_ground(self, frame: Planes) -> Planes:
        height, width = frame.luma.shape
        scale = min(self._width / width, self._height / height)
        wide, high = round(width * scale / 2) * 2, round(height * scale / 2) * 2
        if self._ground is None:
            filled = self._filled(frame, max(self._width / width, self._height / height))
            small = _resized(filled, max(16, self._width // 32 * 2), max(16, self._height // 32 * 2))
            ground = _resized(small, self._width, self._height)
            luma = (16 + (ground.luma.astype(np.float32) - 16) * _DARK).clip(16, 235).astype(np.uint8)
            self._ground = Planes(cv2.GaussianBlur(luma, (0, 0), 24).astype(np.uint8), ground.chroma)
        luma, chroma = self._ground.luma.copy(), self._ground.chroma.copy()
        fitted = _resized(frame, wide, high)
        x, y = (self._width - wide) // 4 * 2, (self._height - high) // 4 * 2
        _feather(luma[y : y + high, x : x + wide], fitted.luma, wide, x > 0)
        _feather(chroma[y // 2 : (y + high) // 2, x : x + wide], fitted.chroma, wide, x > 0)
        return Planes(luma, chroma)


def _feather(ground: Pixels, picture: Pixels, wide: int, beside: bool) -> None:
    """Lay a picture on its ground in place; where the ground is seen beside it, without an edge."""
    width = round(wide * SOFT / 2) * 2 if beside else 0
    ground[:, width : wide - width] = picture[:, width : wide - width]
    if beside:
        ramp = np.linspace(0, 255, width // 2).astype(np.uint16).repeat(2)  # a pair of chroma alike
        for where, cover in ((slice(0, width), ramp), (slice(wide - width, wide), ramp[::-1])):
            ground[:, where] = (ground[:, where] * (255 - cover) + picture[:, where] * cover) // 255


class Corner:
    """The persona in a disc over footage, clear of the captions and of what players draw over a video."""

    def __init__(self, shape: Shape) -> None:
        width, height = SIZES[shape]
        self._side = side = round(min(width, height) * CORNER / 2) * 2
        self._x, self._y = (width - side - round(width * MARGIN)) // 2 * 2, round(height * CORNER_TOP[shape] / 2) * 2
        disc = np.zeros((side, side), np.uint8)
        cv2.circle(disc, (side * 8 - 8, side * 8 - 8), side * 8 - 32, 255, -1, cv2.LINE_AA, 4)
        self._cover = disc.astype(np.uint16)
        small = cv2.resize(disc, (side // 2, side // 2), interpolation=cv2.INTER_AREA)
        self._cover_chroma = np.repeat(small, 2, axis=1).astype(np.uint16)

    def onto(self, frame: Planes, persona: Planes) -> None:
        """Draw it into a frame of this shape, in place."""
        small = _resized(persona, self._side, self._side)
        for plane, over, cover, y in (
            (frame.luma, small.luma, self._cover, self._y),
            (frame.chroma, small.chroma, self._cover_chroma, self._y // 2),
        ):
            under = plane[y : y + len(over), self._x : self._x + self._side]
            under[:] = (under * (255 - cover) + over * cover) // 255


def _cut(frame: Planes, x: int, y: int, width: int, height: int) -> Planes:
    luma = frame.luma[y : y + height, x : x + width]
    return Planes(luma, frame.chroma[y // 2 : (y + height) // 2, x : x + width])


def _resized(frame: Planes, width: int, height: int) -> Planes:
    """A copy at this size."""
    shrinks = width < frame.luma.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    luma = cv2.resize(frame.luma, (width, height), interpolation=how)
    pairs = np.ascontiguousarray(frame.chroma).reshape(frame.chroma.shape[0], -1, 2)
    chroma = cv2.resize(pairs, (width // 2, height // 2), interpolation=how)
    return Planes(np.ascontiguousarray(luma), np.ascontiguousarray(chroma).reshape(height // 2, width))


def render_shot(
    frames: Iterable[Planes],
    shot: Shot,
    captions: dict[Shape, Captions | None],
    folder: Path,
    told: Callable[[int], object] = lambda _: None,
    corner: Iterable[Planes] | None = None,
) -> dict[Shape, Path]:
    """One video without sound for each shape, of one pass over the frames. told: how many are done.

    corner: frames of the persona, to be seen in a corner.
    """
    paths = {shape: folder / f"{shape}-{shot.number}.mp4" for shape in captions}
    fitting = {shape: Fitting(shape, focus=FOCUS, fill=shot.kind == "clip") for shape in captions}
    files = {shape: ShotFile(path, shape) for shape, path in paths.items()}
    corners = {shape: Corner(shape) for shape in captions} if corner is not None else {}
    beside: Iterable[Planes | None] = repeat(None) if corner is None else corner
    for number, (frame, persona) in enumerate(zip(frames, beside, strict=False)):
        for shape, lettering in captions.items():
            fitted = fitting[shape].fit(frame)
            if persona is not None:
                corners[shape].onto(fitted, persona)
            band = lettering.at((shot.first + number) / FPS) if lettering else None
            if band:
                band.onto(fitted.luma, fitted.chroma)
            files[shape].write(fitted)
        told(number + 1)
    for file in files.values():
        file.close()
    return paths


class ShotFile:
    """A video of one shape, without sound, on its way to a file. Encoded in a thread of its own, beside the drawing."""

    def __init__(self, path: Path, shape: Shape) -> None:
        self._file = av.open(str(path), "w", format="mp4")
        self._stream = _video(self._file, shape)
        self._thread = ThreadPoolExecutor(1)
        self._under_way: deque[Future[None]] = deque()
        self._frames = 0

    def write(self, frame: Planes) -> None:
        """The next frame, of the shape's size."""
        array, number = np.concatenate([frame.luma, frame.chroma]), self._frames
        self._under_way.append(self._thread.submit(self._encode, array, number))
        self._frames += 1
        if len(self._under_way) > _AHEAD:
            self._under_way.popleft().result()

    def _encode(self, array: Pixels, number: int) -> None:
        picture = av.VideoFrame.from_ndarray(array, format="nv12")
        picture.pts, picture.time_base = number, Fraction(1, FPS)
        self._file.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Raises what encoding raised."""
        try:
            for one in self._under_way:
                one.result()
            self._file.mux(self._stream.encode(None))
        finally:
            self._thread.shutdown()
            self._file.close()


def _video(file: av.container.OutputContainer, shape: Shape) -> av.VideoStream:
    width, height = SIZES[shape]
    stream = file.add_stream("libx264", rate=FPS, width=width, height=height, pix_fmt="nv12", options=_X264)
    context = stream.codec_context
    context.time_base = Fraction(1, FPS)
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    return stream


def joined(shots: Iterable[Path], sound: Floats, target: Path) -> None:
    """The shots one after the other and the whole sound, encoded once: pieces of AAC would each begin with silence.

    Index in front, no edit list, which YouTube warns of; the picture begins at 0, as the times may be negative.
    """
    listing = target.with_suffix(".txt")
    listing.write_text("".join(f"file '{path}'\n" for path in shots))
    options = {"movflags": "faststart+negative_cts_offsets", "use_editlist": "0"}
    with (
        av.open(str(listing), "r", format="concat", options={"safe": "0"}) as source,
        av.open(str(target), "w", format="mp4", options=options) as file,
    ):
        video = file.add_stream_from_template(source.streams.video[0])
        audio = file.add_stream("aac", rate=RATE, layout="stereo", bit_rate=_AAC)
        packets = _sound_packets(audio, sound)
        waiting = next(packets, None)
        for packet in source.demux(video=0):
            if packet.dts is None:
                continue
            while waiting is not None and _seconds(waiting) <= _seconds(packet):
                file.mux_one(waiting)
                waiting = next(packets, None)
            packet.stream = video
            file.mux_one(packet)
        while waiting is not None:
            file.mux_one(waiting)
            waiting = next(packets, None)
    listing.unlink()


def largest(seconds: float) -> int:
    """Bytes that a film of this length has at most: at its highest rate, with the encoder's buffer and a manifest."""
    return round((seconds * (_PICTURE + _AAC) + 2 * _PICTURE) / 8) + 2**20


def _seconds(packet: av.Packet[Any]) -> float:
    return float((packet.dts or 0) * (packet.time_base or Fraction(0)))


def _sound_packets(stream: av.AudioStream, sound: Floats) -> Iterator[av.Packet[av.AudioStream]]:
    """From the second block on: the encoder puts one of silence in front, and the film begins with more than that."""
    sound = sound[1024:]
    for at in range(0, len(sound), 1024):
        block = np.ascontiguousarray(sound[at : at + 1024], np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([block, block]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)
