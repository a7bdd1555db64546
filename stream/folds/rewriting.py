"""Carries out a correction: the monitor is folded anew, by the same folds, from the day (UTC) in which it begins.

Shortly after midnight that is the day before, since a change is dated by the first of the results that confirm it. A
day before that is folded too, or as long as so many results take as flapping looks at, from the status that was told,
so that ladders, flapping and silences are what they were; what was told of it stands, and the story goes on from there.
The results that are read are those that no later event changes any more; the newest come from the monitor's own state.
So the outcome is a function of the log.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from msgspec.structs import replace

from schemas.enums import CorrectionKind, EntryKind, IncidentState, Status
from schemas.events import (
    LONGEST_RUN,
    CheckBatch,
    CheckResult,
    CorrectionOrdered,
    Incident,
    MaintenanceRevised,
    MonitorRevised,
    PolicyChange,
    StatusChange,
    Tick,
    TimelineEntry,
)
from stream.folds.facts import STATUSES, Correction, Facts, History, LatencyHour, UptimeBucket
from stream.folds.latency import HOUR_MS
from stream.folds.monitor import WINDOW_MS
from stream.folds.partition import FoldedEvent, PartitionFold
from stream.folds.region import FOREVER
from stream.folds.story import Notes, Story, incident_id, with_notes
from stream.folds.uptime import NOTHING, Spans

DAY_MS: Final = 86_400_000
SLICE_MS: Final = 540_000
"""Results of so much time make a batch: less than the lateness window, in which their order does not matter."""

Found = tuple[str, CheckResult]
"""Region and result."""


class Past(NamedTuple):
    """What a correction needs to know besides results; `orders` are the monitor's corrections, this one included.

    `before` reaches back over the day before, too. Revisions and maintenances stand in the order of their versions.
    """

    before: History
    orders: Sequence[CorrectionOrdered]
    revisions: Sequence[MonitorRevised]
    maintenances: Sequence[MaintenanceRevised]


def standing(orders: Sequence[CorrectionOrdered]) -> list[CorrectionOrdered]:
    """Replays and annulments that no undo has taken back, in the order in which they were ordered."""
    undone = {order.undoes for order in orders if order.kind is CorrectionKind.UNDO}
    return [order for order in orders if order.kind is not CorrectionKind.UNDO and order.id not in undone]


def describe(order: CorrectionOrdered) -> str:
    """What was done, and why: a line of the timeline."""
    if order.kind is CorrectionKind.UNDO:
        return f"The correction {order.undoes} was undone: {order.reason}"
    if order.kind is CorrectionKind.ANNUL:
        return f"Results{f' from {order.region}' if order.region else ''} were annulled: {order.reason}"
    changes = _changes_of(order.policy)
    return f"Results were folded again{f' with {changes}' if changes else ''}: {order.reason}"


def _changes_of(policy: PolicyChange) -> str:
    given = ((name, getattr(policy, name)) for name in policy.__struct_fields__)
    return ", ".join(f"{name}={value}" for name, value in given if value is not None)


class Rewriting:
    """`begin`, `feed` it the stored results of its span in the order of their times, `finish`."""

    def __init__(self, fold: PartitionFold, version: int, order: CorrectionOrdered) -> None:
        """`fold` knows the monitor and has folded everything before the order."""
        self._fold = fold
        self._version = version
        self._order = order
        self._live = fold.monitor(order.monitor)
        self._live.horizon = fold.clock.horizon
        self._silence_ms = self._live.terms.newest.silence_ms
        known_until = min(order.since, self._live.horizon)  # what is known only since then is still to be told
        dated_from = known_until - LONGEST_RUN * self._silence_ms  # a run breaks off at the first silence
        self._day = dated_from - dated_from % DAY_MS
        self.reads_since = self._day - max(DAY_MS, LONGEST_RUN * self._silence_ms)
        self.reads_until = fold.clock.log_time - WINDOW_MS
        """Stored results of this span, its end not included."""
        self._fresh = fold.beside()
        self._monitor = self._fresh.monitor(order.monitor)
        if self._live.start < self._day:
            self._monitor.uptime.until = self._day
        kept = [(region.name, result) for region in self._live.regions for result in region.kept(order.monitor)]
        newest = [found for found in kept if found[1].scheduled_at >= self.reads_since]
        self._newest = deque(sorted(newest, key=lambda found: (found[1].scheduled_at, found[0])))
        self._held = {(region, result.scheduled_at) for region, result in newest}
        self._regions: set[str] = set()
        """Those of which there are results."""
        self._slice: list[Found] = []
        self._slice_ends = 0
        self._before = History()
        self._told = _Told(self._day)
        self._resumed = False

    def begin(self, past: Past) -> None:
        """Take in what people have decided."""
        self._before = past.before
        told = [change for change in past.before.changes if change.at <= self.reads_since]
        if told:
            names = [region.name for region in self._live.regions]
            self._monitor.resume(names, told[-1], self.reads_since, self._silence_ms)
        self._monitor.correct(standing(past.orders))
        for revision in past.revisions:
            self._tell(replace(revision, at=max(revision.at, self.reads_since)))
        for maintenance in past.maintenances:
            self._tell(replace(maintenance, at=max(maintenance.at, self.reads_since)))

    def feed(self, results: Iterable[Found]) -> None:
        """Stored results that come next."""
        for found in results:
            region, at = found[0], found[1].scheduled_at
            if (region, at) in self._held:
                continue
            while self._newest and self._newest[0][1].scheduled_at < at:
                self._add(self._newest.popleft())
            self._add(found)

    def finish(self) -> Facts:
        """Put the monitor into the place of the old one, and tell what that changes."""
        while self._newest:
            self._add(self._newest.popleft())
        self._end_slice(self._slice_ends)
        self._resume()
        self._tick(self._live.horizon)
        monitor, name, last = self._monitor, self._order.monitor, Facts(self._version)
        monitor.horizon = self._live.horizon  # the tick does not reach whom it changes nothing for
        monitor.tell_time(self.reads_until, last)
        self._told.take(last)
        count, taken = monitor.told.story.incidents, self._live.told.story.incidents
        names = [incident_id(name, number) for number in range(max(count, taken) + count)]
        number_of = {known: number for number, known in enumerate(names)}
        pairs = _pairs(self._told.incidents.values(), self._before.incidents)
        fresh = iter(range(taken, len(names)))
        paired = [pairs.get(names[number]) for number in range(count)]
        numbers = [number_of[old.id] if old else next(fresh) for old in paired]
        renamed = {names[old]: names[new] for old, new in enumerate(numbers)}
        found = sorted(self._told.incidents.values(), key=attrgetter("opened_at"))
        incidents = [self._renamed(i, renamed[i.id], pairs.get(i.id)) for i in found]
        facts = self._facts(incidents, renamed)
        self._add_owed(facts)
        monitor.take_over(self._live, numbers, {number_of[i.id]: notes_of(i) for i in incidents})
        facts.current = [monitor.current(self._version)]
        self._fold.put(self._version, monitor)
        return facts

    def _add_owed(self, facts: Facts) -> None:
        """What the old one had still to tell of the days before."""
        owed = Facts(self._version)
        self._live.tell_time(self.reads_until, owed)
        facts.uptime += [bucket for bucket in owed.uptime if bucket.bucket < self._day]
        facts.latency += [hour for hour in owed.latency if hour.bucket < self._day]

    def _add(self, found: Found) -> None:
        at = found[1].scheduled_at
        if at >= self._slice_ends:
            self._end_slice(self._slice_ends)
            if at >= self._day:
                self._resume()
            self._slice_ends = at - at % SLICE_MS + SLICE_MS
        self._slice.append(found)

    def _resume(self) -> None:
        """The regions are what they were when the day began; so is the story from here on."""
        if self._resumed:
            return
        self._resumed = True
        monitor, facts = self._monitor, Facts(self._version)
        monitor.start = self._live.start
        if monitor.start < self._day:
            self._take_up(monitor.story)
        monitor.tell(facts)
        self._told.take(facts)

    def _take_up(self, story: Story) -> None:
        """Have the story go on from what was told before the day."""
        now = self._live.told.story
        changes = [change for change in self._before.changes if change.at < self._day]
        if now.since < self._day:
            story.stay(now)
        elif changes:
            newest = changes[-1]
            story.stay(Story(STATUSES.index(newest.status), newest.at, newest.reason, newest.message))
        incidents = [incident for incident in self._before.incidents if _stood_before(incident, self._day)]
        if incidents:
            story.take_up(incidents[-1], self._day, self._reopen_until)

    def _reopen_until(self, ended_at: int) -> int:
        """How long a relapse reopened what had ended so, if the monitor was not switched off before the day."""
        if any(ended_at <= start < self._day for start, _, _ in self._monitor.offs):
            return 0
        return ended_at + self._monitor.terms_at(ended_at).reopen_gap_ms

    def _end_slice(self, end: int) -> None:
        by_region: defaultdict[str, list[CheckResult]] = defaultdict(list)
        for region, result in self._slice:
            by_region[region].append(result)
        self._regions |= by_region.keys()
        for region, results in sorted(by_region.items()):
            self._tell(CheckBatch("", region, results[-1].scheduled_at, tuple(results)))
        self._slice = []
        self._tick(end)

    def _tick(self, at: int) -> None:
        if self._live.horizon and at:
            self._tell(Tick(min(at, self._live.horizon)))

    def _tell(self, event: FoldedEvent) -> None:
        self._told.take(self._fresh.fold(self._version, event))

    def _facts(self, incidents: list[Incident], renamed: dict[str, str]) -> Facts:
        facts, told, before = Facts(self._version), self._told, self._before
        facts.uptime = list(told.uptime.values())
        facts.latency = [*told.latency.values(), *self._empty_hours()]
        known = {change.at: change for change in before.changes}
        changes = {at: replace(c, incident=renamed.get(c.incident, "")) for at, c in sorted(told.changes.items())}
        facts.changes = [c for at, c in changes.items() if at not in known or not _same(c, known[at])]
        gone = [c for at, c in known.items() if at >= self._day and at not in changes]
        facts.changes += [replace(c, version=self._version, withdrawn=True) for c in gone]
        told_before = {incident.id: incident for incident in before.incidents}
        facts.incidents = [
            i for i in incidents if self._concerns(i) and not (i.id in told_before and _same(told_before[i.id], i))
        ]
        kept = {incident.id for incident in incidents}
        facts.incidents += [
            self._annulled(i)
            for i in before.incidents
            if i.id not in kept and self._concerns(i) and i.state is not IncidentState.ANNULLED
        ]
        spans_ms = self._spans_ms(facts.uptime)
        untouched = (incident for incident in before.incidents if not self._concerns(incident))
        after = History((*untouched, *filter(self._concerns, incidents)), tuple(changes.values()), spans_ms)
        facts.corrections = [Correction(self._order, self._version, before, after)]
        return facts

    def _concerns(self, incident: Incident) -> bool:
        return not incident.resolved_at or incident.resolved_at >= self._day

    def _renamed(self, incident: Incident, name: str, paired: Incident | None) -> Incident:
        """Under its old name, with what people had noted; and with this correction, where it made a difference."""
        notes = notes_of(paired) if paired else ()
        renamed = replace(incident, id=name, entries=with_notes(incident.entries, notes))
        if paired and _same(renamed, paired):
            return renamed
        return replace(renamed, entries=with_notes(renamed.entries, (self._note(EntryKind.CORRECTED),)))

    def _annulled(self, incident: Incident) -> Incident:
        note = self._note(EntryKind.ANNULLED)
        return replace(
            incident,
            version=self._version,
            state=IncidentState.ANNULLED,
            entries=with_notes(incident.entries, (note,)),
        )

    def _note(self, kind: EntryKind) -> TimelineEntry:
        order = self._order
        status = Status.UP if kind is EntryKind.ANNULLED else self._monitor.current(self._version).status
        return TimelineEntry(kind, order.at, status, describe(order), order.by)

    def _empty_hours(self) -> Iterator[LatencyHour]:
        """Hours of the span whose last answer was taken away."""
        since, order = max(self._day, self._order.since), self._order
        for region in sorted(self._regions):
            for hour in range(since - since % HOUR_MS, min(order.until, self._live.known_until), HOUR_MS):
                if (region, hour) not in self._told.latency:
                    yield LatencyHour(order.monitor, region, hour, self._version, 0, NOTHING, ())

    def _spans_ms(self, buckets: Iterable[UptimeBucket]) -> Spans:
        order = self._order
        touched = [
            bucket.spans_ms
            for bucket in buckets
            if bucket.step == "hour" and order.since - HOUR_MS < bucket.bucket < order.until
        ]
        return tuple(map(sum, zip(*touched, strict=True))) if touched else NOTHING  # type: ignore[return-value]


class _Told:
    """The newest fact of each identity, from the day on; of incidents all."""

    def __init__(self, day: int) -> None:
        self._day = day
        self.uptime: dict[tuple[str, int], UptimeBucket] = {}
        self.latency: dict[tuple[str, int], LatencyHour] = {}
        self.changes: dict[int, StatusChange] = {}
        self.incidents: dict[str, Incident] = {}

    def take(self, facts: Facts) -> None:
        """What the folds said."""
        self.uptime.update(((b.step, b.bucket), b) for b in facts.uptime if b.bucket >= self._day)
        self.latency.update(((h.region, h.bucket), h) for h in facts.latency if h.bucket >= self._day)
        for change in facts.changes:
            if change.withdrawn:
                self.changes.pop(change.at, None)
            elif change.at >= self._day:
                self.changes[change.at] = change
        for incident in facts.incidents:
            if incident.state is IncidentState.ANNULLED:
                self.incidents.pop(incident.id, None)
            else:
                self.incidents[incident.id] = incident


def notes_of(incident: Incident) -> Notes:
    """What people have written into its timeline."""
    return tuple(entry for entry in incident.entries if entry.by)


def _pairs(new: Iterable[Incident], old: Sequence[Incident]) -> dict[str, Incident]:
    """By the new one's id the old incident that it goes on as: the first that it overlaps, annulled ones last."""
    left = sorted(old, key=lambda i: (i.state is IncidentState.ANNULLED, i.opened_at))
    pairs: dict[str, Incident] = {}
    for incident in sorted(new, key=attrgetter("opened_at")):
        found = next((one for one in left if _overlap(incident, one)), None)
        if found:
            left.remove(found)
            pairs[incident.id] = found
    return pairs


def _overlap(one: Incident, other: Incident) -> bool:
    return other.opened_at < _end_of(one) and one.opened_at < _end_of(other)


def _end_of(incident: Incident) -> int:
    """When it was over; one that was taken away while it lasted was over then."""
    if incident.resolved_at:
        return incident.resolved_at
    taken_away = [entry.at for entry in incident.entries if entry.kind is EntryKind.ANNULLED]
    return taken_away[-1] if incident.state is IncidentState.ANNULLED else FOREVER


def _stood_before(incident: Incident, at: int) -> bool:
    return incident.opened_at < at and incident.state is not IncidentState.ANNULLED


def _same(one: StatusChange | Incident, other: StatusChange | Incident) -> bool:
    return replace(one, version=0) == replace(other, version=0)
