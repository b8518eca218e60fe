"""What an operator sees of a talk: lines and spans with the job's id, and nothing of what was said."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from local.stack import Stack
from tests.support import finished, forked
from tests.support.container import Container
from tests.support.operator import rest, row_of
from tests.support.person import Person
from tests.support.receiver import Receiver

pytestmark = pytest.mark.slow

SAID = "Tell me about the zygodactyl woodpecker."


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def seen(stack: Stack, person: Person, portrait_png: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A talk with one repeated call, a refused request, and a stopped container: its log, its spans, its row."""
    collector = Receiver()
    persona = person.persona(portrait_png)
    log = tmp_path_factory.mktemp("seen") / "container.log"
    container = Container(stack, log, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="200")
    try:
        what = {"path": "/v1", "status": 529}
        httpx.post(f"{stack.addresses['anthropic']}/_faults", json=what, trust_env=False).raise_for_status()
        with container.client(person) as http:
            body = {"model": "talk", "stream": True, "input": {"persona": persona["id"], "message": SAID}}
            job = http.post("/v1/predictions", json=body).raise_for_status().json()
            http.get(job["urls"]["stream"]).raise_for_status()
            assert http.get(job["urls"]["get"]).status_code == 200
            assert http.get("/v1/predictions/nothing").status_code == 404
        container.process.send_signal(signal.SIGTERM)
        container.process.wait(15)
    finally:
        container.close()
        collector.close()
    spans = []
    for request in collector.seen:
        sent = ExportTraceServiceRequest.FromString(request.body)
        spans += [span for group in sent.resource_spans for scope in group.scope_spans for span in scope.spans]
    return {"log": log, "spans": spans, "row": row_of(stack, persona)}


def test_each_request_and_each_call_of_a_provider_is_one_line_with_the_job(seen: dict[str, Any]) -> None:
    """What took how long and how it went; a failed attempt stands there too."""
    row = seen["row"]["id"]
    found = [line for line in lines(seen["log"]) if line["job"] == row]
    requests = [(line["function"], line["route"], line["status"]) for line in found if line["event"] == "request"]
    assert requests == [("create prediction", "/v1/predictions", 201), ("talk", "/v1/talk/{public}", 200)]
    polls = [line for line in lines(seen["log"]) if line.get("route") == "/v1/predictions/{public}"]
    assert [line["status"] for line in polls] == [404], "a poll that goes well has no line"
    refused = [line for line in lines(seen["log"]) if line.get("status") == 404]
    assert [(line["route"], line["job"]) for line in refused] == [("/v1/predictions/{public}", "")]
    calls = [(line["provider"], line["operation"], line["outcome"]) for line in found if line["event"] == "call"]
    assert calls[0] == ("anthropic", "messages", "provider_busy")
    assert calls.count(("anthropic", "messages", "ok")) == 1
    assert calls.count(("elevenlabs", "text-to-speech", "ok")) == len(
        seen["row"]["receipt"]["provider_ids"]["elevenlabs"]
    )
    assert all(line["ms"] >= 0 for line in found if line["event"] in ("request", "call"))


def test_a_request_and_its_calls_are_one_trace(seen: dict[str, Any]) -> None:
    """The spans of the vendors lie below the request's, with the job as an attribute."""
    spans = {span.name: span for span in seen["spans"]}
    request = spans["GET /v1/talk/{public}"]
    for name in ("anthropic messages", "elevenlabs text-to-speech"):
        assert spans[name].trace_id == request.trace_id
        job = {one.value.string_value for one in spans[name].attributes if one.key == "personaforge.job"}
        assert job == {seen["row"]["id"]}
    for name in ("supabase rpc claim_prediction", "supabase rpc settle_prediction"):
        assert spans[name].trace_id == request.trace_id
    named = {
        one.value.string_value for span in seen["spans"] for one in span.attributes if one.key == "personaforge.job"
    }
    assert named <= {seen["row"]["id"], ""}  # before it is created it has no id


def test_nothing_of_a_person_and_no_secret_is_in_them(stack: Stack, person: Person, seen: dict[str, Any]) -> None:
    """Not the question, not the answer, no key and no token."""
    written = seen["log"].read_text() + str(seen["spans"])
    secrets = [value for key, value in stack.settings.items() if key.endswith(("_KEY", "_TOKEN", "_SECRET"))]
    answer = seen["row"]["text"]
    for hidden in (*secrets, person.token, "zygodactyl", answer[:40], answer.split(".")[0]):
        assert hidden
        assert hidden not in written


def test_an_unexpected_error_is_logged_by_its_place_not_its_words() -> None:
    """Messages of exceptions may quote what a person wrote: the line has the types and the places instead."""
    from shared.core.telemetry import _Lines

    try:
        try:
            raise ValueError(SAID)
        except ValueError as inner:
            raise KeyError(SAID) from inner
    except KeyError as error:
        shown = _Lines().formatException((KeyError, error, error.__traceback__))
    assert shown.startswith("KeyError <- ")
    assert "| ValueError <- " in shown
    assert __file__ in shown
    assert SAID not in shown


def test_a_project_that_fails_is_an_exception_with_its_job_and_stage(stack: Stack, person: Person) -> None:
    """As a monitor that takes OTLP expects it: a span in error, with an exception event that quotes nobody."""
    collector = Receiver()
    film = finished.film(stack, person, size=1000)
    with rest(stack) as service:
        row = {"project_id": film["id"], "owner": person.id, "channel_id": "UCnowhere", "privacy": "private"}
        service.post(
            "/publications", json={**row, "wanted": {"channel": "UCnowhere", "title": SAID}}
        ).raise_for_status()
        where = {"id": f"eq.{film['id']}"}
        service.patch("/projects", params=where, json={"status": "ready", "stage": "publish"}).raise_for_status()
    forked.call("producer", {**stack.settings, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}, film["id"])
    collector.close()
    sent = [ExportTraceServiceRequest.FromString(request.body) for request in collector.seen]
    spans = [
        span for one in sent for group in one.resource_spans for scope in group.scope_spans for span in scope.spans
    ]
    (error,) = [span for span in spans if span.name == "error"]
    named = {one.key: one.value.string_value for one in error.attributes}
    assert (named["personaforge.job"], named["personaforge.stage"]) == (film["id"], "publish")
    (event,) = error.events
    raised = {one.key: one.value.string_value for one in event.attributes}
    assert (event.name, raised["exception.type"]) == ("exception", "NotFound")
    assert "channel.py" in raised["exception.stacktrace"]
    assert SAID not in str(spans)
    assert person.http.get(f"/v1/projects/{film['id']}").json()["status"] == "failed"
