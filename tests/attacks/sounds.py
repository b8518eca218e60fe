"""Sounds that claim what they are not, inline in a prediction."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Iterator

import numpy as np

from tests.attacks import Attack, Target


def wav(rate: int, samples: int = 1000) -> bytes:
    data = bytes(samples * 2)
    fmt = struct.pack("<HHIIHH", 1, 1, rate, (rate * 2) & 0xFFFFFFFF, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def flac(rate: int) -> bytes:
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="flac") as file:
        stream = file.add_stream("flac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        for one in (frame, None):
            for packet in stream.encode(one):
                file.mux_one(packet)
    data = bytearray(out.getvalue())
    found = data.index(b"fLaC") + 8 + 10  # in STREAMINFO: 20 bits of samples a second
    data[found : found + 3] = struct.pack(">I", rate << 4 | data[found + 2] & 15)[1:]
    return bytes(data)


def attacks(target: Target) -> Iterator[Attack]:
    whole = wav(24_000, 24_000)
    sounds = {
        "nothing": b"",
        "head alone": whole[:44],
        "head cut": whole[:20],
        "100 MHz": wav(100_000_000),
        "0 Hz": wav(0),
        "1 Hz": wav(1),
        "FLAC at 1 Hz": flac(1),
        "more channels than there are ears": whole[:22] + struct.pack("<H", 60_000) + whole[24:],
        "no channels": whole[:22] + struct.pack("<H", 0) + whole[24:],
        "an unknown code": whole[:20] + struct.pack("<H", 0xFFFF) + whole[22:],
        "7 bits": whole[:34] + struct.pack("<H", 7) + whole[36:],
        "longer than the file": whole[:40] + struct.pack("<I", 2**32 - 1) + whole[44:],
        "40 s": wav(2000, 80_000),
        "MP3 of zeros": b"ID3" + bytes(5000),
        "MP3 with a tag of gigabytes": b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(5000),
        "Ogg of zeros": b"OggS" + bytes(5000),
        "FLAC of zeros": b"fLaC" + bytes(5000),
        "MP4 of zeros": bytes(4) + b"ftypM4A " + bytes(5000),
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(500),
        "a playlist": b"#EXTM3U\nhttp://127.0.0.1:9/a.ts\n",
        "a list of files": b"ffconcat version 1.0\nfile /etc/passwd\n",
    }
    for name, data in sounds.items():
        given = {"persona": target.persona, "audio": f"data:audio/wav;base64,{base64.b64encode(data).decode()}"}
        statuses = (201, 422)  # some of what is claimed can be ignored
        yield Attack("sounds", name, "POST", "/v1/predictions", statuses, json={"model": "lipsync", "input": given})
