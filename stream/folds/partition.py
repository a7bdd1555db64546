"""The fold of one partition of the log: (state, event) -> (state, facts)."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from schemas.enums import Outcome, Status
from schemas.events import CheckBatch, CheckResult, LogEvent, StatusChange, Tick
from stream.folds.facts import CurrentStatus, Facts
from stream.folds.terms import DEFAULT_TERMS, TermsOf

WINDOW_MS = 600_000


class StateRow(NamedTuple):
    """A monitor's state after the event at `version`: equal bytes for equal logs."""

    monitor: str
    version: int
    state: bytes


class _Monitor(msgspec.Struct):
    version: int = -1
    status: Status = Status.UNKNOWN
    since: int = 0
    run: int = 0
    run_at: int = 0


class PartitionFold:
    """Folds a partition's events in the log's order."""

    def __init__(self, terms: TermsOf) -> None:
        self._terms = terms
        self._monitors: dict[str, _Monitor] = {}
        self._changed: set[str] = set()
        self._log_time = 0

    def missing_terms(self, event: LogEvent) -> set[tuple[str, int]]:
        """What `terms` must know before `fold(event)`: (monitor, version)."""
        if not isinstance(event, CheckBatch):
            return set()
        names = {(result.monitor, result.monitor_version) for result in event.results}
        return {name for name in names if self._terms(*name) is None}

    def fold(self, version: int, event: LogEvent) -> Facts:
        """Facts of one event; `version` is epoch << 48 | offset of it."""
        facts = Facts(version, event.region if isinstance(event, CheckBatch) else "")
        if isinstance(event, CheckBatch):
            self._log_time = max(self._log_time, event.sent_at)
            for result in event.results:
                if result.scheduled_at < self._log_time - WINDOW_MS:
                    facts.late.append(result)
                else:
                    self._fold_result(facts, result)
        elif isinstance(event, Tick):
            self._log_time = max(self._log_time, event.at)
        return facts

    def _fold_result(self, facts: Facts, result: CheckResult) -> None:
        monitor = self._monitors.setdefault(result.monitor, _Monitor())
        if facts.version <= monitor.version:
            return
        facts.results.append(result)
        self._changed.add(result.monitor)
        seen = Status(result.outcome.value)
        if seen is monitor.status or result.outcome is Outcome.UNKNOWN:
            monitor.run = 0
            return
        if not monitor.run:
            monitor.run_at = result.scheduled_at
        monitor.run += 1
        terms = self._terms(result.monitor, result.monitor_version) or DEFAULT_TERMS
        if monitor.run >= terms.confirmations or (monitor.status is Status.UNKNOWN and seen is Status.UP):
            change = StatusChange(
                monitor=result.monitor,
                at=monitor.run_at,
                version=facts.version,
                decided_at=result.scheduled_at,
                previous=monitor.status,
                status=seen,
                reason=result.reason,
                message=result.message,
            )
            facts.changes.append(change)
            monitor.status, monitor.since, monitor.run = seen, monitor.run_at, 0
            facts.current.append(
                CurrentStatus(
                    monitor=result.monitor,
                    version=facts.version,
                    status=seen,
                    since=change.at,
                    known_until=result.scheduled_at,
                    reason=result.reason,
                    message=result.message,
                    incident="",
                    deleted=False,
                )
            )

    def changed(self) -> Iterator[StateRow]:
        """The states of the monitors that events have changed since the last call, in the order of their names."""
        for name in sorted(self._changed):
            monitor = self._monitors[name]
            yield StateRow(name, monitor.version, msgspec.msgpack.encode(monitor))
        self._changed.clear()

    def load(self, monitor: str, state: bytes) -> None:
        """Take a monitor's state from a snapshot."""
        self._monitors[monitor] = msgspec.msgpack.decode(state, type=_Monitor)

    def position_state(self) -> bytes:
        """What the partition itself knows (its log time): belongs into the row of the partition's position,
        so that both are of the same event."""
        return msgspec.msgpack.encode(self._log_time)

    def load_position(self, state: bytes) -> None:
        """Take what `position_state` gave at the position from which events will be folded."""
        self._log_time = msgspec.msgpack.decode(state, type=int)
