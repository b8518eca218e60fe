"""Videos as tests see them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import av
import numpy as np


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
