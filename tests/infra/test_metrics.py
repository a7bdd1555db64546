"""A process's metrics and health over HTTP."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from prometheus_client import Counter

from infra.metrics import serve_metrics
from infra.ports import PortTaken
from tests.engines import free_ports

CHECKS = Counter("test_metrics_checks", "Checks of this test.")


def ask(path: str, problem: Callable[[], str | None] = lambda: None, method: str = "GET") -> httpx.Response:
    """One request to a server that lives as long as it."""
    (port,) = free_ports(1)

    async def run() -> httpx.Response:
        async with (
            serve_metrics("127.0.0.1", port, "PULSE_PROBE_METRICS_PORT", problem),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        ):
            return await client.request(method, path, headers={"Accept": "application/openmetrics-text;version=1.0.0"})

    return asyncio.run(run())


def test_metrics_are_openmetrics_for_those_who_ask() -> None:
    CHECKS.inc(3)

    answer = ask("/metrics")

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "test_metrics_checks_total 3.0" in answer.text
    assert answer.text.endswith("# EOF\n")


def test_health_is_fine_while_there_is_no_problem() -> None:
    answer = ask("/healthz")

    assert (answer.status_code, answer.text) == (200, "ok")


def test_health_says_what_the_problem_is() -> None:
    answer = ask("/healthz", lambda: "owns no partition")

    assert (answer.status_code, answer.text) == (503, "owns no partition")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/else", 404), ("POST", "/metrics", 405)])
def test_nothing_else_is_served(method: str, path: str, status: int) -> None:
    assert ask(path, method=method).status_code == status


def test_head_has_no_body() -> None:
    answer = ask("/healthz", method="HEAD")

    assert (answer.status_code, answer.content) == (200, b"")


def test_a_taken_port_names_its_setting() -> None:
    (port,) = free_ports(1)

    async def run() -> None:
        async with serve_metrics("127.0.0.1", port, "A"), serve_metrics("127.0.0.1", port, "PULSE_STREAM_METRICS_PORT"):
            pass

    with pytest.raises(PortTaken, match=f"{port}.*PULSE_STREAM_METRICS_PORT"):
        asyncio.run(run())


def test_port_0_serves_nowhere() -> None:
    async def run() -> None:
        async with serve_metrics("127.0.0.1", 0, "A"):
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
