"""What a page says: the truth of its facts, never better, and no secrets."""

import dataclasses
import re
import time
from collections import Counter

import msgspec
import orjson
import pytest

from query.compose import LAG_ALLOWED_MS, compose
from query.maintenances import MaintenanceState
from query.page import render_page, say_day
from query.reads import Bucket, ComponentState, Current
from query.status_document import MonitorView, StatusDocument, Window
from query.turns import at_once
from query.uptime import DAY_MS, HOUR_MS
from schemas.durations import format_duration
from schemas.enums import EntryKind, IncidentState, Outcome, Reason, Severity, Status
from schemas.events import Evidence, Failure, Incident, TimelineEntry
from schemas.monitors import Group, told_every_ms
from tests.query.filled import Filled

URL = "https://acme.test/"
NOW = time.time_ns() // 1_000_000 // DAY_MS * DAY_MS + DAY_MS // 2


@pytest.fixture
def filled() -> Filled:
    filled = Filled()
    filled.facts.read_at, filled.facts.trouble = NOW, ""
    return filled


def document_of(filled: Filled, slug: str = "acme", now: int = NOW) -> StatusDocument:
    page = filled.catalog.page(slug)
    assert page is not None
    return at_once(compose(page, filled.catalog, filled.facts, "http://pulse.test", now))


def only_monitor(filled: Filled, now: int = NOW) -> MonitorView:
    ((monitor,),) = [group.monitors for group in document_of(filled, now=now).groups]
    return monitor


def open_incident(monitor: str, **fields: object) -> Incident:
    incident = Incident(
        id="i-1",
        monitor=monitor,
        version=3,
        state=IncidentState.OPEN,
        severity=Severity.DOWN,
        opened_at=NOW - 10 * 60_000,
        decided_at=NOW - 9 * 60_000,
        reason=Reason.ASSERTION,
        message="",
    )
    return msgspec.structs.replace(incident, **fields)


def test_a_monitor_without_any_fact_is_unknown_and_its_days_are_empty(filled: Filled) -> None:
    filled.monitor("api")
    filled.page("acme", "api")

    monitor = only_monitor(filled)

    assert (monitor.status, monitor.since, monitor.latency) == (Status.UNKNOWN, None, None)
    assert [day.status for day in monitor.days] == [Status.UNKNOWN] * 90
    assert all(day.uptime is None and day.ms == {} for day in monitor.days)
    assert all(uptime.uptime is None and uptime.coverage == 0 for uptime in monitor.uptime.values())


def test_ninety_days_up_are_100_percent_with_full_coverage(filled: Filled) -> None:
    api = filled.monitor("api")
    filled.page("acme", "api")
    filled.status(api, Status.UP, NOW)
    filled.up_for_90_days(api, NOW)

    monitor = only_monitor(filled)

    assert monitor.uptime[Window.QUARTER].uptime == 1.0
    assert monitor.uptime[Window.QUARTER].coverage == 1.0
    assert document_of(filled).headline == "All systems operational"


def test_an_hour_of_down_that_no_bucket_counted_yet_shows_today(filled: Filled) -> None:
    api = filled.monitor("api")
    filled.page("acme", "api")
    filled.up_for_90_days(api, NOW - HOUR_MS)
    filled.status(api, Status.DOWN, NOW)

    today = only_monitor(filled).days[-1]

    assert today.status is Status.DOWN
    assert today.ms == {Status.UP: 11 * HOUR_MS, Status.DOWN: HOUR_MS}


def test_a_paused_monitor_is_paused_at_once(filled: Filled) -> None:
    api = filled.monitor("api", paused=True)
    filled.page("acme", "api")
    filled.status(api, Status.UP, NOW)

    assert only_monitor(filled).status is Status.PAUSED


def test_components_of_a_silent_monitor_are_unknown(filled: Filled) -> None:
    api = filled.monitor("api")
    filled.page("acme", "api")
    filled.facts.take_components([(api, ComponentState("cache", Outcome.UP, "", NOW))])
    filled.status(api, Status.UNKNOWN, NOW, Reason.NO_RESULTS)

    assert [component.status for component in only_monitor(filled).components] == [Outcome.UNKNOWN]


