"""`/v1` against its own OpenAPI document: no 5xx, every answer is one that the document tells.

A longer run: `PULSE_TEST_EXAMPLES=2000 pytest -m engines tests/query/management/test_conformance.py`.
"""

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings, strategies
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from infra.settings import Settings
from tests.query.management.live import listening_service
from tests.query.management.service import ADMIN_KEY

pytestmark = pytest.mark.engines

EXAMPLES = int(os.environ.get("PULSE_TEST_EXAMPLES", "25"))


schemathesis.openapi.format(
    "uri", strategies.sampled_from(["https://a.example/", "http://b.example:8000/x?y=1", "ftp://c"])
)
HEADERS = {"Authorization": f"Bearer {ADMIN_KEY}"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def test_every_answer_is_one_that_the_document_tells(engine_settings: Settings) -> None:
    with listening_service(engine_settings.clickhouse) as (port, _):
        document = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json").include(path_regex="^/v1/")
        document = document.exclude(path="/v1/system")  # it asks Kafka, which is in memory here
        operations = [found.ok() for found in document.get_all_operations()]
        assert {operation.label for operation in operations} >= {"PUT /v1/monitors/{slug}", "POST /v1/results"}
        failures = [failure for operation in operations for failure in failures_of(operation)]
    assert not failures, "\n\n".join(failures)


def failures_of(operation: Any) -> list[str]:
    """What schemathesis found wrong with an operation's answers, in words."""

    @given(case=operation.as_strategy(GenerationMode.POSITIVE) | operation.as_strategy(GenerationMode.NEGATIVE))
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def run(case: Any) -> None:
        case.call_and_validate(headers=HEADERS, checks=CHECKS)

    try:
        run()
    except FailureGroup as group:
        return [f"{operation.label}: {failure}" for failure in group.exceptions]
    except Unsatisfiable:
        return []
    return []
