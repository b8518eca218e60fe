"""Uploaded sound, decoded within limits; sound for others, as WAV."""

from __future__ import annotations

import tempfile
import wave
from fractions import Fraction
from io import BytesIO
from itertools import chain
from pathlib import Path

import numpy as np

from shared.core.errors import AudioUnusable
from shared.media.types import RATE, Samples

RATES = (8_000, 192_000)  # samples a second: from telephones to studios
CHANNELS = 8
LONGEST = 35  # seconds, what hosted models take

# A third of the time of FFmpeg's default coder (4.9 ms, not 14, for a second of speech), and nearer to the original.
AAC_OPTIONS = {"aac_coder": "fast"}

# The first bytes name the only decoder that is tried: some containers of FFmpeg would open other addresses.
_FORMATS = {b"RIFF": "wav", b"ID3": "mp3", b"\xff\xfb": "mp3", b"\xff\xf3": "mp3", b"OggS": "ogg", b"fLaC": "flac"}


def decode_audio(data: bytes, longest: float = LONGEST) -> Samples:
    """Decode WAV, MP3, Ogg, FLAC or M4A to 16-bit mono samples at 24 kHz. longest: seconds. Raises AudioUnusable."""
    import av

    name = next((name for magic, name in _FORMATS.items() if data.startswith(magic)), None)
    name = "mov" if data[4:8] == b"ftyp" else name
    if name is None:
        raise AudioUnusable("The file is not a WAV, MP3, Ogg, FLAC or M4A sound.")
    blocks: list[Samples] = []
    count = 0
    try:
        with av.open(BytesIO(data), "r", format=name) as file:
            if not file.streams.audio:
                raise AudioUnusable("There is no sound in this file.")
            stream = file.streams.audio[0]
            if not stream.codec_context:  # typed as if it were always there
                raise AudioUnusable("The sound is in a format that is not known. Save it as WAV and retry.")
            _check(stream.codec_context.sample_rate, stream.codec_context.channels)
            if stream.duration and stream.time_base and stream.duration * stream.time_base > 2 * longest:
                raise AudioUnusable(f"The sound is longer than {longest} s.")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for frame in chain(file.decode(stream), [None]):  # None: what the resampler still holds
                if frame:
                    _check(frame.sample_rate, frame.layout.nb_channels)
                for part in resampler.resample(frame):
                    blocks.append(part.to_ndarray()[0].astype(np.int16))
                    count += len(blocks[-1])
                if count > longest * RATE:
                    raise AudioUnusable(f"The sound is longer than {longest} s.")
    except (av.FFmpegError, ValueError) as error:
        raise AudioUnusable("The sound is damaged and cannot be decoded. Save it anew and retry.") from error
    if not count:
        raise AudioUnusable("There is no sound in this file.")
    return np.concatenate(blocks)


def _check(rate: int, channels: int) -> None:
    """Before samples are made of it: at 1 Hz a second becomes hours, at 100 MHz an instant takes gigabytes."""
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioUnusable(f"The sound has {rate} samples a second; between {RATES[0]} and {RATES[1]} are accepted.")
    if not 1 <= channels <= CHANNELS:
        raise AudioUnusable(f"The sound has {channels} channels; at most {CHANNELS} are accepted.")


def encode_wav(samples: Samples) -> bytes:
    """16-bit mono samples at 24 kHz as a WAV file."""
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return out.getvalue()


def encode_m4a(samples: Samples) -> bytes:
    """16-bit mono samples at 24 kHz as an M4A (AAC), its index in front."""
    import av

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out.m4a")
        with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
            stream = file.add_stream("aac", rate=RATE, layout="mono", bit_rate=64_000, options=AAC_OPTIONS)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            for part in (frame, None):
                for packet in stream.encode(part):
                    file.mux_one(packet)
        return path.read_bytes()
