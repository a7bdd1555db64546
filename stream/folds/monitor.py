"""The fold of one monitor: what its regions say, what people have decided, and the facts that come of both.

What was told is compared with what holds after an event, and the difference is told: so a late result corrects
what it changes and nothing else.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from schemas.events import CheckResult, MaintenanceRevised, MonitorRevised
from stream.folds.facts import ComponentStatus, CurrentStatus, Facts, LatencyHour, UptimeBucket
from stream.folds.region import FOREVER, Span
from stream.folds.story import NEVER, STATUSES_OF, Change, Story, Trouble, change_of, incident_id, incident_of
from stream.folds.terms import Terms
from stream.folds.timeline import GONE, MAINTENANCE, PAUSED, Moment, moments
from stream.folds.uptime import Bucket, Uptime
from stream.folds.watched import StoredRegion, Watched

WINDOW_MS: Final = 600_000
SLACK_MS: Final = 300_000
"""So much longer than the window results are kept, so that not every result has to move the base."""
_OFF: Final = {"paused": PAUSED, "deleted": GONE}

FindTerms = Callable[[str, int], Terms]


class Window(msgspec.Struct, frozen=True, array_like=True):
    """A maintenance, as long as one revision of it held."""

    id: str
    start: int
    end: int


class StoredMonitor(msgspec.Struct, array_like=True):
    """A monitor as a snapshot keeps it."""

    version: int
    horizon: int
    start: int
    uptime: Uptime
    story: Story
    offs: list[Span]
    revised_at: int
    windows: list[Window]
    terms: list[tuple[int, Terms]]
    regions: list[StoredRegion]


class Told(NamedTuple):
    """What holds from the settled time on, as it was last told."""

    segments: list[tuple[int, int]]
    changes: dict[int, Change]
    troubles: dict[int, Trouble]
    story: Story


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(StoredMonitor)


class MonitorFold:
    """The state of a monitor."""

    __slots__ = (
        "changed",
        "due_at",
        "horizon",
        "name",
        "offs",
        "regions",
        "revised_at",
        "start",
        "story",
        "terms",
        "told",
        "uptime",
        "version",
        "windows",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = -1
        """Of the snapshot it was loaded from: the events up to it are folded already."""
        self.horizon = 0
        """The newest tick it knows."""
        self.start = FOREVER
        self.uptime = Uptime()
        self.story = Story()
        self.offs: list[Span] = []
        self.revised_at = 0
        self.windows: list[Window] = []
        self.terms: dict[int, Terms] = {}
        self.regions: dict[str, Watched] = {}
        self.told = Told([], {}, {}, self.story)
        self.due_at = -1
        """No tick up to this time changes anything."""
        self.changed = False
        """Since the last snapshot."""

    def take(self, region_name: str, result: CheckResult, facts: Facts, find_terms: FindTerms) -> bool:
        """Fold a result that is inside the window; returns whether the monitor must `tell`."""
        region = self.regions.get(region_name)
        if region is None:
            region = self.regions[region_name] = Watched()
        at, version, newest, head = result.scheduled_at, result.monitor_version, region.newest, region.head
        kept = region.keep(result)
        if kept is None:
            return False
        self.changed = True
        if at <= newest:
            facts.results = [one for one in facts.results if one.monitor != self.name or one.scheduled_at != at]
        facts.results.append(result)
        in_order = at > newest and at > head.quiet_at
        if (
            in_order
            and kept.outcome == region.calm
            and kept.details == region.calm_details
            and version == head.version
            and at <= head.last_at + head.silence_ms
        ):
            head.last_at = at
            return False
        if version not in self.terms:
            self.terms[version] = find_terms(self.name, version)
        if in_order:
            different = region.step(kept, self.terms[version], self.offs)
        else:
            different = region.make_head(self.terms, self.offs, self.horizon)
        if region.head.last_at:
            self.due_at = min(self.due_at, region.head.quiet_from(self.offs))
        if at < self.start:
            self.start, different = at, True
        return different

    def revise(self, event: MonitorRevised, earliest: int) -> None:
        """Switch the monitor on or off, not before `earliest` nor before the revision before."""
        at = max(event.at, earliest, self.revised_at)
        off = _OFF.get(event.state)
        current = self.offs[-1] if self.offs and self.offs[-1][1] == FOREVER else None
        if current and current[2] != off:
            self.offs[-1:] = [(current[0], at, current[2])] if current[0] < at else []
        if off is not None and (current is None or current[2] != off):
            self.offs.append((at, FOREVER, off))
        self.revised_at = at
        self._begin(at)

    def maintain(self, event: MaintenanceRevised, earliest: int) -> None:
        """Plan, change or cancel a maintenance; what is older than `earliest` stays as it was."""
        held = [
            Window(window.id, window.start, min(window.end, earliest)) if window.id == event.id else window
            for window in self.windows
        ]
        planned = Window(event.id, max(event.starts_at, earliest), event.ends_at)
        self.windows = sorted(
            (window for window in (*held, planned) if window.start < window.end),
            key=lambda window: (window.start, window.end, window.id),
        )
        self._begin(max(event.at, earliest))

    def _begin(self, at: int) -> None:
        self.start = min(self.start, at)
        self.due_at = -1
        self.changed = True
        for region in self.regions.values():
            region.make_head(self.terms, self.offs, self.horizon)

    def pass_time(self, horizon: int) -> bool:
        """A tick beyond `due_at`; returns whether the monitor must `tell`."""
        different = [region.quieten(horizon, self.offs) for region in self.regions.values()]
        begun = any(self.due_at < window.start <= horizon for window in self.windows)
        self.horizon = horizon
        quiets = [region.head.quiet_from(self.offs) for region in self.regions.values() if region.head.last_at]
        self.due_at = min([*quiets, *(window.start - 1 for window in self.windows if window.start > horizon), FOREVER])
        return any(different) or begun

    def tell(self, facts: Facts) -> None:
        """Tell the difference between what was told and what holds."""
        told, now, version = self.told, self._derive(), facts.version
        self.told, self.changed = now, True
        gone = [change for at, change in told.changes.items() if at not in now.changes]
        facts.changes += [change_of(self.name, version, change, withdrawn=True) for change in gone]
        new = [change for at, change in now.changes.items() if told.changes.get(at) != change]
        facts.changes += [change_of(self.name, version, change) for change in new]
        known_until = self.known_until
        for number, trouble in told.troubles.items():
            if number not in now.troubles:
                facts.incidents.append(incident_of(self.name, version, trouble, annulled_at=known_until))
        for number, trouble in now.troubles.items():
            if told.troubles.get(number) != trouble:
                facts.incidents.append(incident_of(self.name, version, trouble))
        if told.story != now.story:
            facts.current.append(self._current(version))
        since = _difference(told.segments, now.segments)
        if since is not None:
            self._tell_uptime(facts, self.uptime.buckets(now.segments, since, known_until))
        self._tell_components(facts)

    def tell_time(self, facts: Facts, since: int) -> None:
        """Tell what only grows with time: uptime from the bucket of `since` on, latency, until when all is known."""
        if self.told.story.status not in (NEVER, GONE):
            facts.current.append(self._current(facts.version))
        self._tell_uptime(facts, self.uptime.buckets(self.told.segments, max(since, self.start), self.known_until))
        for name, region in self.regions.items():
            for hour in region.hours.values():
                if hour.untold:
                    hour.untold, self.changed = False, True
                    facts.latency.append(
                        LatencyHour(
                            self.name,
                            name,
                            hour.bucket,
                            facts.version,
                            hour.checks,
                            hour.phases_us,
                            tuple(hour.bins),
                        )
                    )

    def is_overdue(self, region_name: str, earliest: int) -> bool:
        """Whether a region keeps results that are long settled."""
        return self.regions[region_name].oldest < earliest - SLACK_MS

    def settle(self, cut: int, facts: Facts) -> None:
        """Let go of the results before `cut`, as none will come between them any more."""
        until = min([cut, *(window.start for window in self.windows if window.start > self.horizon)])
        for region in self.regions.values():
            region.move_base(cut, self.terms, self.offs, self.horizon)
            until = min(until, region.base.settled_until(cut, self.offs))
        if until > max(self.start, self.uptime.until):
            self.uptime.until = self.uptime.until or self.start
            self.story.follow(moment for moment in self._moments() if moment.at < until)
            self.story.forget(until)
            self._tell_uptime(facts, self.uptime.settle(self.told.segments, until))
            self._forget(until)
        self.told = self._derive()

    def _forget(self, until: int) -> None:
        for region in self.regions.values():
            region.forget(until)
        self.offs = [off for off in self.offs if off[1] > until]
        self.windows = [window for window in self.windows if window.end > until]
        if len(self.terms) > 1:
            needed = set[int]().union(*(region.versions for region in self.regions.values()))
            self.terms = {version: terms for version, terms in self.terms.items() if version in needed}

    def encode(self, version: int) -> bytes:
        """The state after the event at `version`."""
        self.version = version
        return _encoder.encode(
            StoredMonitor(
                version,
                self.horizon,
                self.start,
                self.uptime,
                self.story,
                self.offs,
                self.revised_at,
                self.windows,
                sorted(self.terms.items()),
                [self.regions[name].store(name) for name in sorted(self.regions)],
            )
        )

    @classmethod
    def decode(cls, name: str, state: bytes) -> "MonitorFold":
        """From a snapshot. Raises msgspec.DecodeError."""
        stored = _decoder.decode(state)
        monitor = cls(name)
        monitor.version, monitor.horizon, monitor.start = stored.version, stored.horizon, stored.start
        monitor.uptime, monitor.story = stored.uptime, stored.story
        monitor.offs, monitor.revised_at, monitor.windows = stored.offs, stored.revised_at, stored.windows
        monitor.terms = dict(stored.terms)
        monitor.regions = {
            region.name: Watched.restore(region, monitor.terms, monitor.offs, monitor.horizon)
            for region in stored.regions
        }
        monitor.told = monitor._derive()
        return monitor

    @property
    def known_until(self) -> int:
        """The newest tick or result."""
        return max(self.horizon, self.uptime.until, *(region.newest for region in self.regions.values()), 0)

    def _moments(self) -> list[Moment]:
        windows = [(window.start, window.end, MAINTENANCE) for window in self.windows if window.start <= self.horizon]
        regions = [(name, region.head) for name, region in sorted(self.regions.items())]
        return list(moments(regions, self.offs, windows, self.uptime.until or self.start, self.terms))

    def _derive(self) -> Told:
        if self.start == FOREVER:
            return Told([], {}, {}, self.story)
        story, found = self.story.clone(), self._moments()
        changes, troubles = story.follow(found)
        segments = [
            (moment.at, moment.status)
            for place, moment in enumerate(found)
            if not place or moment.status != found[place - 1].status
        ]
        return Told(segments, {change.at: change for change in changes}, troubles, story)

    def _current(self, version: int) -> CurrentStatus:
        story = self.told.story
        trouble = story.open_trouble
        return CurrentStatus(
            self.name,
            version,
            STATUSES_OF[story.status],
            story.since,
            self.known_until,
            story.reason,
            story.message,
            incident_id(self.name, trouble.number) if trouble else "",
            story.status == GONE,
        )

    def _tell_uptime(self, facts: Facts, buckets: Iterable[Bucket]) -> None:
        for step, bucket, known_until, spans in buckets:
            facts.uptime.append(UptimeBucket(self.name, step, bucket, facts.version, known_until, spans))

    def _tell_components(self, facts: Facts) -> None:
        for name, region in self.regions.items():
            told, now = region.told_components, region.head.components
            if told == now:
                continue
            region.told_components = now
            present = {component.name for component in now}
            for component in [*now, *(one for one in told if one.name not in present)]:
                if component not in told or component.name not in present:
                    facts.components.append(
                        ComponentStatus(
                            self.name,
                            name,
                            component.name,
                            facts.version,
                            component.at,
                            component.outcome,
                            component.message,
                            component.name not in present,
                        )
                    )


def _difference(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> int | None:
    """From when on two histories differ, None where they do not."""
    for old, new in zip(before, after, strict=False):
        if old != new:
            return min(old[0], new[0])
    if len(before) == len(after):
        return None
    return max(before, after, key=len)[min(len(before), len(after))][0]
