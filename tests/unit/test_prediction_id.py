"""A prediction's id: signed, and spelled in one way only."""

from __future__ import annotations

from uuid import uuid4

import pytest

from shared.core.errors import NotFound
from shared.predictions.id import PredictionId

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize("provider", ["", "a", "ab", "job-1"])
def test_whatever_character_is_changed_it_is_another_id(provider: str) -> None:
    """The last one too, some of whose bits are no part of the bytes."""
    identity = PredictionId(uuid4(), uuid4(), 0, 1_790_000_000, 1_790_000_120, provider)
    public = identity.sign("key")
    assert PredictionId.read(public, "key") == identity
    for place in (0, len(public) // 2, len(public) - 1):
        for other in set(ALPHABET) - {public[place]}:
            with pytest.raises(NotFound):
                PredictionId.read(public[:place] + other + public[place + 1 :], "key")
    for changed in (public + "=", public + "\n", f" {public}", public[:-1]):
        with pytest.raises(NotFound):
            PredictionId.read(changed, "key")
