"""What the whole log must lead to, worked out the slow way from the rules in words (`stream/folds/__init__.py`).

It shares no code with the folds: it looks at all results at once and asks for every moment again what held then.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from math import floor, log2

import msgspec

from schemas.enums import CorrectionKind, EntryKind, IncidentState, Outcome, Reason, Severity, Status
from schemas.events import (
    CheckBatch,
    CheckResult,
    CorrectionOrdered,
    LogEvent,
    MaintenanceRevised,
    MonitorRevised,
    Tick,
)
from stream.folds.terms import Terms

WINDOW_MS = 600_000
AHEAD_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
FOREVER = 10**18
BAD = {Status.DEGRADED, Status.DOWN}


@dataclass(frozen=True)
class ExpectedChange:
    """A status change that stands."""

    at: int
    decided_at: int
    previous: Status
    status: Status
    reason: Reason
    message: str


@dataclass(frozen=True)
class ExpectedIncident:
    """An incident that stands; `entries` are (kind, at, status)."""

    state: IncidentState
    severity: Severity
    opened_at: int
    decided_at: int
    resolved_at: int
    reason: Reason
    message: str
    regions: tuple[str, ...]
    components: tuple[str, ...]
    entries: tuple[tuple[EntryKind, int, Status], ...]


@dataclass(frozen=True)
class ExpectedStatus:
    """What a monitor is at the end."""

    status: Status
    since: int
    reason: Reason
    deleted: bool


@dataclass
class ExpectedMonitor:
    """All that a monitor's log leads to."""

    results: dict[tuple[str, int], CheckResult] = field(default_factory=dict)
    """By region and scheduled_at: those that were folded."""
    late: set[tuple[str, int]] = field(default_factory=set)
    changes: list[ExpectedChange] = field(default_factory=list)
    incidents: list[ExpectedIncident] = field(default_factory=list)
    current: ExpectedStatus | None = None
    uptime: dict[tuple[str, int], dict[Status, int]] = field(default_factory=dict)
    """By step and bucket, up to the horizon."""
    latency: dict[tuple[str, int], tuple[int, int, dict[int, int]]] = field(default_factory=dict)
    """By region and hour: checks, sum of total_us, counts by bin."""
    components: dict[tuple[str, str], tuple[int, Outcome, str]] = field(default_factory=dict)
    """By region and component: since, outcome, message."""


@dataclass
class _Log:
    horizon: int = 0
    time: int = 0
    revisions: list[tuple[int, str]] = field(default_factory=list)
    windows: list[tuple[str, int, int]] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    orders: list[CorrectionOrdered] = field(default_factory=list)


@dataclass(frozen=True)
class _Said:
    """A region's status from `at` on; `first` is the result that shows it."""

    at: int
    status: Status
    decided_at: int
    first: CheckResult | None
    flapping: str = ""

    @property
    def reason(self) -> Reason:
        if self.flapping:
            return Reason.FLAPPING
        return self.first.reason if self.first else Reason.OK

    @property
    def message(self) -> str:
        return self.flapping or (self.first.message if self.first else "")


