"""Each way to break the sample app is seen as what it is, on every face of the product, and so is the recovery."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import time
from typing import Any

import pytest

from tests.browser.chromium import Chromium
from tests.end_to_end.product import Product, wait_until

pytestmark = [pytest.mark.engines, pytest.mark.browser]

INTERVAL_S = 5
CLOCK_SLACK_S = 1


@dataclass(frozen=True)
class Expected:
    """What PulseAPI is to say of a breakage."""

    monitor: str
    status: str
    reason: str
    said: str
    component: str | None = None


EXPECTED = {
    "database": Expected("shop-api", "degraded", "component", "database", component="database"),
    "cache": Expected("shop-api", "degraded", "component", "cache", component="cache"),
    "loop": Expected("shop-report", "degraded", "latency", "500 ms"),
    "schema": Expected("shop-orders", "down", "assertion", "currency"),
    "upstream": Expected("shop-payments", "down", "http_status", "502"),
    "worker": Expected("shop-worker", "down", "http_status", "worker is down", component="worker"),
}


def _open_incident(product: Product, slug: str) -> dict[str, Any] | None:
    incidents = product.status().get("incidents", [])
    return next((i for i in incidents if i["monitor"] == slug and i["state"] == "open"), None)


def _began_at(incident: dict[str, Any]) -> float:
    """When it was opened, or reopened: a breakage soon after another one of the same monitor continues it."""
    moments = [entry["at"] for entry in incident["timeline"] if entry["kind"] in ("opened", "reopened")]
    return datetime.fromisoformat(max(moments)).timestamp()


def _parts_that_fail(product: Product, slug: str) -> set[str]:
    return {part["name"] for part in product.monitors()[slug]["components"] if part["status"] == "down"}


def _badge(product: Product, slug: str) -> str:
    return product.client.get(f"/badges/demo/{slug}/status.svg").text


@pytest.fixture
def chromium(tmp_path: Path) -> Chromium:
    return Chromium.found(tmp_path)


@pytest.fixture(autouse=True)
def mended_afterwards(product: Product) -> Iterator[None]:
    """A test that fails leaves nothing broken for the next one."""
    yield
    product.demo.post("/_demo/mend")


def _break(product: Product, switch: str) -> tuple[float, float]:
    """Between which moments it broke."""
    before = time()
    assert product.run("demo", "break", switch).returncode == 0
    return before, time()


def _incident_of(product: Product, expected: Expected) -> dict[str, Any]:
    """The incident of a breakage, once it is seen as what it is."""
    slug = expected.monitor
    wait_until(lambda: product.monitors()[slug]["status"] == expected.status, f"{slug} is {expected.status}")
    wait_until(lambda: _open_incident(product, slug) is not None, "an incident is open")
    monitor, incident = product.monitors()[slug], _open_incident(product, slug)
    assert monitor["reason"] == expected.reason
    assert expected.said in monitor["message"]
    if expected.component:
        wait_until(lambda: _parts_that_fail(product, slug) == {expected.component}, f"{expected.component} is down")
    assert incident is not None
    assert incident["severity"] == expected.status
    assert incident["reason"] == expected.reason
    wait_until(lambda: f": {expected.status}<" in _badge(product, slug), "the badge says so")
    return incident


def _assert_resolved(product: Product, incident: dict[str, Any]) -> None:
    resolved = next(i for i in product.status()["incidents"] if i["id"] == incident["id"])
    assert resolved["state"] == "resolved"
    assert resolved["timeline"][0]["kind"] == "resolved"
    assert datetime.fromisoformat(resolved["resolved_at"]).timestamp() > _began_at(incident)
    wait_until(lambda: ": up<" in _badge(product, incident["monitor"]), "the badge is up again")


@pytest.mark.parametrize(
    "switches", [("database", "schema", "upstream", "worker"), ("cache",), ("loop",)], ids="+".join
)
def test_a_breakage_is_seen_as_what_it_is_and_so_is_the_recovery(
    product: Product, chromium: Chromium, switches: tuple[str, ...]
) -> None:
    """Those of different monitors go together, since each takes some checks to be seen."""
    wait_until(product.everything_is_up, "everything is up before the breakage")

    broken = {switch: _break(product, switch) for switch in switches}

    incidents = {switch: _incident_of(product, EXPECTED[switch]) for switch in switches}
    page, monitors = str(product.client.base_url.join("/p/demo")), product.monitors()
    seen = chromium.see(page).text
    for switch, (before_break, after_break) in broken.items():
        expected = EXPECTED[switch]
        # the first failing check, not the one that confirmed it
        began_at = _began_at(incidents[switch])
        assert before_break - CLOCK_SLACK_S <= began_at <= after_break + INTERVAL_S + CLOCK_SLACK_S
        assert f"{monitors[expected.monitor]['name']} is {expected.status}" in seen
        assert expected.said in seen
    chromium.picture(page, f"switch-{'-'.join(switches)}.png", "1100,2000")

    assert product.run("demo", "mend").returncode == 0
    wait_until(product.everything_is_up, "everything is up again")

    for incident in incidents.values():
        assert _open_incident(product, incident["monitor"]) is None
        _assert_resolved(product, incident)
