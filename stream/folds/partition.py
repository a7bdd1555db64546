"""The fold of one partition of the log: (state, event) -> (state, facts)."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from schemas.events import CheckBatch, CheckResult, LogEvent, MaintenanceRevised, MonitorRevised, Tick
from stream.folds.facts import CurrentStatus, Facts, UptimeBucket
from stream.folds.latency import HOUR_MS
from stream.folds.monitor import NOT_MAINTAINED, WINDOW_MS, MonitorFold
from stream.folds.terms import DEFAULT_TERMS, Terms, TermsOf

SKEW_MS: Final = 60_000
"""A result may be scheduled so much after its batch was sent: clocks differ."""

FoldedEvent = CheckBatch | Tick | MonitorRevised | MaintenanceRevised
"""A correction folds a whole history anew, see `rewriting`."""


class StateRow(NamedTuple):
    """A monitor's state after the event at `version`: equal bytes for equal logs."""

    monitor: str
    version: int
    state: bytes


class LogClock(msgspec.Struct, array_like=True):
    """Time as the partition's log tells it."""

    log_time: int = 0
    """The highest `sent_at` or tick."""
    horizon: int = 0
    """The highest tick, or what nothing that comes can change any more."""
    maintained: int = NOT_MAINTAINED
    """The newest version of a maintenance that the log was told of."""