@pytest.mark.parametrize(
    ("reason", "shown"), [(Reason.TIMEOUT, (Outcome.UNKNOWN, "")), (Reason.ASSERTION, (Outcome.DOWN, "refused"))]
)
def test_components_of_a_monitor_that_does_not_answer_are_unknown(
    filled: Filled, reason: Reason, shown: tuple[Outcome, str]
) -> None:
    api = filled.monitor("api")
    filled.page("acme", "api")
    filled.facts.take_components([(api, ComponentState("cache", Outcome.DOWN, "refused", NOW))])
    filled.status(api, Status.DOWN, NOW, reason)

    assert [(each.status, each.message) for each in only_monitor(filled).components] == [shown]


def test_a_monitor_that_is_paused_from_now_on_does_not_tell_why_it_was_down(filled: Filled) -> None:
    api = filled.monitor("api", paused=True)
    filled.page("acme", "api")
    filled.status(api, Status.DOWN, NOW, Reason.TIMEOUT)

    monitor = only_monitor(filled)

    assert (monitor.status, monitor.since, monitor.reason, monitor.cause) == (Status.PAUSED, None, None, "")
    assert b"no check seen" not in at_once(render_page(document_of(filled)))


def test_a_page_says_since_when_nothing_new_is_known_of_a_monitor(filled: Filled) -> None:
    api = filled.monitor("api", interval="30s")
    filled.page("acme", "api")
    filled.status(api, Status.UP, NOW - 10 * 60_000)

    stale_since = document_of(filled).stale_since

    assert stale_since is not None
    assert stale_since.timestamp() * 1000 == NOW - 10 * 60_000


@pytest.mark.parametrize("interval_ms", [1_000, 10_000, 60_000, 300_000, 3_600_000])
@pytest.mark.parametrize("late_ms", [-1, 1])
def test_a_monitor_may_be_told_as_seldom_as_the_stream_tells_it(filled: Filled, interval_ms: int, late_ms: int) -> None:
    api = filled.monitor("api", interval=format_duration(interval_ms))
    filled.page("acme", "api")
    filled.status(api, Status.UP, NOW - told_every_ms(interval_ms) - LAG_ALLOWED_MS - late_ms)

    assert (document_of(filled).stale_since is not None) == (late_ms > 0)


def test_a_monitor_that_the_page_names_but_nobody_configured_is_left_out(filled: Filled) -> None:
    filled.monitor("api")
    filled.page("acme", "api", "ghost")

    assert [monitor.slug for monitor in document_of(filled).groups[0].monitors] == ["api"]


def test_an_incident_tells_its_cause_and_no_body_header_or_address(filled: Filled) -> None:
    api = filled.monitor("api", name="Public API")
    filled.page("acme", "api")
    filled.status(api, Status.DOWN, NOW, Reason.ASSERTION)
    evidence = Evidence("HTTP/1.1 500 Internal", {"x-token": "hunter2"}, "Traceback: password", "10.0.0.7")
    failures = (Failure("$.cache", Severity.DOWN, "ok", "fail", ""),)
    entries = (TimelineEntry(EntryKind.OPENED, NOW - 600_000, Status.DOWN, "went down"),)
    filled.facts.take_incident(open_incident(api, evidence=evidence, failures=failures, entries=entries))

    document = document_of(filled)
    everything = orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS) + at_once(render_page(document))

    assert document.incidents[0].title == "Public API is down"
    assert document.incidents[0].duration_ms == 600_000
    for told in (b"HTTP/1.1 500 Internal", b"$.cache", b"went down"):
        assert everything.count(told) >= 2
    for secret in (b"hunter2", b"Traceback", b"10.0.0.7"):
        assert secret not in everything


@pytest.mark.parametrize(
    ("url", "reason", "message"),
    [
        (URL, Reason.BLOCKED_ADDRESS, "10.0.0.7 is not public (private); open networks with PULSE_PROBE_ALLOW"),
        (URL, Reason.DNS_ERROR, "db.internal: there is no such name"),
        (URL, Reason.TLS_ERROR, "the certificate is for another name than db.internal"),
        (URL, Reason.REDIRECT, "cannot follow the Location: no host: 'ftp://db.internal/?token=x'"),
        ("dns://db.internal", Reason.ASSERTION, '$.records is ["10.0.0.7"]; expected: contains "10.0.0.8"'),
    ],
)
def test_what_is_the_operators_business_is_not_told_to_everyone(
    filled: Filled, url: str, reason: Reason, message: str
) -> None:
    api = filled.monitor("api", url=url)
    filled.page("acme", "api")
    filled.facts.take_current(api, Current(1, Status.DOWN, NOW - HOUR_MS, NOW, reason, message))
    opened = TimelineEntry(EntryKind.OPENED, NOW - HOUR_MS, Status.DOWN, message)
    doubted = TimelineEntry(EntryKind.UPDATE, NOW, Status.UNKNOWN, "no secret PULSE_SECRET_TOKEN")
    worse = TimelineEntry(EntryKind.ESCALATED, NOW, Status.DOWN, message + ", again")
    failure = Failure("$.records", Severity.DOWN, "10.0.0.7", "10.0.0.7", message)
    filled.facts.take_incident(
        open_incident(api, reason=reason, message=message, failures=(failure,), entries=(opened, doubted, worse))
    )

    document = document_of(filled)
    everything = orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS) + at_once(render_page(document))

    for named in (b"10.0.0.7", b"PULSE_", b"db.internal"):
        assert named not in everything
    assert [each.message for each in document.incidents[0].timeline] == ["It is down.", "It is unknown to us.", ""]


