"""What can be seen from outside: one JSON line per request and per provider call, and spans of both.

{"event": "request", "function": "talk", "route": "/v1/talk/{public}", "status": 200, "ms": 1234, "job": "<row>"}
{"event": "call", "provider": "anthropic", "operation": "messages", "outcome": "ok", "ms": 480, "job": "<row>"}

Lines hold no header, no body, no query, no text of a person; of an unexpected error they hold its type and the places
it passed, not its message. Spans leave by OTLP over HTTP when OTEL_EXPORTER_OTLP_ENDPOINT is set; each line of an error
is one too, with the job, its stage and what was raised, so that a monitor that takes OTLP can tell of it.
"""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any

from opentelemetry import trace
from pythonjsonlogger.json import JsonFormatter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("personaforge.telemetry")
tracer = trace.get_tracer("personaforge")


@dataclass
class Subject:
    """What is being worked on; one for each request, shared with the tasks that it starts. stage: of a project."""

    job: str = ""
    stage: str = ""


_subject: ContextVar[Subject] = ContextVar("subject")


def set_job(job: str) -> None:
    """Name the prediction (its row) that all that follows in this request is about."""
    if (subject := _subject.get(None)) is None:
        _subject.set(Subject(job))
    else:
        subject.job = job
    trace.get_current_span().set_attribute("personaforge.job", job)


def set_stage(stage: str) -> None:
    """Name the stage of the project that is being worked on."""
    if subject := _subject.get(None):
        subject.stage = stage


def _job() -> str:
    subject = _subject.get(None)
    return subject.job if subject else ""


class _Lines(JsonFormatter):
    """Errors without their messages: those may quote what a person wrote."""

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        return _places(ei[1])


def _places(error: BaseException | None) -> str:
    found = []
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        found.append(type(error).__name__ + "".join(f" <- {one.filename}:{one.lineno}" for one in reversed(frames)))
        error = error.__cause__ or error.__context__
    return " | ".join(found)


class _Errors(logging.Handler):
    """Sends each line of an error as a span with an exception event, as monitors expect them."""

    def emit(self, record: logging.LogRecord) -> None:
        subject = _subject.get(None) or Subject()
        error = record.exc_info[1] if record.exc_info else None
        named = {
            "personaforge.job": subject.job,
            "personaforge.stage": subject.stage,
            "personaforge.logger": record.name,
        }
        span = tracer.start_span("error", attributes=named)
        kind = type(error).__name__ if error else getattr(record, "code", "error")
        span.add_event("exception", {"exception.type": kind, "exception.stacktrace": _places(error)})
        span.set_status(trace.StatusCode.ERROR, outcome_of(error) if error else kind)
        span.end()


def _name_the_job(record: logging.LogRecord) -> bool:
    record.job = _job()
    return True


def configure() -> None:
    """Once per process; more often does no harm."""
    root = logging.getLogger("personaforge")
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.addFilter(_name_the_job)
        handler.setFormatter(
            _Lines("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields={"message": "event"})
        )
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        root.propagate = False
    if _exports() and not hasattr(trace.get_tracer_provider(), "add_span_processor"):
        _export()


def _exports() -> bool:
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(os.environ.get(name) for name in names)


def _export() -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "personaforge"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    logging.getLogger("personaforge").addHandler(_Errors(logging.ERROR))


def flush() -> None:
    """Send what is waiting: a container may be frozen or gone a moment later."""
    if sent := getattr(trace.get_tracer_provider(), "force_flush", None):
        sent(2000)


@contextmanager
def span(provider: str, operation: str) -> Iterator[trace.Span]:
    """Around one request to somebody else: a span, marked with the error that ended it."""
    attributes = {"server.address": provider, "personaforge.operation": operation, "personaforge.job": _job()}
    span = tracer.start_span(f"{provider} {operation}", kind=trace.SpanKind.CLIENT, attributes=attributes)
    try:
        yield span
    except BaseException as error:
        if not isinstance(error, GeneratorExit):  # a listener who left is not the provider's failure
            span.set_status(trace.StatusCode.ERROR, outcome_of(error))
        raise
    finally:
        span.end()


@contextmanager
def call(provider: str, operation: str, *, polls: bool = False) -> Iterator[None]:
    """Around one request to a provider: a span and a line. polls: repeated by waiting clients, so that one that went
    well has no line."""
    started, outcome = time.perf_counter(), "ok"
    try:
        with span(provider, operation):
            yield
    except BaseException as error:
        outcome = outcome_of(error)
        raise
    finally:
        ms = round((time.perf_counter() - started) * 1000)
        level = logging.DEBUG if polls and outcome == "ok" else logging.INFO
        log.log(level, "call", extra={"provider": provider, "operation": operation, "outcome": outcome, "ms": ms})


def outcome_of(error: BaseException) -> str:
    """The error's code, or its type."""
    return getattr(error, "code", "") or type(error).__name__


class Observed:
    """Middleware: the line of each request. Its span is made by FastAPI itself.

    polled: a route that waiting clients ask every second, so that a GET that went well has no line.
    """

    def __init__(self, app: ASGIApp, function: str, polled: str = "") -> None:
        self._app, self._function, self._polled = app, function, polled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        token = _subject.set(Subject())
        started, seen = time.perf_counter(), {"status": 0, "first_byte_ms": 0}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                seen["first_byte_ms"] = round((time.perf_counter() - started) * 1000)
            await send(message)

        try:
            return await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "") or "(none)"
            fields: dict[str, Any] = {"function": self._function, "method": scope["method"], "route": route, **seen}
            polled = route == self._polled and scope["method"] == "GET" and seen["status"] == HTTPStatus.OK
            fields["ms"] = round((time.perf_counter() - started) * 1000)
            log.log(logging.DEBUG if polled else logging.INFO, "request", extra=fields)
            _subject.reset(token)
