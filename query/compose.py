"""Puts a page's status document together: its configuration from the catalogue, its facts, and the time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from query.catalog import Catalog, Entry
from query.facts import Facts, MonitorFacts
from query.maintenances import state_at
from query.reads import ComponentState, Current
from query.status_document import (
    ANNOUNCED,
    RESOLVED_TOLD,
    ComponentView,
    Day,
    FailureView,
    GroupView,
    IncidentView,
    LatencySummary,
    MaintenanceView,
    MonitorView,
    PageView,
    StatusDocument,
    TimelineView,
    Uptime,
    Window,
)
from query.turns import Steps
from query.uptime import DAY_MS, DAYS, HOUR_MS, HOURS, STATUSES, Spans, coverage_of, total, uptime_of
from query.words import CAUSES, PREDICATES, TROUBLE, UNTOLD, duration, headline, worst
from schemas.enums import EntryKind, IncidentState, Outcome, Reason, Status
from schemas.events import Incident, TimelineEntry
from schemas.monitors import Maintenance, Monitor, Page, monitor_id, told_every_ms

VERSION: Final = 1
RECENT_MS: Final = 14 * DAY_MS
LAG_ALLOWED_MS: Final = 60_000
PAST_DAYS_KEPT: Final = 20_000
DAYS_OF: Final = {Window.WEEK: 7, Window.MONTH: 30, Window.QUARTER: 90}
BAD_STATUSES: Final = (*TROUBLE, Status.MAINTENANCE)
UNSEEN: Final = (Status.UNKNOWN, Status.PAUSED)
UNANSWERED: Final = (
    Reason.DNS_ERROR,
    Reason.CONNECT_REFUSED,
    Reason.CONNECT_ERROR,
    Reason.TLS_ERROR,
    Reason.TIMEOUT,
)
"""Why a monitor is down that says nothing more of its components."""


def monitors_of(page: Entry[Page], catalog: Catalog) -> Iterator[Entry[Monitor]]:
    """The monitors that a page names and that exist, in its order, each once."""
    seen = set()
    for group in page.document.groups:
        for slug in group.monitors:
            entry = catalog.monitor(monitor_id(page.workspace, slug))
            if entry is not None and slug not in seen:
                seen.add(slug)
                yield entry


def compose(page: Entry[Page], catalog: Catalog, facts: Facts, base_url: str, now: int) -> Steps[StatusDocument]:
    """What the page says at `now` (int ms); each monitor is a step."""
    views = {}
    for entry in monitors_of(page, catalog):
        views[entry.document.slug] = _monitor(entry, facts.of(entry.id), now)
        yield
    stale = stale_since(monitors_of(page, catalog), facts, now)
    incidents = [
        _incident(views[entry.document.slug], each, stale or now, told=_is_told(each.reason, entry.document))
        for entry, each in _recent_incidents(page, catalog, facts, now)
    ]
    return StatusDocument(
        version=VERSION,
        page=_page(page, base_url),
        status=worst([view.status for view in views.values()]),
        headline=headline([(view.name, view.status) for view in views.values()]),
        groups=[
            GroupView(group.name, [views[slug] for slug in dict.fromkeys(group.monitors) if slug in views])
            for group in page.document.groups
        ],
        incidents=incidents,
        maintenances=[
            _maintenance(entry, views, now) for entry in _announced_maintenances(page.workspace, views, catalog, now)
        ],
        generated_at=moment(now),
        stale_since=_moment_or_none(stale),
    )


def stale_since(monitors: Iterable[Entry[Monitor]], facts: Facts, now: int) -> int | None:
    """Since when nothing new was learnt of them (int ms): ClickHouse is away, or the stream stands still."""
    moments = [facts.stale_since(now)]
    for entry in monitors:
        current = facts.of(entry.id).current
        if current is None or current.status is Status.PAUSED or entry.document.paused:
            continue
        allowed_ms = told_every_ms(entry.document.interval_ms) + LAG_ALLOWED_MS
        moments.append(current.known_until if now - current.known_until > allowed_ms else None)
    return min((at for at in moments if at is not None), default=None)


def status_of(entry: Entry[Monitor], facts: MonitorFacts) -> Status:
    """What a monitor is shown as: paused from the moment that its configuration says so."""
    if entry.document.paused:
        return Status.PAUSED
    return Status.UNKNOWN if facts.current is None else facts.current.status


def window_spans(facts: MonitorFacts, window: Window, now: int) -> tuple[Spans, int]:
    """Milliseconds by status in a window that ends now, and the window's length in ms."""
    days = [] if window is Window.DAY else facts.days.newest(DAYS_OF[window], now, facts.lasting)
    return _window(facts, days, window, now)


