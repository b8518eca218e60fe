"""Whatever is sent, no endpoint answers with an unexpected error."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks

from local.openapi import document
from local.stack import Stack
from tests.support.person import Person

pytestmark = pytest.mark.slow

SCHEMA: Any = schemathesis.openapi.from_dict(document())
OPERATIONS = [
    pytest.param(operation.ok(), id=f"{operation.ok().method.upper()} {operation.ok().path}")
    for operation in SCHEMA.get_all_operations()
    if "webhooks/replicate" not in operation.ok().path  # takes what Replicate has signed
]
CHECKS = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "not-fitting"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_input_makes_an_endpoint_fail(stack: Stack, person: Person, operation: Any, mode: GenerationMode) -> None:
    """Inputs generated from the OpenAPI document, fitting and not: answers below 500, errors as problem+json."""

    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis.settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def send(case: Any) -> None:
        answer = case.call(base_url=stack.url, headers={"Authorization": f"Bearer {person.token}"}, timeout=30)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400 and case.method.upper() != "HEAD":
            assert answer.headers["content-type"][0] == "application/problem+json"

    try:
        send()
    except Unsatisfiable:
        pytest.skip("there is nothing that does not fit this endpoint")
