"""The sample app breaks for real, in each of the six ways, and mends."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.demo.switch import Switch
from tests.engines import free_ports

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The sample app as a process."""
    (port,) = free_ports(1)
    folder: Path = tmp_path_factory.mktemp("demo")
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"  # as on a machine that reaches the world through a proxy alone
    environment = os.environ | {"PULSE_DEMO_PORT": str(port), "PULSE_DATA": str(folder), "HTTP_PROXY": nowhere}
    process = subprocess.Popen([sys.executable, "-m", "infra.demo"], env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
            _wait_until_it_answers(client, process)
            yield client
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_it_answers(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the sample app ended"
        try:
            client.get("/_demo")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the sample app never answered")


EVERYTHING_FINE: dict[str, tuple[int, Any]] = {
    "/health": (200, {"status": "healthy", "database": "ok", "cache": "ok"}),
    "/orders": (200, [{"id": 1, "total": 19.9, "currency": "EUR"}, {"id": 2, "total": 5.0, "currency": "USD"}]),
    "/report": (200, {"orders": 2}),
    "/payments": (200, {"provider": "demo", "status": "open"}),
    "/health/worker": (200, {"status": "healthy", "worker": "ok"}),
}

BROKEN: dict[Switch, tuple[str, int, Any]] = {
    Switch.DATABASE: ("/health", 503, {"status": "degraded", "database": "fail", "cache": "ok"}),
    Switch.CACHE: ("/health", 503, {"status": "degraded", "database": "ok", "cache": "fail"}),
    Switch.SCHEMA: ("/orders", 200, [{"id": 1, "total": 19.9}, {"id": 2, "total": 5.0}]),
    Switch.UPSTREAM: ("/payments", 502, {"detail": "the payment provider does not answer"}),
    Switch.WORKER: ("/health/worker", 503, {"status": "unhealthy", "worker": "fail"}),
}


def _answers(shop: httpx.Client) -> dict[str, tuple[int, Any]]:
    return {path: ((answer := shop.get(path)).status_code, answer.json()) for path in EVERYTHING_FINE}


@pytest.mark.parametrize("switch", BROKEN, ids=str)
def test_a_switch_breaks_its_own_path_and_no_other_until_it_is_mended(shop: httpx.Client, switch: Switch) -> None:
    path, status, document = BROKEN[switch]

    shop.post(f"/_demo/break/{switch}").raise_for_status()

    assert _answers(shop) == EVERYTHING_FINE | {path: (status, document)}
    shop.post("/_demo/mend").raise_for_status()
    assert _answers(shop) == EVERYTHING_FINE


def test_a_blocked_loop_holds_a_request_far_over_its_own_work(shop: httpx.Client) -> None:
    shop.post("/_demo/break/loop").raise_for_status()
    blocked = shop.get("/report").elapsed.total_seconds()
    shop.post("/_demo/mend").raise_for_status()

    assert blocked > 0.5  # its own work is 0.12 s, and the loop stands still for 1.2 s at a time
