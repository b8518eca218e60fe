"""Text that people send."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("the text contains a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the text contains half of a surrogate pair, which is no character")
    return text


Text = Annotated[str, AfterValidator(_storable)]  # what Postgres keeps and UTF-8 writes