def _window(facts: MonitorFacts, days: list[Spans], window: Window, now: int) -> tuple[Spans, int]:
    """The same, where the days are known already."""
    if window is Window.DAY:
        spans = facts.hours.newest(HOURS, now, facts.lasting)
        return total(spans), (HOURS - 1) * HOUR_MS + now % HOUR_MS
    count = DAYS_OF[window]
    return total(days[-count:]), (count - 1) * DAY_MS + now % DAY_MS


def moment(at: int) -> datetime:
    """Int ms since the epoch as a datetime in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC)


def _moment_or_none(at: int | None) -> datetime | None:
    return None if at is None else moment(at)


def _page(page: Entry[Page], base_url: str) -> PageView:
    document = page.document
    url = f"https://{document.domains[0]}/" if document.domains else f"{base_url}/p/{document.slug}"
    return PageView(document.slug, document.title or document.slug, document.description, url)


def _monitor(entry: Entry[Monitor], facts: MonitorFacts, now: int) -> MonitorView:
    current = facts.current
    status = status_of(entry, facts)
    days = facts.days.newest(DAYS, now, facts.lasting)
    told = current if current is not None and current.status is status else None  # not of one that is just paused
    return MonitorView(
        slug=entry.document.slug,
        name=entry.document.title,
        status=status,
        since=moment(told.since) if told else None,
        reason=told.reason if told else None,
        cause=CAUSES[told.reason] if told else "",
        message=told.message if told and status is not Status.UP and _is_told(told.reason, entry.document) else "",
        known_until=moment(current.known_until) if current else None,
        components=[_component(each, can_tell=_answers(status, told)) for each in facts.components],
        days=_days(days, _incident_days(facts, now), now // DAY_MS),
        uptime={window: _uptime(*_window(facts, days, window, now)) for window in Window},
        latency=LatencySummary(
            facts.latency.checks,
            *(round(value, 2) for value in (facts.latency.p50_ms, facts.latency.p95_ms, facts.latency.p99_ms)),
        )
        if facts.latency
        else None,
    )


def _is_told(reason: Reason, monitor: Monitor) -> bool:
    """Whether the messages are for everyone: those of a dns:// check have the names and addresses that it found."""
    return reason not in UNTOLD and not monitor.url.lower().startswith("dns://")


def _answers(status: Status, told: Current | None) -> bool:
    """Whether the monitor can tell anything of its components at present."""
    return status not in UNSEEN and not (status is Status.DOWN and told is not None and told.reason in UNANSWERED)


def _component(component: ComponentState, can_tell: bool) -> ComponentView:
    outcome, message = (component.outcome, component.message) if can_tell else (Outcome.UNKNOWN, "")
    return ComponentView(component.name, outcome, message, moment(component.at))


def _uptime(spans: Spans, window_ms: int) -> Uptime:
    return Uptime(uptime_of(spans), round(coverage_of(spans, window_ms), 6), spans[STATUSES.index(Status.DOWN)])


def _days(spans: list[Spans], incidents: dict[int, list[str]], today: int) -> list[Day]:
    days = [
        _past_day(number, each, tuple(incidents.get(number, ())))
        for number, each in zip(range(today - DAYS + 1, today), spans[:-1], strict=True)
    ]
    return [*days, _day(today, spans[-1], incidents.get(today, ()))]


def _day(number: int, spans: Spans, incidents: Sequence[str]) -> Day:
    """The day of this number since the epoch."""
    ms = {status: span for status, span in zip(STATUSES, spans, strict=True) if span}
    return Day(moment(number * DAY_MS).date(), _status_of_day(ms), uptime_of(spans), ms, list(incidents))


_past_day: Final = lru_cache(maxsize=PAST_DAYS_KEPT)(_day)
"""Days that are over hardly change, and most monitors had the same: one object for all of them."""


def _status_of_day(ms: dict[Status, int]) -> Status:
    """The worst that a person would want to know of; unknown where nothing else was."""
    for status in (*BAD_STATUSES, Status.UP):
        if status in ms:
            return status
    return Status.PAUSED if Status.PAUSED in ms else Status.UNKNOWN


