"""What is known of every monitor, in memory: filled from ClickHouse, and moved on by events as they happen."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from query.reads import Bucket, ComponentState, Current, Latency
from query.uptime import DAY_MS, DAYS, HOUR_MS, HOURS, Buckets, Lasting
from schemas.enums import IncidentState
from schemas.events import Incident, StatusChange

STALE_AFTER_MS: Final = 15_000
MAX_INCIDENTS: Final = 50


class MonitorFacts:
    """What is known of one monitor."""

    __slots__ = ("components", "current", "days", "hours", "incidents", "latency")

    def __init__(self) -> None:
        self.current: Current | None = None
        self.days = Buckets(DAY_MS, DAYS)
        self.hours = Buckets(HOUR_MS, HOURS)
        self.components: tuple[ComponentState, ...] = ()
        self.latency: Latency | None = None
        self.incidents: dict[str, Incident] = {}

    @property
    def lasting(self) -> Lasting | None:
        """The present status, as the buckets need it to count up to the present."""
        current = self.current
        return None if current is None else Lasting(current.status, current.since, current.known_until)

    def incidents_that_were(self) -> list[Incident]:
        """Incidents that are not annulled, the newest first."""
        happened = (incident for incident in self.incidents.values() if incident.state is not IncidentState.ANNULLED)
        return sorted(happened, key=lambda incident: incident.opened_at, reverse=True)


class Facts:
    """The facts of all monitors. `on_change` is told which monitor changed in a way that a page must show at once."""

    def __init__(self, started_at: int) -> None:
        self.read_at = started_at
        """When ClickHouse was last read, or else when the service started, int ms."""
        self._started_at = started_at
        self.trouble = "ClickHouse was not read yet"
        """Why the last read failed, in words; empty when it did not."""
        self._monitors: defaultdict[str, MonitorFacts] = defaultdict(MonitorFacts)
        self._listeners: list[Callable[[str], None]] = []

    def of(self, monitor: str) -> MonitorFacts:
        """What is known of a monitor: nothing, perhaps."""
        return self._monitors[monitor] if monitor in self._monitors else MonitorFacts()

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call `listener(monitor)` after each change that matters at once."""
        self._listeners.append(listener)

    def forget_present(self, monitor: str) -> None:
        """Drop what a monitor is that was deleted; what it was is the past of one that is created under its name."""
        if monitor in self._monitors:
            self._monitors[monitor].current = None

    def stale_since(self, now: int) -> int | None:
        """Since when nothing could be read from ClickHouse, int ms; None while all is well."""
        if not self.trouble:
            return None
        was_never_read = self.read_at == self._started_at
        return self.read_at if was_never_read or now - self.read_at > STALE_AFTER_MS else None

    def take_current(self, monitor: str, current: Current) -> None:
        """Take a status in, unless a newer one is known."""
        facts = self._monitors[monitor]
        known = facts.current
        if known is not None and current.version < known.version:
            return
        facts.current = current
        if known is None or (known.status, known.since, known.reason) != (
            current.status,
            current.since,
            current.reason,
        ):
            self._tell(monitor)

    def take_change(self, change: StatusChange) -> None:
        """Take a status change in, ahead of the row that ClickHouse will have of it; not one of the past, corrected."""
        known = self.of(change.monitor).current
        if known is not None and change.at < known.since:
            return
        self.take_current(
            change.monitor,
            Current(change.version, change.status, change.at, change.decided_at, change.reason, change.message),
        )

    def take_incident(self, incident: Incident) -> None:
        """Take an incident in, unless a newer version of it is known; the oldest gives way beyond MAX_INCIDENTS."""
        incidents = self._monitors[incident.monitor].incidents
        known = incidents.get(incident.id)
        if known is not None and incident.version <= known.version:
            return
        incidents[incident.id] = incident
        if len(incidents) > MAX_INCIDENTS:
            del incidents[min(incidents, key=lambda each: incidents[each].opened_at)]
        self._tell(incident.monitor)

    def take_day(self, monitor: str, bucket: Bucket) -> None:
        """Take a day of uptime in."""
        self._monitors[monitor].days.put(bucket.begin, bucket.known_until, bucket.spans_ms)

    def take_hour(self, monitor: str, bucket: Bucket) -> None:
        """Take an hour of uptime in."""
        self._monitors[monitor].hours.put(bucket.begin, bucket.known_until, bucket.spans_ms)

    def take_latencies(self, latencies: Mapping[str, Latency]) -> None:
        """Take in the latency of all monitors over the last hours: who is not among them has not answered since."""
        for monitor in latencies.keys() | self._monitors.keys():
            self._monitors[monitor].latency = latencies.get(monitor)

    def take_components(self, components: Iterable[tuple[str, ComponentState]]) -> None:
        """Take in the components of all monitors: who has none among them has none."""
        found: defaultdict[str, list[ComponentState]] = defaultdict(list)
        for monitor, component in components:
            found[monitor].append(component)
        for monitor in found.keys() | self._monitors.keys():
            now = tuple(found.get(monitor, ()))
            before = self._monitors[monitor].components
            self._monitors[monitor].components = now
            if [(each.name, each.outcome) for each in before] != [(each.name, each.outcome) for each in now]:
                self._tell(monitor)

    def _tell(self, monitor: str) -> None:
        for listener in self._listeners:
            listener(monitor)
