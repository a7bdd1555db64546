"""Checks of an application inside this process mean what they would mean out there."""

from typing import Annotated

from fastapi import Cookie, FastAPI, Response

from probes.in_process import AppUnderTest
from schemas.enums import Outcome
from schemas.monitors import Monitor


def test_a_check_has_no_cookies_of_the_one_before() -> None:
    app = FastAPI()

    @app.get("/")
    def visits(response: Response, seen: Annotated[int, Cookie()] = 0) -> int:
        response.set_cookie("seen", str(seen + 1))
        return seen

    monitor = Monitor.model_validate(
        {"slug": "api", "url": "http://api.test/", "assertions": [{"jsonpath": "$", "equals": 0}]}
    )
    with AppUnderTest(app) as under_test:
        assert [under_test.check(monitor).outcome for _ in range(2)] == [Outcome.UP, Outcome.UP]


def test_a_client_certificate_is_not_asked_for_as_there_is_nobody_to_show_it_to() -> None:
    app = FastAPI()

    @app.get("/")
    def health() -> str:
        return "fine"

    shown = {"certificate": "${NOT_IN_CI}", "key": "${NOR_THIS}"}
    monitor = Monitor.model_validate({"slug": "api", "url": "https://api.test/", "client_certificate": shown})
    with AppUnderTest(app) as under_test:
        assert under_test.check(monitor).outcome is Outcome.UP