def test_of_what_followed_an_opening_everyone_hears_the_status_and_no_message_whose_reason_is_not_known(
    filled: Filled,
) -> None:
    api = filled.monitor("api")
    filled.page("acme", "api")
    opened = TimelineEntry(EntryKind.OPENED, NOW - 9, Status.DEGRADED, "cache: fail")
    story = (
        (TimelineEntry(EntryKind.ESCALATED, NOW - 8, Status.DOWN, "db.internal: there is no such name"), "It is down."),
        (TimelineEntry(EntryKind.UPDATE, NOW - 7, Status.DOWN, "We know.", "Ada"), "We know."),
        (TimelineEntry(EntryKind.EASED, NOW - 6, Status.DEGRADED, "cache: fail"), "cache: fail"),
        (TimelineEntry(EntryKind.RESOLVED, NOW - 5, Status.PAUSED, "It was paused."), "It was paused."),
        (TimelineEntry(EntryKind.REOPENED, NOW - 4, Status.DOWN, "10.0.0.7 is not public"), "It is down."),
    )
    entries = (opened, *(entry for entry, _ in story))
    filled.facts.take_incident(open_incident(api, reason=Reason.COMPONENT, message="cache: fail", entries=entries))

    (incident,) = document_of(filled).incidents

    assert [each.message for each in reversed(incident.timeline)] == ["cache: fail", *(told for _, told in story)]


@pytest.mark.parametrize("kind", [EntryKind.ESCALATED, EntryKind.REOPENED, EntryKind.UPDATE])
def test_a_cause_that_opened_an_incident_is_not_called_that_of_what_became_of_it(
    filled: Filled, kind: EntryKind
) -> None:
    api = filled.monitor("api")
    filled.page("acme", "api")
    filled.status(api, Status.DOWN, NOW, Reason.TIMEOUT)
    entries = (TimelineEntry(EntryKind.OPENED, NOW - 2, Status.DEGRADED), TimelineEntry(kind, NOW - 1, Status.DOWN))
    filled.facts.take_incident(open_incident(api, reason=Reason.LATENCY, entries=entries))

    page = at_once(render_page(document_of(filled))).decode()

    assert ("<dt>Cause at first</dt>" in page) == (kind is not EntryKind.UPDATE)


def test_a_resolved_incident_is_shown_for_14_days_and_marks_its_day_for_90(filled: Filled) -> None:
    api = filled.monitor("api")
    filled.page("acme", "api")
    opened_at = NOW - 20 * DAY_MS
    filled.facts.take_incident(
        open_incident(api, state=IncidentState.RESOLVED, opened_at=opened_at, resolved_at=opened_at + HOUR_MS)
    )

    document = document_of(filled)

    assert document.incidents == []
    assert [day.incidents for day in document.groups[0].monitors[0].days if day.incidents] == [["i-1"]]
    assert document.groups[0].monitors[0].days[-21].incidents == ["i-1"]


def test_an_annulled_incident_is_nowhere(filled: Filled) -> None:
    api = filled.monitor("api")
    filled.page("acme", "api")
    filled.facts.take_incident(open_incident(api, state=IncidentState.ANNULLED))

    document = document_of(filled)

    assert document.incidents == []
    assert not any(day.incidents for day in document.groups[0].monitors[0].days)


def test_whatever_people_write_is_escaped_on_the_page(filled: Filled) -> None:
    hostile = "<script>alert(1)</script>\"'&"
    api = filled.monitor("api", name=hostile)
    filled.page("acme", "api", title=hostile, description=hostile)
    filled.status(api, Status.DOWN, NOW, Reason.TIMEOUT)
    filled.facts.take_incident(open_incident(api, components=(hostile,), regions=(hostile,)))

    page = at_once(render_page(document_of(filled))).decode()

    assert "<script>alert" not in page
    assert page.count("<script") == 1


