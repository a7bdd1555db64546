"""What ClickHouse keeps of facts: of each identity the row with the highest version."""

from dataclasses import dataclass, field
from typing import Any

from schemas.enums import IncidentState, Status
from schemas.events import CheckResult, Incident
from stream.folds import STATUSES, Facts
from tests.stream.folds.oracle import ExpectedChange, ExpectedIncident, ExpectedStatus


@dataclass
class Tables:
    """The newest row of each identity; `write` may come any number of times and in any order."""

    rows: dict[tuple[Any, ...], tuple[int, Any]] = field(default_factory=dict)

    def write(self, facts: Facts) -> None:
        """Keep what is newer than what is there. Raises AssertionError when an identity is told twice."""
        told: set[tuple[Any, ...]] = set()
        for identity, version, row in _rows(facts):
            assert identity not in told, f"told twice: {identity}"
            told.add(identity)
            kept = self.rows.get(identity)
            if kept is None or kept[0] <= version:
                self.rows[identity] = (version, row)

    def of(self, kind: str, monitor: str) -> list[Any]:
        """The rows of a table that belong to a monitor, by identity."""
        found = [(identity, row) for identity, (_, row) in self.rows.items() if identity[:2] == (kind, monitor)]
        return [row for _, row in sorted(found, key=lambda item: item[0])]

    def changes(self, monitor: str) -> list[ExpectedChange]:
        """The status changes that stand."""
        return [
            ExpectedChange(c.at, c.decided_at, c.previous, c.status, c.reason, c.message)
            for c in self.of("change", monitor)
            if not c.withdrawn
        ]

    def incidents(self, monitor: str) -> list[ExpectedIncident]:
        """The incidents that stand, by their beginning."""
        standing = [i for i in self.of("incident", monitor) if i.state is not IncidentState.ANNULLED]
        return [_incident(incident) for incident in sorted(standing, key=lambda i: i.opened_at)]

    def current(self, monitor: str) -> ExpectedStatus | None:
        """What the monitor is now."""
        rows = self.of("current", monitor)
        return ExpectedStatus(rows[0].status, rows[0].since, rows[0].reason, rows[0].deleted) if rows else None

    def uptime(self, monitor: str) -> dict[tuple[str, int], dict[Status, int]]:
        """Milliseconds by status of the buckets in which there are any."""
        return {
            (b.step, b.bucket): dict(zip(STATUSES, b.spans_ms, strict=True))
            for b in self.of("uptime", monitor)
            if any(b.spans_ms)
        }

    def latency(self, monitor: str) -> dict[tuple[str, int], tuple[int, int, dict[int, int]]]:
        """Checks, sum of total_us, counts by bin, of the hours in which there are any."""
        return {
            (h.region, h.bucket): (h.checks, h.phases_us[5], {b: n for b, n in enumerate(h.histogram) if n})
            for h in self.of("latency", monitor)
            if h.checks
        }

    def components(self, monitor: str) -> dict[tuple[str, str], tuple[int, Any, str]]:
        """Since, outcome, message of the components that are there."""
        return {
            (c.region, c.component): (c.at, c.outcome, c.message) for c in self.of("component", monitor) if not c.gone
        }

    def results(self, monitor: str) -> dict[tuple[str, int], CheckResult]:
        """The results that were folded."""
        return {(region, r.scheduled_at): r for late, region, r in self.of("result", monitor) if not late}


def _rows(facts: Facts) -> list[tuple[tuple[Any, ...], int, Any]]:
    rows: list[tuple[tuple[Any, ...], int, Any]] = []
    for late, results, version in ((False, facts.results, facts.version), (True, facts.late, facts.late_version)):
        rows += [
            (("result", r.monitor, facts.region, r.scheduled_at), version, (late, facts.region, r)) for r in results
        ]
    rows += [(("change", c.monitor, c.at), c.version, c) for c in facts.changes]
    rows += [(("current", c.monitor), c.version, c) for c in facts.current]
    rows += [(("incident", i.monitor, i.id), i.version, i) for i in facts.incidents]
    rows += [(("uptime", b.monitor, b.step, b.bucket), b.version, b) for b in facts.uptime]
    rows += [(("latency", h.monitor, h.region, h.bucket), h.version, h) for h in facts.latency]
    rows += [(("component", c.monitor, c.region, c.component), c.version, c) for c in facts.components]
    return rows


def _incident(incident: Incident) -> ExpectedIncident:
    return ExpectedIncident(
        incident.state,
        incident.severity,
        incident.opened_at,
        incident.decided_at,
        incident.resolved_at,
        incident.reason,
        incident.message,
        incident.regions,
        incident.components,
        tuple((entry.kind, entry.at, entry.status) for entry in incident.entries if not entry.by),
    )
