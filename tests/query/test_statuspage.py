"""Statuspage's shape: every key of it, its enums, and nothing better than the truth."""

import re
from typing import Any

import pytest

from query.statuspage import FILES
from query.times import iso
from schemas.enums import EntryKind, IncidentState, Reason, Severity, Status
from schemas.events import Incident, TimelineEntry
from schemas.monitors import Group
from tests.query.filled import Filled
from tests.query.test_public import now_ms

COMPONENT_KEYS = {
    *("id", "name", "status", "created_at", "updated_at", "position", "description", "showcase", "start_date"),
    *("group_id", "page_id", "group", "only_show_if_degraded"),
}
INCIDENT_KEYS = {
    *("id", "name", "status", "impact", "created_at", "updated_at", "monitoring_at", "resolved_at", "started_at"),
    *("shortlink", "page_id", "incident_updates", "components"),
}
UPDATE_KEYS = {
    *("id", "status", "body", "incident_id", "created_at", "updated_at", "display_at", "affected_components"),
    *("deliver_notifications", "custom_tweet", "tweet_id"),
}


def page_with(*statuses: Status) -> Filled:
    filled = Filled()
    slugs = [f"m{number}" for number in range(len(statuses))]
    for slug, status in zip(slugs, statuses, strict=True):
        filled.status(filled.monitor(slug), status, now_ms())
    filled.page("acme", *slugs, title="Acme", domains=["status.acme.test"])
    return filled


def v2(filled: Filled, name: str) -> dict[str, Any]:
    answer = filled.get(f"/p/acme/api/v2/{name}.json")
    assert answer.status_code == 200
    return dict(answer.json())


@pytest.mark.parametrize("name", FILES)
def test_every_file_names_the_page(name: str) -> None:
    page = v2(page_with(Status.UP), name)["page"]

    assert page.keys() == {"id", "name", "url", "time_zone", "updated_at"}
    assert re.fullmatch(r"[a-z0-9]{12}", page["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", page["updated_at"])


def test_the_summary_has_everything_that_is_going_on() -> None:
    assert v2(page_with(Status.UP), "summary").keys() == {
        *("page", "status", "components", "incidents", "scheduled_maintenances")
    }


def test_components_have_every_key_and_know_their_group() -> None:
    group, member = v2(page_with(Status.UP), "components")["components"]

    assert group.keys() == COMPONENT_KEYS | {"components"}
    assert member.keys() == COMPONENT_KEYS
    assert group["components"] == [member["id"]]
    assert member["group_id"] == group["id"]


def test_a_group_of_nothing_is_no_component_and_so_not_a_degraded_one() -> None:
    filled = page_with(Status.UP)
    filled.page("acme", groups=[Group(name="Later", monitors=[]), Group(name="Now", monitors=["m0"])])

    assert [(each["name"], each["status"]) for each in v2(filled, "components")["components"]] == [
        ("Now", "operational"),
        ("m0", "operational"),
    ]


def test_a_monitor_is_one_component_in_the_first_group_that_names_it_and_groups_of_one_name_are_one() -> None:
    filled = page_with(Status.DEGRADED, Status.UP, Status.UP)
    named = (("First", ["m0"]), ("All", ["m0", "m1", "m1"]), ("First", ["m0", "m2"]), ("Again", ["m1"]))
    filled.page("acme", groups=[Group(name=name, monitors=monitors) for name, monitors in named])

    components = v2(filled, "components")["components"]

    assert [each["name"] for each in components] == ["First", "m0", "m2", "All", "m1"]
    assert len({each["id"] for each in components}) == len(components)


def test_one_monitor_in_two_groups_is_not_a_whole_system() -> None:
    filled = page_with(Status.DEGRADED)
    filled.page("acme", groups=[Group(name=name, monitors=["m0"]) for name in ("Shop", "All")])

    assert v2(filled, "status")["status"]["description"] == "Partially Degraded Service"


def test_what_cannot_be_seen_is_never_operational() -> None:
    members = v2(page_with(Status.UNKNOWN, Status.PAUSED), "components")["components"][1:]

    assert [member["status"] for member in members] == ["degraded_performance", "under_maintenance"]
    assert all(member["description"] for member in members)


@pytest.mark.parametrize(
    ("statuses", "indicator"),
    [
        ((Status.UP, Status.UP), "none"),
        ((Status.DEGRADED, Status.UP), "minor"),
        ((Status.DOWN, Status.UP), "major"),
        ((Status.DOWN, Status.DOWN), "critical"),
        ((Status.UNKNOWN, Status.UP), "minor"),
        ((Status.MAINTENANCE, Status.UP), "maintenance"),
        ((), "minor"),
    ],
)
def test_the_indicator_is_the_first_rule_that_fits(statuses: tuple[Status, ...], indicator: str) -> None:
    assert v2(page_with(*statuses), "status")["status"]["indicator"] == indicator


def test_an_open_incident_is_unresolved_and_names_its_component() -> None:
    filled, now = page_with(Status.DOWN), now_ms()
    filled.facts.take_incident(
        Incident("i-1", "default/m0", 1, IncidentState.OPEN, Severity.DOWN, now, now, Reason.TIMEOUT, "")
    )

    (incident,) = v2(filled, "incidents/unresolved")["incidents"]

    assert incident.keys() == INCIDENT_KEYS
    assert incident["incident_updates"][0].keys() == UPDATE_KEYS
    assert (incident["status"], incident["impact"]) == ("investigating", "major")
    assert [component["name"] for component in incident["components"]] == ["m0"]


def test_a_resolved_incident_stays_resolved_when_its_record_is_corrected_later() -> None:
    filled, now = page_with(Status.UP), now_ms()
    kinds = (EntryKind.OPENED, EntryKind.RESOLVED, EntryKind.REOPENED, EntryKind.RESOLVED, EntryKind.CORRECTED)
    entries = tuple(TimelineEntry(kind, now + place, Status.UP) for place, kind in enumerate(kinds))
    filled.facts.take_incident(
        Incident(
            *("i-1", "default/m0", 1, IncidentState.RESOLVED, Severity.DOWN, now, now, Reason.TIMEOUT, ""),
            resolved_at=now + 3,
            entries=entries,
        )
    )

    (incident,) = v2(filled, "incidents")["incidents"]

    assert (incident["status"], incident["updated_at"]) == ("resolved", iso(now + 4))
    assert [update["status"] for update in incident["incident_updates"]] == [
        *("resolved", "resolved", "investigating", "resolved", "investigating")
    ]


def test_a_custom_domain_has_the_files_at_its_root() -> None:
    filled = page_with(Status.UP)

    assert filled.get("/api/v2/summary.json", headers={"host": "status.acme.test"}).status_code == 200
    assert filled.get("/api/v2/summary.json").status_code == 404
    assert filled.get("/api/v2/nothing.json", headers={"host": "status.acme.test"}).status_code == 404


def test_it_is_cached_as_statuspage_has_it() -> None:
    assert page_with(Status.UP).get("/p/acme/api/v2/status.json").headers["cache-control"].startswith("max-age=10")


def with_maintenances() -> Filled:
    """One that was, one that is, one that comes, and one that was cancelled."""
    filled, now, hour_ms = page_with(Status.UP, Status.MAINTENANCE), now_ms(), 3_600_000
    for slug, starts_in_ms in (("was", -3 * hour_ms), ("is", -hour_ms), ("comes", hour_ms)):
        starts_at = now + starts_in_ms
        filled.maintenance(slug, starts_at, starts_at + 2 * hour_ms, "m1", at=now, description="We move.")
    filled.maintenance("never", now + hour_ms, now + 2 * hour_ms, "m1", at=now, cancelled=True)
    return filled


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("scheduled-maintenances", ["scheduled", "in_progress", "completed"]),
        ("scheduled-maintenances/upcoming", ["scheduled"]),
        ("scheduled-maintenances/active", ["in_progress"]),
        ("summary", ["scheduled", "in_progress"]),
    ],
)
def test_maintenances_are_listed_by_their_status_and_a_cancelled_one_is_not(name: str, statuses: list[str]) -> None:
    assert [each["status"] for each in v2(with_maintenances(), name)["scheduled_maintenances"]] == statuses