def test_a_monitor_may_stand_in_two_groups_once_in_each_and_every_id_of_the_page_is_there_once(filled: Filled) -> None:
    api = filled.monitor("api", name="Public API")
    filled.page("acme", groups=[Group(name=name, monitors=["api", "api"]) for name in ("Shop", "All")])
    filled.status(api, Status.DOWN, NOW, Reason.TIMEOUT)
    filled.facts.take_incident(open_incident(api))
    filled.maintenance("upgrade", NOW, NOW + HOUR_MS, "api")

    page = at_once(render_page(document_of(filled))).decode()
    ids = Counter(re.findall(r' id="([^"]*)"', page))

    assert page.count('<section class="monitor"') == 2
    assert set(ids.values()) == {1}
    assert set(re.findall(r'aria-labelledby="([^"]*)"', page)) <= ids.keys()


def test_a_day_of_maintenance_is_not_without_data(filled: Filled) -> None:
    api = filled.monitor("api")
    filled.page("acme", "api")
    yesterday = NOW // DAY_MS * DAY_MS - DAY_MS
    filled.facts.take_day(api, Bucket(yesterday, yesterday + DAY_MS, (0, 0, 0, 0, DAY_MS, 0)))

    told = say_day(only_monitor(filled).days[-2])

    assert told.endswith("· 1 d maintenance")
    assert "no data" not in told
    assert "no data" in say_day(only_monitor(filled).days[-3])


def test_a_stale_document_says_so_on_the_page(filled: Filled) -> None:
    filled.status(filled.monitor("api"), Status.UP, NOW)
    filled.page("acme", "api")
    filled.facts.trouble = "ClickHouse is away"

    later = document_of(filled, now=NOW + HOUR_MS)

    assert b"These figures are old" in at_once(render_page(later))
    assert b"These figures are old" not in at_once(render_page(dataclasses.replace(later, stale_since=None)))


def test_a_page_whose_facts_could_never_be_read_claims_nothing_of_the_past(filled: Filled) -> None:
    api = filled.monitor("api")
    filled.page("acme", "api")
    filled.facts.trouble = "ClickHouse was not read yet"

    unread = at_once(render_page(document_of(filled, now=NOW + HOUR_MS))).decode()
    filled.facts.take_current(api, Current(1, Status.UP, NOW, NOW, Reason.OK, ""))
    read = at_once(render_page(document_of(filled, now=NOW + HOUR_MS))).decode()

    assert "Nothing could be read" in unread
    for claim in ("no check seen", "No incidents were resolved", "what was known then"):
        assert claim not in unread
    assert "what was known then" in read


def test_a_page_tells_maintenances_of_its_monitors_from_two_weeks_back_on(filled: Filled) -> None:
    for slug in ("api", "web", "elsewhere"):
        filled.monitor(slug, name=slug.upper())
    filled.page("acme", "api", "web")
    begins = {"gone": -15, "was": -13, "is": 0, "soon": 1, "far": 31}
    for slug, days in begins.items():
        filled.maintenance(slug, NOW + days * DAY_MS, NOW + days * DAY_MS + HOUR_MS, "elsewhere", "web")
    filled.maintenance("other", NOW, NOW + HOUR_MS, "elsewhere")

    maintenances = document_of(filled).maintenances

    assert [(each.slug, each.state) for each in maintenances] == [
        ("was", MaintenanceState.PAST),
        ("is", MaintenanceState.ACTIVE),
        ("soon", MaintenanceState.UPCOMING),
        ("far", MaintenanceState.UPCOMING),
    ]
    assert all((each.monitors, each.monitor_names) == (["web"], ["WEB"]) for each in maintenances)


def test_of_many_resolved_incidents_the_newest_hundred_are_told_after_all_that_are_open(filled: Filled) -> None:
    slugs = [f"m{number}" for number in range(60)]
    for place, slug in enumerate(slugs):
        monitor, begin = filled.monitor(slug), NOW - (place + 3) * 60_000
        ended = {"state": IncidentState.RESOLVED, "resolved_at": begin + 1_000}
        for name, at in (("i-1", begin), ("i-2", begin - HOUR_MS)):
            filled.facts.take_incident(open_incident(monitor, id=name, opened_at=at, **ended))
    filled.facts.take_incident(open_incident("default/m59", id="i-0", opened_at=NOW - 10 * DAY_MS))
    filled.page("acme", *slugs)

    document = document_of(filled)
    resolved = [f"{each.monitor} {each.id}" for each in document.incidents[1:]]

    assert document.incidents[0].state is IncidentState.OPEN
    assert resolved == [*(f"{slug} i-1" for slug in slugs), *(f"{slug} i-2" for slug in slugs)][:100]
    assert "The newest 100 incidents are shown." in at_once(render_page(document)).decode()


