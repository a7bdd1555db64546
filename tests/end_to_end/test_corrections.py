"""A record is corrected from the shell: replayed under another policy, annulled, and put back."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.product import Product, wait_until

pytestmark = pytest.mark.engines

INTERVAL_MS = 10_000
SLOTS = 45
FAILED = range(20, 24)
"""Four failures in a row, about four minutes ago."""


class Record:
    """A monitor that only gets pushed results, and what is told of it."""

    def __init__(self, product: Product, slug: str) -> None:
        self.product = product
        self.slug = slug
        key = (product.data / "admin-key").read_text().strip()
        self.headers = {"Authorization": f"Bearer {key}"}
        self.begin = time.time_ns() // 1_000_000 // 1_000 * 1_000 - SLOTS * INTERVAL_MS

    def create(self) -> None:
        """The monitor, and its results."""
        monitor = {"slug": self.slug, "url": "https://example.com/", "interval": "10s", "regions": ["elsewhere"]}
        answer = self.product.client.post("/v1/monitors", json=monitor, headers=self.headers)
        assert answer.status_code == 201, answer.text
        results = [self._result(slot) for slot in range(SLOTS)]
        body = {"region": "office", "results": results}
        answer = self.product.client.post("/v1/results", json=body, headers=self.headers)
        assert answer.json()["accepted"] == SLOTS, answer.text

    def _result(self, slot: int) -> dict[str, Any]:
        said = {"outcome": "down", "reason": "timeout"} if slot in FAILED else {"outcome": "up"}
        at = self.begin + slot * INTERVAL_MS
        return {"monitor": self.slug, "scheduled_at": at, "total_us": 1_000, **said}

    def incidents(self) -> list[dict[str, Any]]:
        """Those that were not annulled."""
        answer = self.product.client.get("/v1/incidents", params={"monitor": self.slug}, headers=self.headers)
        return [one for one in answer.json()["incidents"] if one["state"] != "annulled"]

    def timeline(self, incident: str) -> list[dict[str, Any]]:
        """An incident's timeline."""
        return list(self.product.client.get(f"/v1/incidents/{incident}", headers=self.headers).json()["timeline"])

    def order(self, *arguments: str) -> dict[str, Any]:
        """Run a subcommand that changes the record; returns the correction that it printed."""
        done = self.product.run(*arguments, "--monitor", self.slug, "--reason", "said so", "--json")
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def record(product: Product) -> Iterator[Record]:
    """A record with one incident of forty seconds."""
    record = Record(product, "pushed")
    record.create()
    wait_until(lambda: len(record.incidents()) == 1, "the incident of the pushed results")
    yield record
    product.client.delete("/v1/monitors/pushed", headers=record.headers)


def test_a_replay_takes_back_an_incident_and_its_undo_brings_the_same_one_back(record: Record) -> None:
    (incident,) = record.incidents()

    replay = record.order("replay", "--from", "30m", "--policy", "confirmations=5")
    wait_until(lambda: record.incidents() == [], "the incident is gone")
    taken = record.timeline(incident["id"])
    record.order("undo", replay["id"])
    wait_until(lambda: len(record.incidents()) == 1, "the incident is back")
    (again,) = record.incidents()

    assert replay["before"]["ms"]["down"] == len(FAILED) * INTERVAL_MS
    assert "down" not in replay["after"]["ms"]
    assert taken[-1]["kind"] == "annulled"
    assert taken[-1]["message"] == "Results were folded again with confirmations=5: said so"
    assert taken[-1]["by"] == replay["by"]
    assert (again["id"], again["opened_at"], again["resolved_at"]) == (
        incident["id"],
        incident["opened_at"],
        incident["resolved_at"],
    )
    assert [entry["kind"] for entry in record.timeline(incident["id"])] == [
        "opened",
        "resolved",
        "annulled",
        "corrected",
    ]


def test_annulled_results_count_nowhere_and_the_audit_tells_who_and_why(record: Record) -> None:
    annulment = record.order("annul", "--from", "30m", "--to", "0s", "--region", "office")
    wait_until(lambda: record.incidents() == [], "the incident is gone")
    listed = json.loads(record.product.run("corrections", "--monitor", record.slug, "--json").stdout)["corrections"]
    reasons = record.product.client.get(
        "/v1/analytics/reasons", params={"monitor": record.slug}, headers=record.headers
    ).json()["reasons"]

    assert "up" not in annulment["after"]["ms"]
    assert [(one["id"], one["kind"], one["reason"]) for one in listed][:1] == [(annulment["id"], "annul", "said so")]
    assert reasons == []
    record.order("undo", annulment["id"])
    wait_until(lambda: len(record.incidents()) == 1, "the incident is back")


def test_what_cannot_be_corrected_is_refused_with_what_is_allowed(record: Record) -> None:
    too_old = record.product.run(
        "replay", "--monitor", record.slug, "--from", "2020-01-01T00:00Z", "--reason", "why not"
    )
    unknown = record.product.run("undo", "nosuchone", "--monitor", record.slug, "--reason", "why not")

    assert (too_old.returncode, unknown.returncode) == (1, 1)
    assert "results are kept for 90 days" in too_old.stderr
    assert "has no correction nosuchone" in unknown.stderr
