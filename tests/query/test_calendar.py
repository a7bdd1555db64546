"""The calendar of maintenances, read as RFC 5545 says that a calendar is read."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.calendar import LINE_BYTES
from tests.query.filled import Filled
from tests.query.test_public import now_ms

HOUR_MS = 3_600_000
Event = dict[str, str]


@pytest.fixture
def filled() -> Filled:
    filled = Filled(public_url="https://pulse.test")
    filled.monitor("api", name="Public API")
    filled.page("acme", "api", title="Acme; and others", domains=["status.acme.test"])
    return filled


def events_of(filled: Filled) -> list[Event]:
    answer = filled.get("/p/acme/maintenance.ics")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    return read(answer.content)


def read(content: bytes) -> list[Event]:
    """The events' properties, unfolded and unescaped; everything around them must be in order."""
    assert content.endswith(b"\r\n")
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert all(len(line) <= LINE_BYTES and line.decode() for line in content.split(b"\r\n")[:-1])
    lines = content.decode().replace("\r\n ", "").split("\r\n")[:-1]
    assert (lines[0], lines[-1]) == ("BEGIN:VCALENDAR", "END:VCALENDAR")
    assert {"VERSION:2.0", "PRODID:-//PulseAPI//Status page//EN"} <= set(lines)
    events: list[Event] = []
    for line in lines[1:-1]:
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            events.append({})
        elif events and line != "END:VEVENT":
            events[-1][name] = re.sub(r"\\(.)", lambda escaped: "\n" if escaped[1] in "nN" else escaped[1], value)
    assert lines.count("END:VEVENT") == len(events)
    return events


def test_a_maintenance_is_an_event_in_utc(filled: Filled) -> None:
    now = now_ms()
    filled.maintenance(
        "upgrade", now + HOUR_MS, now + 2 * HOUR_MS, "api", at=now, title="Upgrade", description="Short."
    )

    (event,) = events_of(filled)

    assert event["UID"] == "upgrade@acme.pulse"
    assert event["DTSTART"] == f"{datetime.fromtimestamp((now + HOUR_MS) / 1000, UTC):%Y%m%dT%H%M%SZ}"
    assert event["DTEND"] == f"{datetime.fromtimestamp((now + 2 * HOUR_MS) / 1000, UTC):%Y%m%dT%H%M%SZ}"
    assert event["DTSTAMP"] == f"{datetime.fromtimestamp(now / 1000, UTC):%Y%m%dT%H%M%SZ}"
    assert (event["SUMMARY"], event["DESCRIPTION"]) == ("Upgrade", "Public API\n\nShort.")
    assert (event["STATUS"], event["URL"]) == ("CONFIRMED", "https://status.acme.test/#maintenance-upgrade")


def test_a_change_keeps_the_uid_and_raises_the_sequence_up_to_its_cancellation(filled: Filled) -> None:
    now = now_ms()
    filled.maintenance("upgrade", now + HOUR_MS, now + 2 * HOUR_MS, "api")
    (planned,) = events_of(filled)
    filled.maintenance("upgrade", now + HOUR_MS, now + 2 * HOUR_MS, "api", cancelled=True)
    (cancelled,) = events_of(filled)

    assert cancelled["UID"] == planned["UID"]
    assert int(cancelled["SEQUENCE"]) > int(planned["SEQUENCE"])
    assert (planned["STATUS"], cancelled["STATUS"]) == ("CONFIRMED", "CANCELLED")


def test_a_deleted_maintenance_is_gone_from_the_calendar_at_once(filled: Filled) -> None:
    now = now_ms()
    filled.maintenance("upgrade", now + HOUR_MS, now + 2 * HOUR_MS, "api")
    assert len(events_of(filled)) == 1
    filled.delete_maintenance("upgrade")

    assert events_of(filled) == []


def test_a_calendar_without_maintenances_has_a_component_as_every_calendar_must(filled: Filled) -> None:
    lines = filled.get("/p/acme/maintenance.ics").text.split("\r\n")
    begun = [line.partition(":")[2] for line in lines if line.startswith("BEGIN:")]
    ended = [line.partition(":")[2] for line in lines if line.startswith("END:")]

    assert begun == ["VCALENDAR", "VTIMEZONE", "STANDARD"]
    assert ended == begun[::-1]


def test_a_custom_domain_has_its_calendar_at_its_root(filled: Filled) -> None:
    assert filled.get("/maintenance.ics", headers={"host": "status.acme.test"}).status_code == 200
    assert filled.get("/p/ghost/maintenance.ics").status_code == 404


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=200))
def test_whatever_people_write_comes_back_as_it_was_but_for_control_characters(title: str) -> None:
    filled, now = Filled(), now_ms()
    filled.monitor("api")
    filled.page("acme", "api")
    filled.maintenance("upgrade", now, now + HOUR_MS, "api", title=title)

    (event,) = read(filled.get("/p/acme/maintenance.ics").content)

    written = title.replace("\r\n", "\n").replace("\r", "\n")
    assert event["SUMMARY"] == "".join(c for c in written if c in "\t\n" or (c >= " " and c != "\x7f"))
