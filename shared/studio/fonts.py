"""Fonts that have the glyphs of a text: Source Sans for Latin, Greek and Cyrillic, else what is installed here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import font_source_sans_pro
from PIL import ImageFont, features

# Where systems keep fonts; the producer's image has Noto's (shared/core/containers.py).
_FOLDERS = {
    "linux": ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": (f"{os.environ.get('WINDIR', 'C:/Windows')}/Fonts",),
}
# Upright, bold before regular, one family before another: names as their makers write them.
_PREFERRED = ("NotoSans", "DejaVuSans", "DroidSans", "Arial", "Segoe", "PingFang", "Hiragino")
_LEFT_OUT = ("Italic", "Oblique", "Mono", "Serif", "Condensed", "Light", "Thin", "Emoji", "Symbol", "Math", "Medium")
OWN = f"{font_source_sans_pro.font_directory}/SourceSansPro-Bold.ttf"
_PROBE = 40  # pixels at which glyphs are compared


def font(text: str, size: int) -> ImageFont.FreeTypeFont | None:
    """The first font with a glyph for every character of this text; None where no single one has all."""
    path = _covering(frozenset(text) - {" "})
    return None if path is None else opened(path, size)


def missing(text: str) -> str:
    """The characters of the words that could not be drawn here, each once: no font has them, or nothing joins them."""
    shaped = "".join(dict.fromkeys(one for one in text if _is_shaped(one)))
    if shaped and not features.check("raqm"):  # Arabic unjoined and backwards, Devanagari without its ligatures
        return shaped
    lost = [one for word in set(text.split()) if font(word, _PROBE) is None for one in word]
    return "".join(dict.fromkeys(one for one in lost if font(one, _PROBE) is None)) or "".join(dict.fromkeys(lost))


def _is_shaped(character: str) -> bool:
    """Of a script whose letters change by their neighbours, or run from right to left: Hebrew to Khmer in Unicode."""
    return "\u0590" <= character <= "\u17ff" and not "\u10a0" <= character <= "\u16ff"


@lru_cache(4096)
def _covering(characters: frozenset[str]) -> str | None:
    return next((path for path in (OWN, *_installed()) if all(_has(path, one) for one in characters)), None)


@lru_cache(65536)
def _has(path: str, character: str) -> bool:
    """A missing glyph is drawn as the one of a character that no font has."""
    found = opened(path, _PROBE)
    try:
        drawn, nothing = (found.getmask(one, mode="L") for one in (character, "\U0010ffff"))
    except OSError:
        return False
    return drawn.size != nothing.size or bytes(drawn) != bytes(nothing)


@lru_cache(1)
def _installed() -> tuple[str, ...]:
    folders = [Path(folder).expanduser() for folder in _FOLDERS.get(sys.platform, _FOLDERS["linux"])]
    files = [path for folder in folders if folder.is_dir() for path in sorted(folder.rglob("*.[ot]t[fc]"))]
    return tuple(str(path) for path in sorted(_upright(files), key=_rank))


def _upright(files: Iterable[Path]) -> Iterable[Path]:
    return (path for path in files if not any(word in path.stem for word in _LEFT_OUT))


def _rank(path: Path) -> tuple[int, bool, str]:
    family = next((place for place, name in enumerate(_PREFERRED) if path.stem.startswith(name)), len(_PREFERRED))
    return family, "Bold" not in path.stem, path.name


@lru_cache(256)
def opened(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)
