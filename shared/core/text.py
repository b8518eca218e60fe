"""Text that people send."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("the text contains a NUL character")
    return text


Text = Annotated[str, AfterValidator(_storable)]  # Postgres cannot keep a NUL in a text
