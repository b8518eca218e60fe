"""Videos as tests see them."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import av
import numpy as np


def split_stream(data: bytes) -> tuple[bytes, list[tuple[str, float, float]]]:
    """A talk's stream without its events, and the words that those carry: (word, start, end)."""
    video, words, at = bytearray(), [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        box, at = data[at : at + size], at + size
        if box[4:8] != b"emsg":
            video += box
            continue
        scheme, _, message = box[32:].decode().split("\0")
        assert scheme == "urn:personaforge:words"
        words += [(word, start, end) for word, start, end in json.loads(message)]
    return bytes(video), words


class Decoded:
    """A video decoded again: frames (n, height, width, 3) RGB, samples mono in -1..1, and the stream's times."""

    def __init__(self, data: bytes | Path) -> None:
        source = BytesIO(data) if isinstance(data, bytes) else str(data)
        with av.open(source, "r") as file:
            video, audio = file.streams.video[0], file.streams.audio[0]
            self.codecs = (video.codec_context.name, audio.codec_context.name)
            self.rate, self.fps = audio.codec_context.sample_rate, float(video.average_rate or 0)
            frames, sound, self.first_video, self.first_audio = [], [], None, None
            for frame in file.decode(video, audio):
                if isinstance(frame, av.VideoFrame):
                    self.first_video = frame.time if self.first_video is None else self.first_video
                    frames.append(frame.to_ndarray(format="rgb24"))
                elif isinstance(frame, av.AudioFrame):
                    self.first_audio = frame.time if self.first_audio is None else self.first_audio
                    sound.append(frame.to_ndarray().mean(axis=0))
        self.frames, self.samples = np.stack(frames), np.concatenate(sound)

    @property
    def video_seconds(self) -> float:
        return len(self.frames) / self.fps

    @property
    def audio_seconds(self) -> float:
        return len(self.samples) / self.rate
