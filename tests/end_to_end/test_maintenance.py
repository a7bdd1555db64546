"""A maintenance over a monitor that fails: shown on every face, no incident, and no part of its uptime."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Chromium
from tests.end_to_end.product import Product, wait_until

pytestmark = [pytest.mark.engines, pytest.mark.browser]

MONITOR = "shop-payments"
CONFIRMED = 3
"""So many failures in a row would have opened an incident."""


@pytest.fixture(autouse=True)
def mended_afterwards(product: Product) -> Iterator[None]:
    """A test that fails leaves nothing broken for the next one."""
    yield
    product.demo.post("/_demo/mend")


def _incidents(product: Product) -> set[str]:
    return {incident["id"] for incident in product.status()["incidents"] if incident["monitor"] == MONITOR}


def _maintenances(product: Product) -> dict[str, str]:
    return {each["slug"]: each["state"] for each in product.status()["maintenances"]}


def _today(product: Product) -> dict[str, int]:
    return dict(product.monitors()[MONITOR]["days"][-1]["ms"])


def _newest_are(product: Product, outcome: str, since: str) -> bool:
    """Whether the newest results, as many as decide, all came since then and say so."""
    newest = product.results(MONITOR, CONFIRMED)
    begin = datetime.fromisoformat(since)
    return len(newest) == CONFIRMED and all(
        result["outcome"] == outcome and datetime.fromisoformat(result["scheduled_at"]) > begin for result in newest
    )


def _started(product: Product) -> dict[str, Any]:
    started = product.run(
        *("maintenance", "start", "--monitor", MONITOR, "--for", "1h", "--title", "Payment provider moves", "--json")
    )
    assert started.returncode == 0, started.stderr
    return dict(json.loads(started.stdout))


def test_a_maintenance_over_a_failing_monitor_is_told_and_counts_as_nothing(product: Product, tmp_path: Path) -> None:
    wait_until(product.everything_is_up, "everything is up before the maintenance")
    incidents, down_before_ms = _incidents(product), _today(product).get("down", 0)

    maintenance = _started(product)
    wait_until(lambda: product.monitors()[MONITOR]["status"] == "maintenance", "the monitor is in maintenance")
    assert product.run("demo", "break", "upstream").returncode == 0
    wait_until(lambda: _newest_are(product, "down", maintenance["starts_at"]), "its checks fail")

    assert product.monitors()[MONITOR]["status"] == "maintenance"
    assert _incidents(product) == incidents
    assert _maintenances(product)[maintenance["slug"]] == "active"
    badge = product.client.get(f"/badges/demo/{MONITOR}/status.json").json()
    assert badge["message"] == "maintenance"
    v2 = product.client.get("/p/demo/api/v2/scheduled-maintenances/active.json").json()["scheduled_maintenances"]
    assert [each["name"] for each in v2] == ["Payment provider moves"]
    assert f"UID:{maintenance['slug']}@demo.pulse" in product.client.get("/p/demo/maintenance.ics").text
    seen = Chromium.found(tmp_path).see(str(product.client.base_url.join("/p/demo"))).text
    assert "Payment provider moves In progress" in seen

    assert product.run("demo", "mend").returncode == 0
    wait_until(lambda: _newest_are(product, "up", maintenance["starts_at"]), "its checks pass again")
    ended = product.run("maintenance", "end", maintenance["slug"])
    assert ended.returncode == 0, ended.stderr
    wait_until(lambda: product.monitors()[MONITOR]["status"] == "up", "the monitor is up again")

    assert _maintenances(product)[maintenance["slug"]] == "past"
    assert _incidents(product) == incidents
    wait_until(lambda: _today(product).get("maintenance", 0) > 0, "the maintenance is counted as such")
    assert _today(product).get("down", 0) == down_before_ms
