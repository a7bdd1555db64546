"""Errors of `/v1`: one shape for all."""

from collections.abc import AsyncIterator

import httpx
import pytest

from query.problems import FieldProblem, Problem, ProblemKind, invalid, json_pointer, problems
from tests.query.filled import Filled
from tests.query.management.service import Service, with_service


def test_kinds_have_names_of_their_own() -> None:
    assert len({kind.uri for kind in ProblemKind}) == len(ProblemKind)
    assert all(400 <= kind.status < 600 for kind in ProblemKind)


def test_a_pointer_leads_to_the_field() -> None:
    assert json_pointer(("assertions", 0, "a/b~c")) == "#/assertions/0/a~1b~0c"
    assert json_pointer(()) == "#"


def test_kinds_of_one_status_are_documented_together() -> None:
    documented = problems(ProblemKind.INVALID, ProblemKind.LIMIT_REACHED)
    assert documented[422]["description"] == "Some fields are not valid; A limit of the workspace is reached"


def test_the_detail_repeats_the_fields_for_who_reads_only_that() -> None:
    error = invalid([FieldProblem(detail="is missing", pointer="#/url"), FieldProblem(detail="no", parameter="limit")])
    assert error.detail == "#/url: is missing; limit: no"


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(("path", "allowed"), [("/v1/monitors", 1), ("/v1/results", 5)])
def test_a_body_that_is_too_large_is_told_what_is_allowed(path: str, allowed: int, announced: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(6):
            yield b" " * (1 << 20)

    async def scenario(service: Service) -> None:
        answer = await service.client.post(path, content=b" " * (6 << 20) if announced else pieces())
        assert answer.status_code == 413
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["detail"] == f"a body has {allowed} MB at most here"

    with_service(scenario)


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/nothing", 404, ProblemKind.NOT_FOUND),
        ("PATCH", "/v1/monitors", 405, ProblemKind.METHOD_NOT_ALLOWED),
        ("GET", "/v1/monitors?limit=x", 422, ProblemKind.INVALID),
    ],
)
def test_what_the_framework_refuses_has_the_same_shape(method: str, path: str, status: int, kind: ProblemKind) -> None:
    async def scenario(service: Service) -> None:
        answer = await service.client.request(method, path)
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = Problem.model_validate(answer.json())
        assert (problem.type, problem.status, problem.instance) == (kind.uri, status, path.partition("?")[0])

    with_service(scenario)


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/v1/monitors", "GET, HEAD, POST"), ("/v1/monitors/api", "GET, HEAD, PUT, DELETE"), ("/v1/results", "POST")],
)
def test_who_uses_a_wrong_method_hears_of_all_that_are_right(path: str, methods: str) -> None:
    answer = Filled().get(path, "PATCH")

    assert (answer.status_code, answer.headers["allow"]) == (405, methods)


def test_a_failure_of_the_service_itself_has_the_same_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("query.management.monitors.listed", lambda *_: 1 / 0)

    async def scenario(service: Service) -> None:
        transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://pulse.test") as client:
            answer = await client.get("/v1/monitors", headers=service.client.headers)
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = Problem.model_validate(answer.json())
        assert (answer.status_code, problem.status, problem.type) == (500, 500, ProblemKind.FAILED.uri)
        assert "division" not in answer.text

    with_service(scenario)
