"""Facts as columns of ClickHouse's tables. Times are milliseconds, in the tables' own precision."""

from collections.abc import Iterable
from itertools import chain, repeat
from typing import Any, Final

import msgspec

from schemas.enums import Outcome
from schemas.events import CheckResult, Component, CorrectionOrdered, Evidence, Failure, Incident, StatusChange
from stream.folds import ComponentStatus, CurrentStatus, History, LatencyHour, UptimeBucket
from stream.sink import Insert

MAX_DELAY_MS: Final = (1 << 32) - 1
_RESULT_NAMES: Final = (
    "monitor",
    "region",
    "scheduled_at",
    "version",
    "started_delay_ms",
    "monitor_version",
    "outcome",
    "reason",
    "status_code",
    "dns_us",
    "connect_us",
    "tls_us",
    "ttfb_us",
    "transfer_us",
    "total_us",
    "overloaded",
    "late",
    "message",
    "detail",
)
_json: Final = msgspec.json.Encoder()


class Detail(msgspec.Struct, omit_defaults=True):
    """What the raw table keeps as JSON of a result that was not up."""

    failures: tuple[Failure, ...] = ()
    components: tuple[Component, ...] = ()
    evidence: Evidence | None = None


class Results:
    """Raw results of many batches; results of one batch share region and version."""

    def __init__(self) -> None:
        self._results: list[CheckResult] = []
        self._shared: list[tuple[int, str, int, bool]] = []

    def __len__(self) -> int:
        return len(self._results)

    def add(self, results: list[CheckResult], region: str, version: int, *, late: bool) -> None:
        """Results of one event."""
        if results:
            self._results += results
            self._shared.append((len(results), region, version, late))

    def insert(self) -> Insert:
        """All of them."""
        results, shared = self._results, self._shared
        columns: list[list[Any]] = [
            [r.monitor for r in results],
            [*chain.from_iterable(repeat(region, count) for count, region, _, _ in shared)],
            [r.scheduled_at for r in results],
            [*chain.from_iterable(repeat(version, count) for count, _, version, _ in shared)],
            [min(max(r.started_at - r.scheduled_at, 0), MAX_DELAY_MS) for r in results],
            [r.monitor_version for r in results],
            [r.outcome for r in results],
            [r.reason for r in results],
            [r.status_code for r in results],
            [r.dns_us for r in results],
            [r.connect_us for r in results],
            [r.tls_us for r in results],
            [r.ttfb_us for r in results],
            [r.transfer_us for r in results],
            [r.total_us for r in results],
            [r.overloaded for r in results],
            [*chain.from_iterable(repeat(late, count) for count, _, _, late in shared)],
            [r.message for r in results],
            ["" if r.outcome is Outcome.UP else _detail(r) for r in results],
        ]
        return Insert("check_results", _RESULT_NAMES, columns)


def _detail(result: CheckResult) -> str:
    if not (result.failures or result.components or result.evidence):
        return ""
    return _json.encode(Detail(result.failures, result.components, result.evidence)).decode()


def of_changes(changes: Iterable[StatusChange]) -> Insert:
    """Rows of `status_changes`."""
    names = (
        "monitor",
        "at",
        "version",
        "decided_at",
        "previous",
        "status",
        "reason",
        "message",
        "incident",
        "withdrawn",
    )
    return Insert.of_rows("status_changes", names, (_values(change, names) for change in changes))


def of_current(statuses: Iterable[CurrentStatus]) -> Insert:
    """Rows of `current_status`."""
    names = ("monitor", "version", "status", "since", "known_until", "reason", "message", "incident", "deleted")
    return Insert.of_rows("current_status", names, (_values(status, names) for status in statuses))


def of_components(components: Iterable[ComponentStatus]) -> Insert:
    """Rows of `components`."""
    names = ("monitor", "region", "component", "version", "at", "outcome", "message", "gone")
    return Insert.of_rows("components", names, (_values(component, names) for component in components))


def of_incidents(incidents: Iterable[Incident]) -> Insert:
    """Rows of `incidents`."""
    plain = ("monitor", "id", "version", "state", "severity", "opened_at", "decided_at", "reason", "message")
    names = (*plain, "resolved_at", "regions", "components", "failures", "evidence", "entries")
    rows = (
        (
            *_values(incident, plain),
            incident.resolved_at or None,
            list(incident.regions),
            list(incident.components),
            _json.encode(incident.failures).decode(),
            _json.encode(incident.evidence).decode() if incident.evidence else "",
            [(entry.kind, entry.at, entry.status, entry.message, entry.by) for entry in incident.entries],
        )
        for incident in incidents
    )
    return Insert.of_rows("incidents", names, rows)


def of_uptime(buckets: Iterable[UptimeBucket]) -> Insert:
    """Rows of `uptime_buckets`, which keeps nothing itself: its views do."""
    names = (
        "monitor",
        "step",
        "bucket",
        "version",
        "known_until",
        "up_ms",
        "degraded_ms",
        "down_ms",
        "unknown_ms",
        "maintenance_ms",
        "paused_ms",
    )
    rows = ((b.monitor, b.step, b.bucket // 1000, b.version, b.known_until, *b.spans_ms) for b in buckets)
    return Insert.of_rows("uptime_buckets", names, rows)


def of_latency(hours: Iterable[LatencyHour]) -> Insert:
    """Rows of `latency_hourly`."""
    names = (
        "monitor",
        "region",
        "bucket",
        "version",
        "checks",
        "dns_us",
        "connect_us",
        "tls_us",
        "ttfb_us",
        "transfer_us",
        "total_us",
        "histogram",
    )
    rows = ((h.monitor, h.region, h.bucket // 1000, h.version, h.checks, *h.phases_us, h.histogram) for h in hours)
    return Insert.of_rows("latency_hourly", names, rows)


def of_correction(order: CorrectionOrdered, version: int, before: History, after: History | None = None) -> Insert:
    """The row of `corrections` before anything of it is written; with `after`, when all of it is."""
    plain = ("monitor", "id", "kind", "at", "since", "until", "region", "undoes", "by", "reason")
    names = (*plain, "stage", "version", "policy", "before", "after")
    told = [_json.encode(one).decode() if one is not None else "" for one in (order.policy, before, after)]
    return Insert.of_rows("corrections", names, [(*_values(order, plain), int(after is not None), version, *told)])


def _values(fact: object, names: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(getattr(fact, name) for name in names)
