"""Pictures that take minutes or gigabytes to decode, lie about themselves, or are none."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, PngImagePlugin

from tests.attacks import Attack, Target


def scans(portrait: bytes) -> bytes:
    """A progressive JPEG whose last scan is repeated four thousand times."""
    out = io.BytesIO()
    Image.open(io.BytesIO(portrait)).convert("RGB").save(out, "JPEG", progressive=True, quality=60)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 4000 + b"\xff\xd9"


def plain(width: int, height: int) -> bytes:
    """A PNG of one colour: 40 megapixels in some kilobytes."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packed = zlib.compressobj(9)
    row = b"\0" + bytes(width * 4)
    rows = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", rows) + part(b"IEND", b"")


def _saved(kind: str, **options: object) -> bytes:
    """Noise of 256 pixels, in a format."""
    noise = np.random.default_rng(1).integers(0, 255, (256, 256, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, kind, **options)
    return out.getvalue()


def attacks(target: Target) -> Iterator[Attack]:
    png, jpeg = _saved("PNG"), _saved("JPEG")
    note = PngImagePlugin.PngInfo()
    note.add_text("face", "[" * 20_000)
    squeezed = PngImagePlugin.PngInfo()
    squeezed.add_text("face", "9" * 5_000_000, zip=True)
    pictures = {
        "nothing": b"",
        "text": b"hello",
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        "thousands of scans": scans(png),
        "forty megapixels of one colour": plain(8000, 5000),
        "a strip": plain(128, 60_000),
        "a line": plain(60_000, 1),
        "noise": png,
        "noise in JPEG": jpeg,
        "one pixel": plain(1, 1),
        "PNG cut": png[: len(png) // 2],
        "PNG, head alone": png[:33],
        "PNG, wrong checksum": png[:40] + b"\0" + png[41:],
        "PNG that claims 2^31 pixels": png[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + png[24:],
        "PNG that claims no pixels": png[:16] + struct.pack(">II", 0, 0) + png[24:],
        "PNG with a note of brackets": _saved("PNG", pnginfo=note),
        "PNG with a note that unpacks to megabytes": _saved("PNG", pnginfo=squeezed),
        "JPEG cut": jpeg[: len(jpeg) // 2],
        "JPEG, head alone": jpeg[:20],
        "JPEG that claims 65,535 pixels": jpeg.replace(b"\x01\x00\x01\x00\x03", b"\xff\xff\xff\xff\x03", 1),
        "GIF": _saved("GIF"),
        "BMP": _saved("BMP"),
        "TIFF": _saved("TIFF"),
        "WebP cut": _saved("WEBP")[:100],
        "two in one": png + jpeg,
        "zeros": bytes(100_000),
        "a head of PNG before JPEG": png[:8] + jpeg,
    }
    for name, data in pictures.items():
        where = f"/v1/personas/{target.persona}/portrait?consent=true"
        yield Attack("pictures", name, "PUT", where, (413, 422), content=data)
