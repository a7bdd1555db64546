"""The service against its own OpenAPI document, all of it: no 5xx, every answer is one that the document tells.

A longer run: `make fuzz REQUESTS=20000`.
"""

import asyncio

import pytest
from pydantic import SecretStr

from infra.settings import Settings
from tests.query.management.service import ADMIN_KEY
from tests.query.service import running_query
from tests.query.story import story_of

pytestmark = pytest.mark.engines

REQUESTS = 700


def test_every_answer_is_one_that_the_document_tells(engine_settings: Settings) -> None:
    from tests.fuzz.run import fuzz  # with it comes schemathesis, for which no other test's run should wait

    unlimited = {"admin_key": SecretStr(ADMIN_KEY), "rate_factor": 1e6}
    settings = engine_settings.model_copy(update=unlimited)
    asyncio.run(story_of(settings).tell())

    with running_query(settings):
        findings = fuzz(f"http://{settings.http}", ADMIN_KEY, REQUESTS, derandomize=True)

    assert not findings.failures, str(findings)
    assert findings.requests >= REQUESTS
    assert {"GET /status/{slug}", "PUT /v1/monitors/{slug}", "POST /v1/results", "GET /v1/analytics/uptime"} <= {
        label for label, told in findings.answers.items() if any(200 <= status < 300 for status in told)
    }, "what is answered well is looked at too"