class PartitionFold:
    """Folds a partition's events in the log's order. A result is folded once, however often it is in the log.

    Snapshot: `position_state` in the row of the partition's position, `changed` as the rows of its monitors; a
    monitor's row may be newer than the position, its state then skips the events it knows.
    """

    def __init__(self, terms: TermsOf) -> None:
        self._terms = terms
        self.monitors: dict[str, MonitorFold] = {}
        self._over: dict[str, bytes] = {}
        """Monitors that are over, as the snapshot keeps them, until an event names them."""
        self.clock = LogClock()
        self._version = -1

    def missing_terms(self, event: LogEvent) -> set[tuple[str, int]]:
        """What `terms` must know before `fold(event)`: (monitor, version)."""
        if not isinstance(event, CheckBatch):
            return set()
        monitors = self.monitors
        return {
            (result.monitor, result.monitor_version)
            for result in event.results
            if ((monitor := monitors.get(result.monitor)) is None or not monitor.terms.knows(result.monitor_version))
            and self._terms(result.monitor, result.monitor_version) is None
        }

    def fold(self, version: int, event: FoldedEvent) -> Facts:
        """The facts of one event; `version` is epoch << 48 | its offset, and grows from event to event."""
        self._version = version
        if isinstance(event, CheckBatch):
            return self._fold_batch(version, event)
        if isinstance(event, MonitorRevised | MaintenanceRevised):
            return self._fold_revision(version, event)
        return self._fold_tick(version, event.at)

    def changed(self) -> Iterator[StateRow]:
        """The states of the monitors that events have changed since the last call, in the order of their names."""
        for name in sorted(name for name, monitor in self.monitors.items() if monitor.changed):
            monitor = self.monitors[name]
            monitor.changed = False
            monitor.horizon = max(monitor.horizon, self.clock.horizon)
            row = StateRow(name, self._version, monitor.encode(self._version))
            if monitor.is_over:
                self._over[name] = row.state
                del self.monitors[name]
            yield row

    def load(self, monitor: str, state: bytes) -> None:
        """Take a monitor's state from a snapshot. Raises msgspec.DecodeError."""
        loaded = MonitorFold.decode(monitor, state)
        if loaded.is_over:
            self._over[monitor] = state
        else:
            self.monitors[monitor] = loaded

    def begin_log(self, version: int) -> None:
        """The states are of a log that is gone; in this one, above `version`, those of records count from 0 again.

        Time goes on from where the states are: what is settled in them stays so.
        """
        self._version = version
        for name in [*self._over]:
            self.monitor(name)
        clock = self.clock
        for monitor in self.monitors.values():
            monitor.begin_log()
            clock.horizon = max(clock.horizon, monitor.horizon)
            clock.log_time = max(clock.log_time, monitor.known_until)

    def position_state(self) -> bytes:
        """What the partition itself knows; belongs into the row of its position, so that both are of one event."""
        return msgspec.msgpack.encode(self.clock)

    def load_position(self, state: bytes) -> None:
        """Take what `position_state` gave at the position after which events will be folded."""
        self.clock = msgspec.msgpack.decode(state, type=LogClock)

    def monitors_in(self, maintenance: str) -> set[str]:
        """The monitors that the maintenance may still bring into maintenance."""
        named = (name for name, state in self._over.items() if maintenance.encode() in state)
        over = (MonitorFold.decode(name, self._over[name]) for name in named)
        return {monitor.name for monitor in (*self.monitors.values(), *over) if monitor.is_in(maintenance)}

    def is_before(self, monitor: str, version: int) -> bool:
        """Whether the monitor is known, and its state is of before the event at `version`."""
        known = monitor in self.monitors or monitor in self._over
        return known and self.monitor(monitor).version < version

    def beside(self) -> "PartitionFold":
        """An empty fold under the same terms."""
        return PartitionFold(self._terms)

    def monitor(self, name: str) -> MonitorFold:
        """The monitor, as an event names it: one that was over is looked at again, a new one begins."""
        if name not in self.monitors:
            state = self._over.pop(name, None)
            self.monitors[name] = MonitorFold.decode(name, state) if state else MonitorFold(name)
        return self.monitors[name]

    def put(self, version: int, monitor: MonitorFold) -> None:
        """Let a monitor that was folded anew stand in the place of the old one, as of the event at `version`."""
        self._version = version
        self.monitors[monitor.name] = monitor

    def _fold_batch(self, version: int, batch: CheckBatch) -> Facts:
        facts, clock, region = Facts(version, batch.region), self.clock, batch.region
        clock.log_time = max(clock.log_time, batch.sent_at)
        earliest, latest = clock.log_time - WINDOW_MS, batch.sent_at + SKEW_MS
        monitors, horizon, find_terms = self.monitors, clock.horizon, self._find_terms
        different: dict[str, MonitorFold] = {}
        for result in batch.results:
            if not earliest <= result.scheduled_at <= latest:
                facts.late.append(result)
                continue
            monitor = monitors.get(result.monitor) or self.monitor(result.monitor)
            if version <= monitor.version:
                continue
            monitor.horizon = horizon
            if monitor.take(region, result, facts, find_terms):
                different[monitor.name] = monitor
        if facts.late:
            facts.late = _last_of_each(facts.late)
        if horizon < (settled := earliest - earliest % HOUR_MS):
            clock.horizon = settled
            self._pass_time(facts, different)
        else:
            for monitor in different.values():
                monitor.tell(facts)
        return facts

    def _fold_revision(self, version: int, event: MonitorRevised | MaintenanceRevised) -> Facts:
        facts = Facts(version)
        if isinstance(event, MaintenanceRevised):
            self.clock.maintained = max(self.clock.maintained, event.version)
        monitor = self.monitor(event.monitor)
        if version <= monitor.version:
            return facts
        monitor.horizon = self.clock.horizon
        earliest = self.clock.log_time - WINDOW_MS
        if isinstance(event, MonitorRevised):
            monitor.revise(event, earliest)
        else:
            monitor.maintain(event, earliest)
        monitor.tell(facts)
        return facts

    def _fold_tick(self, version: int, at: int) -> Facts:
        facts, clock = Facts(version), self.clock
        clock.log_time = max(clock.log_time, at)
        clock.horizon = max(clock.horizon, at)
        self._pass_time(facts, {})
        return facts

    def _pass_time(self, facts: Facts, different: dict[str, MonitorFold]) -> None:
        """Time is at the horizon: tell of what is different, by now too, and of those whose moment has come."""
        horizon, cut = self.clock.horizon, self.clock.log_time - WINDOW_MS
        due = [one for one in self.monitors.values() if one.due_at < horizon or one.tell_at <= horizon]
        waiting = [monitor for monitor in due if monitor.version < facts.version]
        for monitor in waiting:
            if monitor.due_at < horizon and monitor.pass_time(horizon):
                different[monitor.name] = monitor
        for monitor in different.values():
            monitor.tell(facts)
        for monitor in waiting:
            if monitor.tell_at <= horizon:
                monitor.horizon = horizon
                monitor.tell_time(cut, facts)
        facts.uptime = _newest_buckets(facts.uptime)
        facts.current = _newest_statuses(facts.current)

    def _find_terms(self, monitor: str, version: int) -> Terms:
        return self._terms(monitor, version) or DEFAULT_TERMS


def _last_of_each(results: list[CheckResult]) -> list[CheckResult]:
    return list({(result.monitor, result.scheduled_at): result for result in results}.values())


def _newest_buckets(buckets: list[UptimeBucket]) -> list[UptimeBucket]:
    return list({(bucket.monitor, bucket.step, bucket.bucket): bucket for bucket in buckets}.values())


def _newest_statuses(statuses: list[CurrentStatus]) -> list[CurrentStatus]:
    return list({status.monitor: status for status in statuses}.values())
