"""The fold of one monitor: what its regions say, what people have decided, and the facts that come of both.

What was told is compared with what holds after an event, and the difference is told: so a late result corrects
what it changes and nothing else.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from sys import intern
from typing import Final, NamedTuple
from zlib import crc32

import msgspec
from msgspec.structs import replace

from schemas.enums import CorrectionKind
from schemas.events import (
    CheckResult,
    CorrectionOrdered,
    Incident,
    MaintenanceRevised,
    MonitorRevised,
    StatusChange,
)
from schemas.monitors import told_every_ms
from stream.folds.facts import STATUSES, ComponentStatus, CurrentStatus, Facts, LatencyHour, UptimeBucket
from stream.folds.latency import Hour
from stream.folds.region import FOREVER, Offs, Region
from stream.folds.story import NEVER, STATUSES_OF, Change, Notes, Story, Trouble, change_of, incident_id, incident_of
from stream.folds.tail import UNKNOWN, UP, Details
from stream.folds.terms import HeldTerms, KnownTerms, Terms
from stream.folds.timeline import BAD_STATUSES, GONE, MAINTENANCE, PAUSED, Moment, moments, terms_at
from stream.folds.uptime import Bucket, Uptime
from stream.folds.watched import StoredRegion, Watched

WINDOW_MS: Final = 600_000
NOT_MAINTAINED: Final = -1
MORE_THAN_A_LOG: Final = 1 << 48
"""No log holds so many versions of a monitor."""
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
    told_at: int
    tell_at: int
    settles: bool
    start: int
    uptime: Uptime
    story: Story
    offs: Offs
    revised_at: int
    windows: tuple[Window, ...]
    maintained: int
    corrections: tuple[CorrectionOrdered, ...]
    notes: tuple[tuple[int, Notes], ...]
    terms: KnownTerms
    regions: list[StoredRegion]
    told: bytes


class Told(NamedTuple):
    """What holds from the settled time on, as it was last told."""

    segments: list[tuple[int, int]]
    changes: dict[int, Change]
    troubles: dict[int, Trouble]
    story: Story


_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder(StoredMonitor).decode
_unpack_told: Final = msgspec.msgpack.Decoder(Told).decode
_QUIET: Final = b""
_NOTHING_TOLD: Final = _pack(Told([], {}, {}, Story()))


class MonitorFold:
    """The state of a monitor."""

    __slots__ = (
        "_told",
        "changed",
        "corrections",
        "due_at",
        "horizon",
        "maintained",
        "name",
        "notes",
        "offs",
        "regions",
        "revised_at",
        "settles",
        "start",
        "story",
        "tell_at",
        "terms",
        "told_at",
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
        self.offs: Offs = ()
        self.revised_at = 0
        self.windows: tuple[Window, ...] = ()
        self.maintained = NOT_MAINTAINED
        """The newest version of a maintenance that it was told of."""
        self.corrections: tuple[CorrectionOrdered, ...] = ()
        """Replays and annulments of what is not settled yet."""
        self.notes: tuple[tuple[int, Notes], ...] = ()
        """What people wrote into the timelines of incidents that are not settled yet, by number."""
        self.terms = HeldTerms()
        self.regions: tuple[Watched, ...] = ()
        """In the order of their names."""
        self._told = _NOTHING_TOLD
        """Packed, as it is seldom asked; _QUIET where nothing has happened since the settled time."""
        self.told_at = 0
        """When `tell_time` last told."""
        self.tell_at = 0
        """When it is to tell again."""
        self.settles = False
        """Whether `tell_time` last let go of old results, which it does every other time."""
        self.due_at = -1
        """No tick up to this time changes anything."""
        self.changed = False
        """Since the last snapshot."""

    @property
    def is_over(self) -> bool:
        """Deleted, and all of it is settled and told: there is nothing to tell until an event names it."""
        return self.tell_at == FOREVER

    @property
    def told(self) -> Told:
        """What holds, as it was last told."""
        return self._quiet_told if self._told == _QUIET else _unpack_told(self._told)

    @told.setter
    def told(self, told: Told) -> None:
        self._told = _QUIET if told == self._quiet_told else _pack(told)

    @property
    def _quiet_told(self) -> Told:
        return Told([(self.uptime.until, self.story.status)], {}, {}, self.story)

    def take(self, region_name: str, result: CheckResult, facts: Facts, find_terms: FindTerms) -> bool:
        """Fold a result that is inside the window; returns whether the monitor must `tell`."""
        for region in self.regions:
            if region.name == region_name:
                break
        else:
            region = self._watch(region_name)
        self.changed = True
        begins = bool(self.windows) and self._begins_window(result.scheduled_at)
        in_order = result.scheduled_at > region.newest
        if in_order:
            facts.results.append(result)
            if region.append(result, self.terms):
                return begins
        elif region.insert(result, self.terms):
            self._replace(result, facts)
        else:
            return False
        return self._refold(region, result, in_order, find_terms) or begins

    def _begins_window(self, at: int) -> bool:
        """Whether a result is the first that shows that a maintenance has begun."""
        known_until = self.known_until
        return any(known_until < window.start <= at for window in self.windows)

    def _watch(self, name: str) -> Watched:
        region = Watched(intern(name))
        region.annulled = self._annulled_in(name)
        self.regions = tuple(sorted((*self.regions, region), key=attrgetter("name")))
        return region

    def _replace(self, result: CheckResult, facts: Facts) -> None:
        """The same event may have brought the result that this one has won over."""
        at = result.scheduled_at
        facts.results = [one for one in facts.results if one.monitor != self.name or one.scheduled_at != at]
        facts.results.append(result)

    def _refold(self, region: Watched, result: CheckResult, in_order: bool, find_terms: FindTerms) -> bool:
        self._go_on()
        at, version = result.scheduled_at, result.monitor_version
        if not self.terms.knows(version):
            self.terms.learn(version, find_terms(self.name, version))
        if in_order and at > region.wake(self.terms).quiet_at:
            different = region.step(self.terms, self.offs, self.horizon)
        else:
            different = region.make_head(self.terms, self.offs, self.horizon)
        self.due_at = min(self.due_at, region.quiet_from(self.offs))
        if at < self.start:
            self.start, different = at, True
        return different

    def revise(self, event: MonitorRevised, earliest: int) -> None:
        """Switch the monitor on or off, not before `earliest` nor before the revision before."""
        at = max(event.at, earliest, self.revised_at)
        off = _OFF.get(event.state)
        current = self.offs[-1] if self.offs and self.offs[-1][1] == FOREVER else None
        if current and current[2] != off:
            ended = [(current[0], at, current[2])] if current[0] < at else []
            self.offs = (*self.offs[:-1], *ended)
        if off is not None and (current is None or current[2] != off):
            self.offs = (*self.offs, (at, FOREVER, off))
        self.revised_at = at
        self._begin(at)

    def maintain(self, event: MaintenanceRevised, earliest: int) -> None:
        """Plan, change or cancel a maintenance, from the decision on; what was before it stays as it was."""
        if event.version <= self.maintained:
            return
        self.maintained = event.version
        since = max(event.at, earliest)
        held = [
            Window(window.id, window.start, min(window.end, since)) if window.id == event.id else window
            for window in self.windows
        ]
        planned = Window(event.id, max(event.starts_at, since), event.ends_at)
        standing = [window for window in (*held, planned) if window.start < window.end]
        self.windows = tuple(sorted(standing, key=lambda window: (window.start, window.end, window.id)))
        self._begin(since)

    def begin_log(self) -> None:
        """Have all versions of the log that is gone below those of the one that begins."""
        self.maintained, self.changed = NOT_MAINTAINED, True
        self.terms.known = tuple((version - MORE_THAN_A_LOG, terms) for version, terms in self.terms.known)
        for region in self.regions:
            region.age(MORE_THAN_A_LOG)
            region.make_head(self.terms, self.offs, self.horizon)

    def is_in(self, maintenance: str) -> bool:
        """Whether the maintenance may still bring it into maintenance."""
        return any(window.id == maintenance for window in self.windows)

    def _window_borders(self) -> Iterator[int]:
        for window in self.windows:
            yield window.start
            yield window.end

    def _begin(self, at: int) -> None:
        self._go_on()
        self.start = min(self.start, at)
        self.due_at = -1
        self.changed = True
        for region in self.regions:
            region.make_head(self.terms, self.offs, self.horizon)

    def _go_on(self) -> None:
        if self.is_over:
            self.told_at, self.tell_at = self.horizon, 0

    def pass_time(self, horizon: int) -> bool:
        """A tick beyond `due_at`; returns whether the monitor must `tell`."""
        different = any(self.due_at < border <= horizon for border in self._window_borders())
        self.horizon = horizon
        self.due_at = min([border - 1 for border in self._window_borders() if border > horizon], default=FOREVER)
        for region in self.regions:
            if region.quieten(horizon, self.terms, self.offs):
                different = True
            self.due_at = min(self.due_at, region.quiet_from(self.offs))
        return different

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
                facts.incidents.append(self._incident(version, trouble, annulled_at=known_until))
        for number, trouble in now.troubles.items():
            if told.troubles.get(number) != trouble:
                facts.incidents.append(self._incident(version, trouble))
        if told.story != now.story:
            facts.current.append(self.current(version))
        since = _difference(told.segments, now.segments)
        if since is not None:
            self._tell_uptime(facts, self.uptime.buckets(now.segments, since, known_until))
        self._tell_components(facts)
        for region in self.regions:
            region.sleep()

    def tell_time(self, cut: int, facts: Facts) -> None:
        """Tell what only grows with time: uptime, latency, until when all is known. Before `cut` nothing will come."""
        told, known_until, version = self.told, self.known_until, facts.version
        if told.story.status not in (NEVER, GONE):
            facts.current.append(self._current(version, told.story, known_until))
        if not self.is_over:
            since = max(self.told_at, self.start)
            self._tell_uptime(facts, self.uptime.buckets(told.segments, since, known_until))
        for region in self.regions:
            facts.latency += [_latency(self.name, region.name, version, hour) for hour in region.tell_latency(cut)]
        # Each monitor at a moment of its own, so that a fleet is told evenly.
        every_ms = self._told_every_ms(told.story.status)
        self.told_at = self.horizon
        self.tell_at = self.horizon + every_ms - (self.horizon - crc32(self.name.encode())) % every_ms
        self.changed = True
        self.settles = not self.settles
        if self.settles:
            self._let_go(cut)
            if self._has_ended:
                self.tell_at = FOREVER

    def _told_every_ms(self, status: int) -> int:
        """Sooner where nothing of a new monitor is known yet: somebody waits for its first figures."""
        interval_ms = self.terms.newest.interval_ms
        usual_ms = told_every_ms(interval_ms)
        is_awaited = status in (NEVER, UNKNOWN) and self.horizon < self.start + usual_ms
        return interval_ms if is_awaited else usual_ms

    def _let_go(self, cut: int) -> None:
        """Give the bases what is from before `cut`, as nothing will come there any more."""
        for region in self.regions:
            region.move_base(cut, self.terms, self.offs)
        if cut > self.start and cut >= self.uptime.until + WINDOW_MS:
            self._settle(cut)
        for region in self.regions:
            region.sleep()

    def _settle(self, cut: int) -> None:
        """Move the settled time on; seldom, since it saves nothing but what has happened meanwhile."""
        until = min([cut, *(border for border in self._window_borders() if border > self.horizon)])
        for region in self.regions:
            until = min(until, region.settled_until(cut, self.offs, self.horizon))
        begin = self.uptime.until or self.start
        if until <= begin:
            return
        self.uptime.until = begin
        self.uptime.settle(self.told.segments, until)
        if not self._is_quiet:
            self.story.follow(moment for moment in self._moments(begin) if moment.at < until)
            self.story.forget(until)
        self._forget(until)
        if not self._is_quiet:
            self.told = self._derive()

    @property
    def _has_ended(self) -> bool:
        """Deleted for good, as far as the log tells, and nothing of it is kept that would have to be told."""
        held = self.corrections or self.story.trouble or any(region.holds for region in self.regions)
        return self.story.status == GONE and self._told == _QUIET and not held

    @property
    def _is_quiet(self) -> bool:
        """Nothing has happened since the settled time, so that settling more is only a matter of counting."""
        return self._told == _QUIET and self.story.trouble is None and not self.offs and not self.windows

    def _forget(self, until: int) -> None:
        for region in self.regions:
            region.forget(until)
            if region.is_spent:
                self._drop(region, until)
        self.offs = tuple(off for off in self.offs if off[1] > until)
        ended = min(until, self.horizon)
        self.windows = tuple(window for window in self.windows if window.end > ended)
        if len(self.terms.known) > 1:
            needed = set[int]().union(*(region.versions for region in self.regions))
            self.terms.known = tuple(known for known in self.terms.known if known[0] in needed)
        if self.corrections:
            self.correct([order for order in self.corrections if order.until > until])
        if self.notes:
            self.notes = tuple(
                note for note in self.notes if self.story.trouble and note[0] >= self.story.trouble.number
            )

    def _drop(self, spent: Watched, until: int) -> None:
        """Should it ever speak again, it begins as it would have done; but its versions must count with others."""
        others = tuple(region for region in self.regions if region is not spent)
        if any(region.named_by(until) >= spent.named_by(until) for region in others):
            self.regions = others

    def correct(self, corrections: Sequence[CorrectionOrdered]) -> None:
        """Fold under these replays and annulments from now on; nothing is folded again."""
        self.corrections = tuple(corrections)
        self.terms.replays = tuple(order for order in corrections if order.kind is CorrectionKind.REPLAY)
        for region in self.regions:
            region.annulled = self._annulled_in(region.name)

    def _annulled_in(self, region: str) -> tuple[tuple[int, int], ...]:
        annulments = (order for order in self.corrections if order.kind is CorrectionKind.ANNUL)
        return tuple((order.since, order.until) for order in annulments if order.region in ("", region))

    def resume(self, regions: Iterable[str], told: StatusChange, at: int, silence_ms: int) -> None:
        """Have regions in the midst of the status that was told; who is not, and who is silent, shows it soon."""
        status = STATUSES.index(told.status)
        if status in (UP, *BAD_STATUSES):
            for name in regions:
                region = self._watch(name)
                region.base.resume(status, at, silence_ms, Details(told.reason, told.message))

    def take_over(self, live: "MonitorFold", numbers: Sequence[int], notes: dict[int, Notes]) -> None:
        """Stand in the place of `live` from now on, as a correction has made it.

        The incident of number n becomes `numbers[n]`; `notes` are by the new ones. What results do not keep stays.
        """
        story = self.story
        if story.trouble:
            story.trouble = replace(story.trouble, number=numbers[story.trouble.number])
        story.reserved = tuple(numbers[story.incidents :])
        story.incidents = max(live.told.story.incidents, *(number + 1 for number in numbers), 0)
        self.revised_at, self.maintained = live.revised_at, live.maintained
        known = {region.name: region for region in live.regions}
        for region in self.regions:
            if region.name in known:
                region.inherit(known[region.name], self.terms)
        self.told = self._derive()
        self.notes = tuple((number, told) for number, told in sorted(notes.items()) if number in self.told.troubles)

    def terms_at(self, at: int) -> Terms:
        """What held at a time of which its regions have forgotten nothing."""
        return terms_at(at, self._heads(), self.terms)

    def encode(self, version: int) -> bytes:
        """The state after the event at `version`."""
        self.version = version
        return _pack(
            StoredMonitor(
                version,
                self.horizon,
                self.told_at,
                self.tell_at,
                self.settles,
                self.start,
                self.uptime,
                self.story,
                self.offs,
                self.revised_at,
                self.windows,
                self.maintained,
                self.corrections,
                self.notes,
                self.terms.known,
                [region.store() for region in self.regions],
                self._told,
            )
        )

    @classmethod
    def decode(cls, name: str, state: bytes) -> "MonitorFold":
        """From a snapshot. Raises msgspec.DecodeError."""
        stored, monitor = _unpack(state), cls(name)
        monitor.version, monitor.horizon, monitor.start = stored.version, stored.horizon, stored.start
        monitor.told_at, monitor.tell_at, monitor.settles = stored.told_at, stored.tell_at, stored.settles
        monitor.uptime, monitor.story = stored.uptime, stored.story
        monitor.offs, monitor.revised_at, monitor.windows = stored.offs, stored.revised_at, stored.windows
        monitor.maintained, monitor.notes = stored.maintained, stored.notes
        monitor._told, monitor.terms.known = stored.told, stored.terms
        monitor.correct(stored.corrections)
        monitor.regions = tuple(
            Watched.restore(region, monitor.terms, monitor._annulled_in(region.name), monitor.offs, monitor.horizon)
            for region in stored.regions
        )
        return monitor

    @property
    def known_until(self) -> int:
        """The newest tick or result."""
        until = max(self.horizon, self.uptime.until)
        for region in self.regions:
            until = max(until, region.newest)
        return until

    def _moments(self, begin: int) -> list[Moment]:
        known_until = self.known_until
        windows = [
            (window.start, window.end if window.end <= self.horizon else FOREVER, MAINTENANCE)
            for window in self.windows
            if window.start <= known_until
        ]
        return list(moments(self._heads(), self.offs, windows, begin, self.terms))

    def _heads(self) -> list[tuple[str, Region]]:
        return [(region.name, region.wake(self.terms)) for region in self.regions]

    def _derive(self) -> Told:
        if self.start == FOREVER:
            return Told([], {}, {}, self.story)
        story, found = self.story.clone(), self._moments(self.uptime.until or self.start)
        changes, troubles = story.follow(found)
        segments = [
            (moment.at, moment.status)
            for place, moment in enumerate(found)
            if not place or moment.status != found[place - 1].status
        ]
        return Told(segments, {change.at: change for change in changes}, troubles, story)

    def current(self, version: int) -> CurrentStatus:
        """What it is now, as a fact."""
        return self._current(version, self.told.story, self.known_until)

    def _current(self, version: int, story: Story, known_until: int) -> CurrentStatus:
        trouble = story.open_trouble
        return CurrentStatus(
            self.name,
            version,
            STATUSES_OF[story.status],
            story.since,
            known_until,
            story.reason,
            story.message,
            incident_id(self.name, trouble.number) if trouble else "",
            story.status == GONE,
        )

    def _incident(self, version: int, trouble: Trouble, annulled_at: int | None = None) -> Incident:
        notes = dict(self.notes).get(trouble.number, ())
        return incident_of(self.name, version, trouble, notes, annulled_at)

    def _tell_uptime(self, facts: Facts, buckets: Iterable[Bucket]) -> None:
        for step, bucket, known_until, spans in buckets:
            facts.uptime.append(UptimeBucket(self.name, step, bucket, facts.version, known_until, spans))

    def _tell_components(self, facts: Facts) -> None:
        for region in self.regions:
            told, now = region.told_components, region.wake(self.terms).components
            if told == now:
                continue
            region.told_components = now
            present = {component.name for component in now}
            for component in [*now, *(one for one in told if one.name not in present)]:
                if component not in told or component.name not in present:
                    facts.components.append(
                        ComponentStatus(
                            self.name,
                            region.name,
                            component.name,
                            facts.version,
                            component.at,
                            component.outcome,
                            component.message,
                            component.name not in present,
                        )
                    )


def _latency(monitor: str, region: str, version: int, hour: Hour) -> LatencyHour:
    return LatencyHour(monitor, region, hour.bucket, version, hour.checks, hour.phases_us, tuple(hour.bins.items()))


def _difference(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> int | None:
    """From when on two histories differ, None where they do not."""
    for old, new in zip(before, after, strict=False):
        if old != new:
            return min(old[0], new[0])
    if len(before) == len(after):
        return None
    return max(before, after, key=len)[min(len(before), len(after))][0]
