"""Live fragmented MP4 (H.264 and AAC), for MSE and for keeping: bytes leave while frames are still made."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from shared.media.audio import AAC_OPTIONS
from shared.media.types import FPS, PER_FRAME, RATE, Pixels, Samples

MIME = 'video/mp4; codecs="avc1.4d4020, mp4a.40.2"'


def mime(beginning: bytes) -> str:
    """Of one of our fragmented MP4s, with its codecs, as Media Source Extensions want it; without where unknown."""
    at = beginning.find(b"avcC")  # then a version, and profile, constraints and level: ISO/IEC 14496-15, 5.3.3.1
    if at < 0 or len(beginning) < at + 8:
        return "video/mp4"
    return f'video/mp4; codecs="avc1.{beginning[at + 5 : at + 8].hex()}, mp4a.40.2"'


_AUDIO_LEAD = 5  # frames that encoded sound stays ahead of the picture
LEAD_IN = 2  # frames of silence first: the AAC encoder's first 1024 samples come out distorted


class _Pipe:
    """A file object that can only be written to."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def write(self, data: bytes) -> int:
        self._write(bytes(data))
        return len(data)


class FragmentedMp4:
    """Encodes NV12 frames and 16-bit mono samples; hands finished bytes to `write` from the calling thread.

    The header (ftyp, moov) leaves at once, then a fragment every two frames. Give sound before the frames it
    belongs to. Not for use from two threads at once.
    """

    def __init__(self, size: int, write: Callable[[bytes], object]) -> None:
        self._container = av.open(
            _Pipe(write),
            "w",
            format="mp4",
            options={"movflags": "empty_moov+default_base_moof", "frag_duration": "80000"},
        )
        self._video = self._container.add_stream(
            "libx264",
            rate=FPS,
            width=size,
            height=size,
            pix_fmt="nv12",
            options={
                "preset": "superfast",
                "tune": "zerolatency",
                "profile": "main",
                "crf": "22",
                "threads": "1",
            },
        )
        _tag(self._video.codec_context)
        self._audio = self._container.add_stream("aac", rate=RATE, layout="mono", bit_rate=64_000, options=AAC_OPTIONS)
        self._container.start_encoding()
        self.frames = 0
        self._last: Pixels | None = None
        self._audio_samples = 0
        self._waiting: deque[Samples] = deque()

    def add_audio(self, samples: Samples) -> None:
        """Append 16-bit mono samples at 24 kHz. They are encoded shortly before their frames."""
        self._waiting.append(samples)

    def add_frame(self, nv12: Pixels) -> None:
        """Append a frame, (height * 3 / 2, width); the array must not change afterwards.

        The same array a second time costs nothing: its picture is shown for 80 ms. Not a third time, as players of
        fragments take a longer frame for a gap.
        """
        self._encode_audio_until((self.frames + _AUDIO_LEAD) * PER_FRAME)
        if nv12 is self._last:
            self._last = None
            self.frames += 1
            return
        self._last = nv12
        frame = av.VideoFrame.from_numpy_buffer(nv12, format="nv12")
        frame.pts, frame.time_base = self.frames, Fraction(1, FPS)
        self.frames += 1
        for packet in self._video.encode(frame):
            self._container.mux_one(packet)

    def close(self) -> None:
        """Write what is left. The file is complete afterwards."""
        self._encode_audio_until(None)
        for packet in self._audio.encode(None):
            self._mux_audio(packet)
        for packet in self._video.encode(None):
            self._container.mux_one(packet)
        self._container.close()

    def _encode_audio_until(self, sample: int | None) -> None:
        """Encode waiting sound up to a sample; the muxer holds a picture back until later sound is there."""
        while self._waiting and (sample is None or self._audio_samples < sample):
            samples = self._waiting.popleft()
            most = len(samples) if sample is None else sample - self._audio_samples
            if len(samples) > most:
                self._waiting.appendleft(samples[most:])
                samples = samples[:most]
            if not len(samples):
                continue
            block = np.ascontiguousarray(samples)[None]
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, self._audio_samples, Fraction(1, RATE)
            self._audio_samples += len(samples)
            for packet in self._audio.encode(frame):
                self._mux_audio(packet)

    def _mux_audio(self, packet: av.Packet[av.AudioStream]) -> None:
        # The packet before zero only primes a decoder; kept, it would shift sound against picture.
        if packet.pts is not None and packet.pts >= 0:
            self._container.mux_one(packet)


def _tag(context: av.VideoCodecContext) -> None:
    """What every video of ours says of itself: colours as nv12.py writes them; untagged, browsers guess by the size."""
    context.time_base = Fraction(1, FPS)
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.gop_size = 2 * FPS
    context.max_b_frames = 0


def loop(frames: Iterable[Pixels], size: int, count: int) -> bytes:
    """`count` square NV12 frames as an MP4 that players repeat without a seam: no sound, no B-frames, no edit list.

    Its first frame is the only one that is coded whole. It is coded finely, and so are the last ones, so that they
    agree: at one quality throughout, a photo's grain changes at the seam more than anywhere else.
    """
    zones = [(0, 0, 12)]  # first frame, last frame, quantizer
    zones += [(count - back, count - back + 3, quantizer) for back, quantizer in ((16, 18), (12, 16), (8, 14), (4, 12))]
    quality = "/".join(f"{first},{last},q={quantizer}" for first, last, quantizer in zones)
    encoder = {"preset": "veryfast", "profile": "main", "crf": "19", "threads": "1", "x264-params": f"zones={quality}"}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "out.mp4")
        options = {"movflags": "faststart", "use_editlist": "0"}
        with av.open(str(target), "w", format="mp4", options=options) as file:
            stream = file.add_stream("libx264", rate=FPS, width=size, height=size, pix_fmt="nv12", options=encoder)
            _tag(stream.codec_context)
            stream.codec_context.gop_size = count
            for number, nv12 in enumerate(frames):
                frame = av.VideoFrame.from_numpy_buffer(nv12, format="nv12")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        return target.read_bytes()


def first_frame(video: bytes) -> Pixels:
    """As a player shows it: BGR (height, width, 3). Raises ValueError when it is no video."""
    from shared.media.nv12 import from_nv12  # OpenCV, which nothing else here needs

    try:
        with av.open(BytesIO(video), "r") as file:
            frame = next(file.decode(file.streams.video[0]))
            if frame.colorspace == Colorspace.ITU709:
                return from_nv12(np.asarray(frame.to_ndarray(format="nv12"), np.uint8))
            return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    except (av.FFmpegError, StopIteration, IndexError) as error:
        raise ValueError("this is no video") from error


def seekable(fragments: bytes) -> bytes:
    """The same packets as an ordinary MP4, its index in front, so that any player knows length and can seek."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.mp4"), Path(folder, "out.mp4")
        source.write_bytes(fragments)
        with (
            av.open(str(source)) as old,
            av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as new,
        ):
            streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
            for packet in old.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    new.mux_one(packet)
        return target.read_bytes()


def duration(video: bytes) -> float | None:
    """Seconds of a video, or None when its file does not say."""
    try:
        with av.open(BytesIO(video), "r") as file:
            return round(file.duration / av.time_base, 3) if file.duration else None
    except av.FFmpegError:
        return None
