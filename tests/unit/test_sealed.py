"""What is sealed opens with the same key for the same thing, and for nothing else."""

from __future__ import annotations

import base64

import pytest

from shared.core.errors import SettingInvalid
from shared.core.sealed import seal, unseal

KEY, ABOUT = "a long random string", "channel 1 UC1"


def test_what_is_sealed_opens_again() -> None:
    """Each time it looks another way, and never like the text."""
    one, other = (seal(KEY, "1//refresh", ABOUT) for _ in range(2))
    assert one != other
    assert b"refresh" not in base64.b64decode(one)
    assert unseal(KEY, one, ABOUT) == unseal(KEY, other, ABOUT) == "1//refresh"


@pytest.mark.parametrize(
    ("key", "about", "change"),
    [("another key", ABOUT, 0), (KEY, "channel 2 UC1", 0), (KEY, ABOUT, 1), (KEY, ABOUT, -1)],
)
def test_it_opens_for_nothing_else(key: str, about: str, change: int) -> None:
    """Another key, another row, a changed or a cut text: an error that says what to do, without the text."""
    data = bytearray(base64.b64decode(seal(KEY, "1//refresh", ABOUT)))
    if change > 0:
        data[-1] ^= 1
    sealed = base64.b64encode(bytes(data[:change] if change < 0 else data)).decode()
    with pytest.raises(SettingInvalid, match="Connect the account anew"):
        unseal(key, sealed, about)


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "é"])
def test_what_was_never_sealed_is_the_same_error(text: str) -> None:
    """A row that somebody wrote by hand."""
    with pytest.raises(SettingInvalid):
        unseal(KEY, text, ABOUT)