def test_the_next_twenty_maintenances_are_told_however_far_they_are(filled: Filled) -> None:
    filled.monitor("api")
    filled.page("acme", "api")
    for weeks in range(30, -1, -1):
        filled.maintenance(f"in-{weeks}", NOW + weeks * 7 * DAY_MS, NOW + weeks * 7 * DAY_MS + HOUR_MS, "api")

    document = document_of(filled)

    assert [each.slug for each in document.maintenances] == [f"in-{weeks}" for weeks in range(21)]
    farthest = document.maintenances[-1].starts_at
    near, _, far = at_once(render_page(document)).decode().partition("<summary>16 more</summary>")
    assert near.count(' id="maintenance-') == 5
    assert f"{farthest.day} {farthest:%b %Y, %H:%M} UTC" in far


def test_a_cancelled_maintenance_is_told_until_it_would_have_been_over(filled: Filled) -> None:
    filled.monitor("api")
    filled.page("acme", "api")
    filled.maintenance("upgrade", NOW + HOUR_MS, NOW + 2 * HOUR_MS, "api", cancelled=True)

    assert [each.state for each in document_of(filled).maintenances] == [MaintenanceState.CANCELLED]
    assert document_of(filled, now=NOW + 2 * HOUR_MS).maintenances == []


def test_a_maintenance_is_escaped_on_the_page_and_needs_no_script(filled: Filled) -> None:
    api = filled.monitor("api", name="Public API")
    filled.page("acme", "api")
    filled.status(api, Status.MAINTENANCE, NOW)
    filled.maintenance("upgrade", NOW, NOW + HOUR_MS, "api", title="<b>Upgrade</b>", description="<i>Short</i>")

    page = at_once(render_page(document_of(filled))).decode()

    assert "&lt;b&gt;Upgrade&lt;/b&gt;" in page
    assert "&lt;i&gt;Short&lt;/i&gt;" in page
    assert "In progress" in page
    assert "Public API is in maintenance" in page


@pytest.mark.parametrize(
    ("present", "title"),
    [
        (Status.DOWN, "api is down"),
        (Status.DEGRADED, "api is degraded"),
        (Status.UNKNOWN, "api was down; now it is unknown to us"),
        (Status.MAINTENANCE, "api was down; now it is in maintenance"),
    ],
)
def test_an_open_incident_is_called_by_what_is_so_now(filled: Filled, present: Status, title: str) -> None:
    api = filled.monitor("api")
    filled.page("acme", "api")
    filled.status(api, present, NOW)
    filled.facts.take_incident(open_incident(api))

    assert [incident.title for incident in document_of(filled).incidents] == [title]


def test_an_incident_was_down_for_as_long_as_it_was_down_and_names_no_key(filled: Filled) -> None:
    api = filled.monitor("api")
    filled.page("acme", "api")
    opened_at = NOW - 3 * HOUR_MS
    story = (
        (EntryKind.OPENED, 0, Status.DEGRADED),
        (EntryKind.ESCALATED, 10, Status.DOWN),
        (EntryKind.UPDATE, 15, Status.MAINTENANCE),
        (EntryKind.RESOLVED, 135, Status.UP),
        (EntryKind.REOPENED, 140, Status.DOWN),
        (EntryKind.RESOLVED, 142, Status.UP),
    )
    entries = [TimelineEntry(kind, opened_at + minute * 60_000, status) for kind, minute, status in story]
    noted = TimelineEntry(EntryKind.CORRECTED, entries[-1].at - 1, Status.UP, "replayed", "key:6fJq0aBc1xYz")
    filled.facts.take_incident(
        open_incident(
            api,
            state=IncidentState.RESOLVED,
            opened_at=opened_at,
            resolved_at=entries[-1].at,
            entries=(*entries[:-1], noted, entries[-1]),
        )
    )

    document = document_of(filled)
    (incident,) = document.incidents

    assert incident.title == "api was down for 7 min"
    assert b"6fJq0aBc1xYz" not in orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS) + at_once(
        render_page(document)
    )
    assert incident.duration_ms == 142 * 60_000
    assert [each.message for each in incident.timeline if each.kind is EntryKind.UPDATE] == ["It is in maintenance."]
