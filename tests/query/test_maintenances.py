"""What may become of a maintenance: anything before it starts, little while it lasts, nothing once it was."""

from typing import Any

import pytest

from query.maintenances import MaintenanceState, objections, state_at
from schemas.moments import format_moment
from schemas.monitors import Maintenance
from tests.query.filled import Filled
from tests.query.test_public import now_ms

NOW = 1_796_090_400_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def maintenance(starts_in_ms: int, lasts_ms: int = HOUR_MS, **fields: Any) -> Maintenance:
    written = {
        "slug": "upgrade",
        "title": "Upgrade",
        "monitors": ["api", "web"],
        "starts_at": format_moment(NOW + starts_in_ms),
        "ends_at": format_moment(NOW + starts_in_ms + lasts_ms),
    }
    return Maintenance.model_validate(written | fields)


UPCOMING = maintenance(HOUR_MS)
ACTIVE = maintenance(-MINUTE_MS * 30)
PAST = maintenance(-HOUR_MS * 2)
CANCELLED = maintenance(-HOUR_MS, cancelled=True)


def refused_fields(present: Maintenance | None, wanted: Maintenance) -> list[str]:
    return [objection.field for objection in objections(present, wanted, NOW)]


def test_it_is_active_from_its_start_until_before_its_end() -> None:
    states = [state_at(maintenance(-elapsed_ms), NOW) for elapsed_ms in (-1, 0, HOUR_MS - 1, HOUR_MS)]
    assert states == [
        MaintenanceState.UPCOMING,
        MaintenanceState.ACTIVE,
        MaintenanceState.ACTIVE,
        MaintenanceState.PAST,
    ]
    assert state_at(CANCELLED, NOW) is MaintenanceState.CANCELLED


@pytest.mark.parametrize("present", [None, UPCOMING, CANCELLED])
def test_before_it_starts_it_may_become_anything_that_is_not_past(present: Maintenance | None) -> None:
    assert refused_fields(present, maintenance(5, HOUR_MS * 9, monitors=["web"], title="Other")) == []
    assert refused_fields(present, maintenance(-MINUTE_MS)) == [], "a clock may be a minute behind"
    assert refused_fields(present, maintenance(-MINUTE_MS - 1)) == ["starts_at"]
    assert refused_fields(present, PAST) == ["starts_at", "ends_at"]
    assert refused_fields(present, CANCELLED) == []


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"title": "Other", "description": "It takes longer."}, []),
        ({"ends_at": format_moment(NOW)}, []),
        ({"ends_at": format_moment(NOW + 9 * HOUR_MS)}, []),
        ({"monitors": ["web", "mail", "api"]}, []),
        ({"monitors": ["web"]}, ["monitors"]),
        ({"ends_at": format_moment(NOW - MINUTE_MS * 5)}, ["ends_at"]),
        ({"starts_at": format_moment(NOW)}, ["starts_at"]),
        ({"cancelled": True}, ["cancelled"]),
    ],
)
def test_while_it_lasts_it_can_be_ended_extended_and_joined(change: dict[str, Any], refused: list[str]) -> None:
    wanted = Maintenance.model_validate(ACTIVE.model_dump(mode="json") | change)
    assert refused_fields(ACTIVE, wanted) == refused


def test_once_it_was_only_its_words_can_change() -> None:
    assert refused_fields(PAST, PAST.model_copy(update={"title": "Other", "description": "What it was."})) == []
    assert refused_fields(PAST, maintenance(HOUR_MS, monitors=["web"], cancelled=True)) == [
        "monitors",
        "starts_at",
        "ends_at",
        "cancelled",
    ]


def test_a_refusal_says_what_is_allowed() -> None:
    (objection,) = objections(ACTIVE, ACTIVE.model_copy(update={"cancelled": True}), NOW)
    assert objection.detail == (
        "it has begun, at 2026-12-01T01:30:00.000Z: end it, with ends_at: 2026-12-01T02:00:00.000Z"
    )


def test_the_pages_of_its_monitors_tell_a_change_at_once_and_no_other_page_is_made_again() -> None:
    filled, now = Filled(), now_ms()
    for slug in ("api", "web"):
        filled.monitor(slug)
        filled.page(f"of-{slug}", slug)
    filled.maintenance("upgrade", now - HOUR_MS, now + HOUR_MS, "api")

    def told(page: str) -> list[str]:
        return [each["slug"] for each in filled.get(f"/status/{page}").json()["maintenances"]]

    assert (told("of-api"), told("of-web")) == (["upgrade"], [])
    untouched = filled.get("/status/of-web").json()["generated_at"]
    filled.maintenance("other", now - HOUR_MS, now + HOUR_MS, "api")
    assert told("of-api") == ["other", "upgrade"]
    assert filled.get("/status/of-web").json()["generated_at"] == untouched
    filled.maintenance("upgrade", now - HOUR_MS, now + HOUR_MS, "web")
    assert (told("of-api"), told("of-web")) == (["other"], ["upgrade"])
    filled.delete_maintenance("other")
    assert told("of-api") == []