def test_a_maintenance_has_every_key_and_its_updates_the_newest_first() -> None:
    comes, running, was = v2(with_maintenances(), "scheduled-maintenances")["scheduled_maintenances"]

    for each in (comes, running, was):
        assert each.keys() == INCIDENT_KEYS | {"scheduled_for", "scheduled_until"}
        assert (each["impact"], [component["name"] for component in each["components"]]) == ("maintenance", ["m1"])
        assert all(update.keys() == UPDATE_KEYS for update in each["incident_updates"])
        assert each["scheduled_for"] < each["scheduled_until"]
    assert [update["status"] for update in was["incident_updates"]] == ["completed", "in_progress", "scheduled"]
    assert [update["body"] for update in comes["incident_updates"]] == ["We move."]
    assert was["resolved_at"] == was["scheduled_until"]
    assert running["resolved_at"] is None
    assert running["incident_updates"][0]["display_at"] == running["scheduled_for"]


def test_an_update_keeps_its_id_when_another_one_follows() -> None:
    filled, now = page_with(Status.UP), now_ms()
    filled.maintenance("upgrade", now + 3_600_000, now + 7_200_000, "m0", at=now)
    (before,) = v2(filled, "scheduled-maintenances")["scheduled_maintenances"]
    filled.maintenance("upgrade", now - 1_000, now + 7_200_000, "m0", at=now)
    (after,) = v2(filled, "scheduled-maintenances")["scheduled_maintenances"]

    assert after["id"] == before["id"]
    assert [update["id"] for update in after["incident_updates"]][1:] == [
        update["id"] for update in before["incident_updates"]
    ]


def test_an_update_of_the_stream_claims_no_cause_and_says_what_became_of_the_monitor() -> None:
    filled, now = page_with(Status.UNKNOWN), now_ms()
    entries = (
        TimelineEntry(EntryKind.OPENED, now - 2, Status.DOWN, "no answer in 10 s"),
        TimelineEntry(EntryKind.UPDATE, now - 1, Status.UNKNOWN),
    )
    filled.facts.take_incident(
        Incident(
            *("i-1", "default/m0", 1, IncidentState.OPEN, Severity.DOWN, now - 2, now, Reason.TIMEOUT, ""),
            entries=entries,
        )
    )

    (incident,) = v2(filled, "incidents/unresolved")["incidents"]

    assert [(update["status"], update["body"]) for update in incident["incident_updates"]] == [
        ("investigating", "It is unknown to us."),
        ("investigating", "no answer in 10 s"),
    ]


def test_figures_that_are_old_do_not_claim_to_be_of_now() -> None:
    filled = page_with(Status.UP)
    filled.facts.trouble = "ClickHouse cannot be read"
    filled.facts.read_at -= 3_600_000

    updated_at = v2(filled, "summary")["page"]["updated_at"]

    assert updated_at == iso(filled.facts.read_at)