def _incident_days(facts: MonitorFacts, now: int) -> dict[int, list[str]]:
    """Ids by the day's number since the epoch."""
    days: dict[int, list[str]] = {}
    first = now // DAY_MS - DAYS + 1
    for incident in facts.incidents_that_were():
        end = incident.resolved_at or now
        for number in range(max(incident.opened_at // DAY_MS, first), end // DAY_MS + 1):
            days.setdefault(number, []).append(incident.id)
    return days


def _recent_incidents(
    page: Entry[Page], catalog: Catalog, facts: Facts, now: int
) -> list[tuple[Entry[Monitor], Incident]]:
    """Open ones, then the last ones that are over, the newest first."""
    newest_first = sorted(
        ((entry, each) for entry in monitors_of(page, catalog) for each in facts.of(entry.id).incidents_that_were()),
        key=lambda found: found[1].opened_at,
        reverse=True,
    )
    open_ones = [found for found in newest_first if found[1].state is IncidentState.OPEN]
    resolved = [found for found in newest_first if found[1].resolved_at > now - RECENT_MS]
    return open_ones + resolved[:RESOLVED_TOLD]


def _incident(monitor: MonitorView, incident: Incident, known_until: int, *, told: bool) -> IncidentView:
    """An incident as it was at `known_until`, int ms; with what checks said of it, where that is `told` to everyone."""
    ended = incident.resolved_at if incident.state is IncidentState.RESOLVED else None
    return IncidentView(
        id=incident.id,
        monitor=monitor.slug,
        monitor_name=monitor.name,
        state=incident.state,
        severity=incident.severity,
        title=_title(monitor, incident, ended),
        reason=incident.reason,
        cause=CAUSES[incident.reason],
        opened_at=moment(incident.opened_at),
        resolved_at=_moment_or_none(ended),
        duration_ms=max(0, (ended or known_until) - incident.opened_at),
        regions=list(incident.regions),
        components=list(incident.components),
        failures=[
            FailureView(each.test, each.severity, each.expected, each.seen, each.message)
            for each in (incident.failures if told else ())
        ],
        answered=incident.evidence.status_line if incident.evidence else "",
        timeline=[
            TimelineView(each.kind, moment(each.at), each.status, _message_of(each, incident, told=told))
            for each in reversed(incident.entries)
        ],
    )


def _title(monitor: MonitorView, incident: Incident, ended: int | None) -> str:
    """What is so now, which may be better than the worst of it, or else for how long the worst of it was so."""
    worst_of_it = Status(incident.severity)
    if ended is not None:
        lasted = duration(_lasted_ms(incident, worst_of_it, ended))
        return f"{monitor.name} was {PREDICATES[worst_of_it]} for {lasted}"
    if monitor.status in TROUBLE:
        return f"{monitor.name} is {PREDICATES[monitor.status]}"
    return f"{monitor.name} was {PREDICATES[worst_of_it]}; now it is {PREDICATES[monitor.status]}"


def _lasted_ms(incident: Incident, status: Status, ended: int) -> int:
    """How long it had this status: an incident goes on through unknown time and maintenance."""
    turns = [(each.at, each.status) for each in incident.entries if not each.by] or [(incident.opened_at, status)]
    ends = [*(at for at, _ in turns[1:]), ended]
    return sum(max(0, end - at) for (at, each), end in zip(turns, ends, strict=True) if each is status)


def _message_of(entry: TimelineEntry, incident: Incident, *, told: bool) -> str:
    """Its message, where it is for everyone; where there is none for what the monitor became, the status in words.

    A line does not say for which reason a monitor turned: that is known of what opened the incident alone.
    """
    is_of_opening = entry.kind is EntryKind.OPENED or entry.message == incident.message
    has_no_cause = entry.by or entry.status not in (*TROUBLE, Status.UNKNOWN)
    message = entry.message if has_no_cause or (is_of_opening and told) else ""
    is_turn = entry.kind not in (EntryKind.OPENED, EntryKind.RESOLVED)
    return f"It is {PREDICATES[entry.status]}." if is_turn and not message else message


def _announced_maintenances(
    workspace: str, shown: Mapping[str, MonitorView], catalog: Catalog, now: int
) -> list[Entry[Maintenance]]:
    """Those of the monitors that the page shows, by their start; a cancelled one until it would have been over."""
    told = [
        entry
        for entry in catalog.maintenances.of_workspace(workspace)
        if entry.document.ends_at > now - (0 if entry.document.cancelled else RECENT_MS)
        and any(slug in shown for slug in entry.document.monitors)
    ]
    begun = sum(entry.document.starts_at <= now for entry in told)
    return sorted(told, key=lambda entry: (entry.document.starts_at, entry.id))[: begun + ANNOUNCED]


def _maintenance(entry: Entry[Maintenance], shown: Mapping[str, MonitorView], now: int) -> MaintenanceView:
    maintenance = entry.document
    concerned = [shown[slug] for slug in maintenance.monitors if slug in shown]
    return MaintenanceView(
        slug=maintenance.slug,
        title=maintenance.title,
        description=maintenance.description,
        state=state_at(maintenance, now),
        starts_at=moment(maintenance.starts_at),
        ends_at=moment(maintenance.ends_at),
        monitors=[view.slug for view in concerned],
        monitor_names=[view.name for view in concerned],
        version=entry.version,
        updated_at=moment(entry.at),
    )