def expect(events: Iterable[LogEvent], terms_of: Callable[[str, int], Terms | None]) -> dict[str, ExpectedMonitor]:
    """What the events of one partition, in the log's order, lead to; by monitor."""
    found: defaultdict[str, ExpectedMonitor] = defaultdict(ExpectedMonitor)
    logs: defaultdict[str, _Log] = defaultdict(_Log)
    time = horizon = 0
    for event in events:
        if isinstance(event, Tick):
            time, horizon = max(time, event.at), max(horizon, event.at)
        elif isinstance(event, CheckBatch):
            time = max(time, event.sent_at)
            horizon = max(horizon, (time - WINDOW_MS) // HOUR_MS * HOUR_MS)
            for result in event.results:
                _accept(found[result.monitor], event, result, time)
        elif isinstance(event, MonitorRevised):
            found[event.monitor], log = found[event.monitor], logs[event.monitor]
            newest = log.revisions[-1][0] if log.revisions else 0
            log.revisions.append((max(event.at, time - WINDOW_MS, newest), event.state))
            log.begins.append(log.revisions[-1][0])
        elif isinstance(event, MaintenanceRevised):
            found[event.monitor], log = found[event.monitor], logs[event.monitor]
            edge = max(event.at, time - WINDOW_MS)
            log.windows = [(i, s, min(e, edge) if i == event.id else e) for i, s, e in log.windows]
            log.windows.append((event.id, max(event.starts_at, edge), event.ends_at))
            log.begins.append(edge)
        elif isinstance(event, CorrectionOrdered):
            logs[event.monitor].orders.append(event)
    for name, monitor in found.items():
        logs[name].horizon = horizon
        if monitor.results or logs[name].begins:
            _work_out(monitor, logs[name], lambda version, name=name: terms_of(name, version) or Terms())
    return dict(found)


def _accept(monitor: ExpectedMonitor, batch: CheckBatch, result: CheckResult, time: int) -> None:
    identity = (batch.region, result.scheduled_at)
    if result.scheduled_at < time - WINDOW_MS or result.scheduled_at > batch.sent_at + AHEAD_MS:
        monitor.late.add(identity)
        return
    known = monitor.results.get(identity)
    if known is None or msgspec.json.encode(result) < msgspec.json.encode(known):
        monitor.results[identity] = result


def _work_out(monitor: ExpectedMonitor, log: _Log, version_terms: Callable[[int], Terms]) -> None:
    offs = _offs(log.revisions)
    undone = {order.undoes for order in log.orders}
    orders = [order for order in log.orders if not order.undoes and order.id not in undone]

    def terms_at(version: int | None, at: int) -> Terms:
        terms = Terms() if version is None else version_terms(version)
        for order in orders:
            if order.kind is CorrectionKind.REPLAY and order.since <= at < order.until:
                changed = msgspec.structs.asdict(order.policy)
                terms = msgspec.structs.replace(terms, **{n: v for n, v in changed.items() if v is not None})
        return terms

    def terms_of(result: CheckResult) -> Terms:
        return terms_at(result.monitor_version, result.scheduled_at)

    counted = {
        (region, at): result
        for (region, at), result in monitor.results.items()
        if not any(
            order.kind is CorrectionKind.ANNUL and order.region in ("", region) and order.since <= at < order.until
            for order in orders
        )
    }
    begin = min([*(at for _, at in monitor.results), *log.begins])
    regions: dict[str, list[_Said]] = {}
    told: dict[str, list[CheckResult]] = {}
    for region in sorted({region for region, _ in monitor.results}):
        results = sorted(
            (r for (name, at), r in counted.items() if name == region and not _off(offs, at)),
            key=lambda r: r.scheduled_at,
        )
        told[region] = [r for r in results if r.outcome is not Outcome.UNKNOWN]
        regions[region], quiet = _region(results, offs, log.horizon, terms_of)
        _components(monitor, region, told[region], quiet)
    _latency(monitor, counted)
    begun = max([log.horizon, *(at for _, at in monitor.results)])
    windows = [
        (start, end if end <= log.horizon else FOREVER)
        for _, start, end in log.windows
        if start < end and start <= begun
    ]
    moments = {begin}
    for start, end, _ in offs:
        moments |= {start, end}
    for start, end in windows:
        moments |= {start, end}
    for said in regions.values():
        moments |= {one.at for one in said}
    for results in told.values():
        moments |= {r.scheduled_at for r in results}
    for order in orders:
        moments |= {order.since, order.until}
    times = sorted(at for at in moments if begin <= at < FOREVER)

    def held_at(at: int) -> Terms:
        versions = [r.monitor_version for results in told.values() for r in results if r.scheduled_at <= at]
        return terms_at(max(versions, default=None), at)

    history = [(at, *_status_at(at, regions, offs, windows, held_at(at))) for at in times]
    _tell(monitor, history, held_at)
    _uptime(monitor, history, log.horizon)


def _offs(revisions: list[tuple[int, str]]) -> list[tuple[int, int, str]]:
    """(from, to, state): each revision that switches off, until the next one of another state."""
    offs = []
    for place, (at, state) in enumerate(revisions):
        if state == "active" or (place and revisions[place - 1][1] == state):
            continue
        end = next((later for later, other in revisions[place + 1 :] if other != state), FOREVER)
        if at < end:
            offs.append((at, end, state))
    return offs


def _off(offs: list[tuple[int, int, str]], at: int) -> str | None:
    return next((state for start, end, state in offs if start <= at < end), None)


def _region(
    results: list[CheckResult], offs: list[tuple[int, int, str]], horizon: int, terms_of: Callable[[CheckResult], Terms]
) -> tuple[list[_Said], list[int]]:
    """The region's statuses over time, stretch by stretch between silences, and when those began."""
    silences: list[int] = []
    told = [r for r in results if r.outcome is not Outcome.UNKNOWN]
    said: list[_Said] = []
    stretch: list[CheckResult] = []
    for place, result in enumerate(told):
        stretch.append(result)
        silence = result.scheduled_at + terms_of(result).silence_ms
        switched = min((start for start, _, _ in offs if start > result.scheduled_at), default=FOREVER)
        quiet = min(silence, switched)
        later = told[place + 1].scheduled_at if place + 1 < len(told) else None
        if later is not None and later <= quiet:
            continue
        _stretch(stretch, terms_of, said)
        if later is not None or horizon > quiet or switched <= silence:
            silences.append(quiet)
        if silences[-1:] == [quiet] and said and said[-1].status is not Status.UNKNOWN:
            doubts = [
                r for r in results if r.outcome is Outcome.UNKNOWN and result.scheduled_at < r.scheduled_at <= quiet
            ]
            said.append(_Said(quiet, Status.UNKNOWN, quiet, doubts[-1] if doubts else None))
        stretch = []
    return said, silences


def _stretch(results: list[CheckResult], terms_of: Callable[[CheckResult], Terms], said: list[_Said]) -> None:
    down: list[bool | None] = []
    bad: list[bool | None] = []
    flapping: list[bool] = []
    status = Status.UNKNOWN
    for place, result in enumerate(results):
        terms = terms_of(result)
        down.append(_ladder(results, down, lambda r: r.outcome is Outcome.DOWN, terms))
        bad.append(_ladder(results, bad, lambda r: r.outcome is not Outcome.UP, terms))
        flapping.append(_flaps(results[: place + 1], flapping[-1] if flapping else False, terms))
        before = status
        if down[-1]:
            status = Status.DOWN
        elif bad[-1] or flapping[-1]:
            status = Status.DEGRADED
        elif bad[-1] is False:
            status = Status.UP
        if status is before:
            continue
        first = result
        flap = ""
        if status is Status.DOWN or (before is Status.DOWN and status is Status.DEGRADED):
            run = _run(results, down, lambda r: r.outcome is Outcome.DOWN)
            first = run[0]
            blamed = first if status is Status.DOWN else next((r for r in run if r.reason is not Reason.OK), first)
        elif status is Status.DEGRADED and not bad[-1]:
            blamed = None
        elif status is Status.UP and place and flapping[place - 1]:
            blamed = result
        else:
            run = _run(results, bad, lambda r: r.outcome is not Outcome.UP)
            first = blamed = run[0]
        if status is Status.DEGRADED and flapping[-1] and (blamed is None or blamed.reason is Reason.OK):
            flap, blamed = f"{_changes(results[: place + 1])} changes in the last 20 results", result
        at = first.scheduled_at
        if said and at <= said[-1].at:
            at = said.pop().at
        said.append(_Said(at, status, result.scheduled_at, blamed, flap))


def _ladder(
    results: list[CheckResult], states: list[bool | None], is_bad: Callable[[CheckResult], bool], terms: Terms
) -> bool | None:
    """Whether the ladder is bad after the result at `len(states)`; None while nothing is known."""
    place = len(states)
    state = states[-1] if states else None
    if state is None and not is_bad(results[place]):
        return False
    wanted = not state
    count = 0
    for back in range(place, -1, -1):
        earlier = states[back - 1] if back else None
        if is_bad(results[back]) is not wanted or earlier is not state:
            break
        count += 1
    if is_bad(results[place]) is wanted and count >= (terms.confirmations if wanted else terms.recoveries):
        return wanted
    return state


def _run(
    results: list[CheckResult], states: list[bool | None], is_bad: Callable[[CheckResult], bool]
) -> list[CheckResult]:
    """The results that made the ladder what it is after its newest step."""
    place = len(states) - 1
    before = states[place - 1] if place else None
    if before is None and states[place] is False:
        return [results[place]]
    run = []
    for back in range(place, -1, -1):
        earlier = states[back - 1] if back else None
        if is_bad(results[back]) is not states[place] or earlier is not before:
            break
        run.insert(0, results[back])
    return run


def _steps(results: list[CheckResult]) -> list[bool]:
    """From newest to oldest, at most 20: did the outcome change?"""
    pairs = list(pairwise(results))[-20:]
    return [old.outcome is not new.outcome for old, new in reversed(pairs)]


def _changes(results: list[CheckResult]) -> int:
    return sum(_steps(results))


def _flaps(results: list[CheckResult], flapped: bool, terms: Terms) -> bool:
    if not terms.flap_start or len(results) < 2:
        return False
    weight = sum(120 - 2 * age for age, changed in enumerate(_steps(results)) if changed)
    return 100 * weight >= (terms.flap_stop if flapped else terms.flap_start) * 2020


def _status_at(
    at: int,
    regions: dict[str, list[_Said]],
    offs: list[tuple[int, int, str]],
    windows: list[tuple[int, int]],
    terms: Terms,
) -> tuple[str, dict[str, _Said]]:
    """The status (or `deleted`), and what the regions behind it say."""
    state = _off(offs, at)
    if state is not None:
        return state, {}
    if any(start <= at < end for start, end in windows):
        return Status.MAINTENANCE, {}
    says = {name: [s for s in said if s.at <= at][-1] for name, said in regions.items() if said and said[0].at <= at}
    live = {name: one for name, one in says.items() if one.status is not Status.UNKNOWN}
    if not live:
        return Status.UNKNOWN, {name: one for name, one in says.items() if one.first}
    quorum = min(terms.quorum, len(live)) if terms.quorum else len(live) // 2 + 1
    downs = {name: one for name, one in live.items() if one.status is Status.DOWN}
    if len(downs) >= quorum:
        return Status.DOWN, downs
    bads = {name: one for name, one in live.items() if one.status in BAD}
    if len(bads) >= quorum:
        return Status.DEGRADED, bads
    return Status.UP, {name: one for name, one in live.items() if one.status is Status.UP}


def _tell(
    monitor: ExpectedMonitor, history: list[tuple[int, str, dict[str, _Said]]], held_at: Callable[[int], Terms]
) -> None:
    incident: dict[str, object] = {}
    incidents: list[dict[str, object]] = []
    status, since, reason = "", 0, Reason.NO_RESULTS
    for at, now, behind in history:
        if now != status:
            decided_at = max([at, *(one.decided_at for one in behind.values())])
            reason, message = _why(now, behind)
            before, after = _public(status), _public(now)
            if before is not after:
                monitor.changes.append(ExpectedChange(at, decided_at, before, after, reason, message))
            incident = _turn(incident, incidents, at, decided_at, now, behind, reason, message, held_at)
            status, since = now, at
        if now in BAD:
            incident["regions"] |= set(behind)
            incident["components"] |= {
                component.name
                for one in behind.values()
                for component in (one.first.components if one.first else ())
                if component.outcome is not Outcome.UP
            }
    monitor.current = ExpectedStatus(_public(status), since, reason, status == "deleted")
    monitor.incidents = [_finished(one) for one in incidents]


def _turn(
    incident: dict,
    incidents: list,
    at: int,
    decided_at: int,
    now: str,
    behind: dict,
    reason: Reason,
    message: str,
    held_at: Callable[[int], Terms],
) -> dict:
    is_open = bool(incident) and not incident["resolved_at"]
    shown = _public(now)
    if now in BAD:
        if is_open:
            rank = [Status.DEGRADED, Status.DOWN]
            turn = rank.index(Status(now)) - rank.index(incident["bad"])
            kind = (EntryKind.UPDATE, EntryKind.ESCALATED, EntryKind.EASED)[turn]
        elif incident and incident["relapse_until"] and at <= incident["relapse_until"]:
            kind, incident["resolved_at"] = EntryKind.REOPENED, 0
        else:
            kind = EntryKind.OPENED
            incident = {
                "opened_at": at,
                "decided_at": decided_at,
                "resolved_at": 0,
                "relapse_until": 0,
                "reason": reason,
                "message": message,
                "worst": Status.DEGRADED,
                "regions": set(),
                "components": set(),
                "entries": [],
            }
            incidents.append(incident)
        incident["bad"] = Status(now)
        if now == Status.DOWN:
            incident["worst"] = Status.DOWN
        incident["entries"].append((kind, at, shown))
    elif is_open and now in (Status.UP, Status.PAUSED, "deleted"):
        incident["resolved_at"] = at
        incident["relapse_until"] = at + held_at(at).reopen_gap_ms if now == Status.UP else 0
        incident["entries"].append((EntryKind.RESOLVED, at, shown))
    elif is_open:
        incident["entries"].append((EntryKind.UPDATE, at, shown))
    elif incident and now in (Status.PAUSED, "deleted"):
        incident["relapse_until"] = 0
    return incident


def _finished(incident: dict) -> ExpectedIncident:
    return ExpectedIncident(
        state=IncidentState.RESOLVED if incident["resolved_at"] else IncidentState.OPEN,
        severity=Severity(incident["worst"].value),
        opened_at=incident["opened_at"],
        decided_at=incident["decided_at"],
        resolved_at=incident["resolved_at"],
        reason=incident["reason"],
        message=incident["message"],
        regions=tuple(sorted(incident["regions"])),
        components=tuple(sorted(incident["components"])),
        entries=tuple(incident["entries"]),
    )


def _why(status: str, behind: dict[str, _Said]) -> tuple[Reason, str]:
    if status in BAD:
        _, one = min(behind.items(), key=lambda item: (item[1].at, item[0]))
        return one.reason, one.message
    if status == Status.UNKNOWN:
        if not behind:
            return Reason.NO_RESULTS, ""
        _, one = max(behind.items(), key=lambda item: (item[1].at, item[0]))
        return one.reason, one.message
    texts = {Status.PAUSED: "The monitor was paused.", "deleted": "The monitor was deleted."}
    return Reason.OK, texts.get(status, "")


def _public(status: str) -> Status:
    return Status.UNKNOWN if status in ("", "deleted") else Status(status)


def _uptime(monitor: ExpectedMonitor, history: list[tuple[int, str, object]], horizon: int) -> None:
    for (at, status, _), following in zip(history, [*history[1:], (horizon, "", None)], strict=True):
        until = min(following[0], horizon)
        for step, size in (("hour", HOUR_MS), ("day", DAY_MS)):
            moment = at
            while moment < until and status != "deleted":
                bucket = moment - moment % size
                end = min(bucket + size, until)
                spans = monitor.uptime.setdefault((step, bucket), dict.fromkeys(Status, 0))
                spans[Status(status)] += end - moment
                moment = end


def _latency(monitor: ExpectedMonitor, counted: dict[tuple[str, int], CheckResult]) -> None:
    for (region, at), result in counted.items():
        if result.outcome not in (Outcome.UP, Outcome.DEGRADED) or result.overloaded or not result.total_us:
            continue
        place = (region, at - at % HOUR_MS)
        checks, total_us, bins = monitor.latency.get(place, (0, 0, {}))
        found = floor(log2(result.total_us / 1000) * 8) if result.total_us > 1000 else 0
        found = min(found, 127)
        monitor.latency[place] = (checks + 1, total_us + result.total_us, bins | {found: bins.get(found, 0) + 1})


def _components(monitor: ExpectedMonitor, region: str, told: list[CheckResult], silences: list[int]) -> None:
    documents = [r for r in told if r.components or r.outcome is Outcome.UP]
    for component in documents[-1].components if documents else ():
        since = documents[-1].scheduled_at
        quiet = next((at for at in silences if at > since), None)
        for earlier in reversed(documents):
            if component not in earlier.components or any(earlier.scheduled_at < at <= since for at in silences):
                break
            since = earlier.scheduled_at
        said = (since, component.outcome, component.message) if quiet is None else (quiet, Outcome.UNKNOWN, "")
        monitor.components[region, component.name] = said
