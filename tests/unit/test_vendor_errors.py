"""Each vendor's exceptions are translated once, in its adapter, and none is forgotten."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import anthropic
import elevenlabs.core.api_error
import elevenlabs.core.parse_error
import elevenlabs.errors
import grpclib.exceptions
import httpx
import httpx2
import modal.exception
import pytest
import replicate.exceptions

from shared.core.errors import (
    DatabaseNotMigrated,
    ForgeError,
    InvalidInput,
    NotFound,
    OutOfCredits,
    ProviderBusy,
    ProviderFailed,
    ProviderRefused,
    ProviderTimeout,
    StoreUnavailable,
)
from shared.core.store import translate as translate_database
from shared.providers import anthropic as claude
from shared.providers import elevenlabs as voice
from shared.providers import modal as functions
from shared.providers import replicate as hosted


def classes(*modules: ModuleType, base: type[Exception] = Exception) -> Iterator[type[Exception]]:
    """Every exception class of these modules, without warnings."""
    for module in modules:
        for _, found in inspect.getmembers(module, inspect.isclass):
            if issubclass(found, base) and not issubclass(found, Warning):
                yield found


def instance(kind: type[Exception]) -> Exception:
    """One as an SDK raises it: status 500 and an answer, where it has such."""
    error = kind.__new__(kind)
    response = httpx.Response(500, headers={"retry-after": "2"}, request=httpx.Request("POST", "https://example.com"))
    known: dict[str, Any] = {
        "status": 500, "status_code": 500, "type": "api_error", "response": response, "body": None, "headers": {},
        "title": "Internal", "detail": "Broken", "message": "Broken",
    }  # fmt: skip
    for name, value in known.items():
        try:
            setattr(error, name, value)
        except AttributeError:  # a property without a setter
            continue
    return error


CONNECTION = (asyncio.TimeoutError, ValueError)
CASES: list[tuple[Callable[[Exception], ForgeError], type[Exception]]] = list(
    dict.fromkeys(  # in one order, so that processes that share the tests agree on them
        (translate, kind)
        for translate, kinds in (
            (claude.translate, (*classes(anthropic, base=anthropic.AnthropicError), *classes(httpx2))),
            (
                voice.translate,
                (*classes(elevenlabs.errors, elevenlabs.core.api_error, elevenlabs.core.parse_error), *classes(httpx)),
            ),
            (hosted.translate, (*classes(replicate.exceptions), *classes(httpx))),
            (functions.translate, (*classes(modal.exception, grpclib.exceptions), OSError, TimeoutError)),
        )
        for kind in kinds
    )
)


@pytest.mark.parametrize(("translate", "kind"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_no_exception_of_a_vendor_is_unmapped(translate: Callable[[Exception], ForgeError], kind: type) -> None:
    """Each becomes a failure of that provider, with words and without what the vendor wrote."""
    error = translate(instance(kind))
    assert isinstance(error, ProviderFailed), kind
    assert error.detail
    assert "Broken" not in error.detail


def test_the_walk_finds_the_vendors_classes() -> None:
    """It would notice that an SDK has moved them."""
    counts = {translate: sum(1 for one, _ in CASES if one is translate) for translate, _ in CASES}
    assert counts[claude.translate] > 40
    assert counts[voice.translate] > 20
    assert counts[hosted.translate] > 20
    assert counts[functions.translate] > 25


def test_what_is_not_the_vendors_is_our_bug() -> None:
    """A mistake of ours is not said to be theirs."""
    for translate in (claude.translate, voice.translate, hosted.translate):
        error = translate(RuntimeError("a bug"))
        assert (type(error), error.status) == (ForgeError, 500)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (modal.exception.ResourceExhaustedError("x"), ProviderBusy),
        (modal.exception.AuthError("x"), ProviderRefused),
        (modal.exception.ConnectionError("x"), ProviderFailed),
        (modal.exception.FunctionTimeoutError("x"), ProviderTimeout),
        (TimeoutError(), ProviderTimeout),
    ],
)
def test_modals_errors_say_what_to_do(error: Exception, kind: type[ForgeError]) -> None:
    """Busy may be repeated, a refused token not."""
    assert type(functions.translate(error)) is kind


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("PT404", "no such persona", NotFound),
        ("PT402", "too little", OutOfCredits),
        ("22P02", "", InvalidInput),
        ("42501", 'new row violates row-level security policy for table "personas"', NotFound),
        ("42501", "permission denied for table personas", ForgeError),
        ("42P01", "", DatabaseNotMigrated),
        ("PGRST202", "", DatabaseNotMigrated),
        ("PGRST205", "", DatabaseNotMigrated),
        ("57014", "", StoreUnavailable),
        ("08006", "", StoreUnavailable),
        ("53300", "", StoreUnavailable),
        ("PGRST002", "", StoreUnavailable),
        ("502", "Bad gateway", StoreUnavailable),
        ("404", "Not found", ForgeError),
        ("22003", "integer out of range", ForgeError),
        ("PT500", "owner has no account", ForgeError),
        ("XX000", "", ForgeError),
    ],
)
def test_what_the_database_refuses_is_told_apart(code: str, message: str, kind: type[ForgeError]) -> None:
    """The caller's mistake, an outage, missing migrations; and what nobody foresaw is our bug, 500."""
    error = translate_database(code, message)
    assert type(error) is kind
    assert "permission denied" not in error.detail
