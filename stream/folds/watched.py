"""A monitor in a region: its newest minutes, and the region before and after them.

The base is the region before the oldest kept result, the head after the newest. A result that comes in order steps the
head; any other is put into its place, and the head is made again from the base. What has come since the latency was
told is fresh; from then on it is a stretch of the tail, in which it leaves for the base. A calm region sleeps, and so
does a silent one: its base is packed, and its head is made again when something else comes than what keeps it calm.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import chain
from operator import itemgetter
from sys import intern
from typing import Final

import msgspec

from schemas.events import CheckResult
from stream.folds.latency import NO_HOURS, Hour, Hours
from stream.folds.region import FOREVER, ComponentSince, Offs, Piece, Region
from stream.folds.tail import (
    NO_DETAILS,
    UNKNOWN,
    Kept,
    Kind,
    columns_of,
    distances_of,
    keep,
    kind_of,
    kinds_of,
    newest_of,
    numbers_of,
    pack,
    pack_all,
    records_of,
    stretch_of,
    times_of,
    wins,
)
from stream.folds.terms import HeldTerms

NOWHERE: Final = -1

_pack_base: Final = msgspec.msgpack.Encoder().encode
_unpack_base: Final = msgspec.msgpack.Decoder(Region).decode
_NEW: Final = _pack_base(Region())


class StoredRegion(msgspec.Struct, array_like=True):
    """A region as a snapshot keeps it; the head of one that does not sleep is made again."""

    name: str
    base: bytes
    tail: tuple[bytes, ...]
    fresh: bytes
    count: int
    newest: int
    kinds: tuple[Kind, ...]
    kind: int
    calm: int
    silence_ms: int
    hours: bytes
    told_components: tuple[ComponentSince, ...]


class Watched:
    """Results of one region, none older than the monitor's base."""

    __slots__ = (
        "_base",
        "_head",
        "_packed",
        "annulled",
        "calm",
        "count",
        "fresh",
        "hours",
        "kind",
        "kinds",
        "name",
        "newest",
        "silence_ms",
        "tail",
        "told_components",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self._packed = _NEW
        """The base of a region that sleeps."""
        self._base: Region | None = None
        self._head: Region | None = None
        self.tail: tuple[bytes, ...] = ()
        """Packed stretches, the oldest first; their results are counted in `hours`."""
        self.fresh = b""
        self.count = 0
        """Fresh records."""
        self.kinds: tuple[Kind, ...] = ()
        self.kind = NOWHERE
        """The newest result's place in `kinds`."""
        self.calm = NOWHERE
        """The kind of result that changes nothing but when it was last seen, as long as no silence is between."""
        self.silence_ms = 0
        """After so long without a result it falls silent; FOREVER where it is silent."""
        self.hours = NO_HOURS
        self.newest = NOWHERE
        self.told_components: tuple[ComponentSince, ...] = ()
        self.annulled: tuple[tuple[int, int], ...] = ()
        """Spans whose results are kept but not folded."""

    def append(self, result: CheckResult, terms: HeldTerms) -> bool:
        """Keep a result newer than all others; returns whether it changes nothing but when one was last seen."""
        at, newest, place, said = result.scheduled_at, self.newest, self.kind, kind_of(result)
        if place == NOWHERE or said != self.kinds[place]:
            place = self._place(Kind(*said))
        calm = place == self.calm and at <= newest + self.silence_ms
        if not calm:
            self.wake(terms)
        elif self._head is not None:
            self._head.last_at = at
        self.fresh += pack(result, place, newest if self.count else 0)
        self.kind, self.newest = place, at
        self.count += 1
        return calm

    def insert(self, result: CheckResult, terms: HeldTerms) -> bool:
        """Keep a result that is not newer than all others; returns False for a duplicate, which vanishes."""
        at = result.scheduled_at
        tail = [records_of(numbers_of(stretch)) for stretch in self.tail]
        fresh = records_of(self._fresh_numbers())
        parts = [*tail, fresh] if fresh else tail
        part = parts[max(0, bisect_right(parts, at, key=lambda records: records[0].at) - 1)]
        place = bisect_left(part, at, key=itemgetter(0))
        twins = [kept for kept in part[place : place + 1] if kept.at == at]
        if twins and not wins(result, twins[0].result(result.monitor, self.kinds[twins[0].kind])):
            return False
        self.wake(terms)
        kept = keep(result, self._place(Kind(*kind_of(result))))
        part[place : place + len(twins)] = [kept]
        if part is not fresh:
            self._recount(twins, [kept])
        self.tail = tuple(map(pack_all, tail))
        self._refresh(fresh)
        self.kind = (fresh or tail[-1])[-1].kind
        return True

    def tell_latency(self, cut: int) -> list[Hour]:
        """The hours that have changed since they were told; those that ended before `cut` will not change any more.

        What was fresh is counted: late, as many at once are cheaper.
        """
        hours = Hours(self.hours)
        if self.count:
            stretch = stretch_of(self.fresh, self.count)
            self._count(hours, numbers_of(stretch), 1)
            self.tail = (*self.tail, stretch)
            self._refresh([])
        untold = hours.tell()
        if hours.forget(cut) or untold:
            self.hours = hours.pack()
        return untold

    def wake(self, terms: HeldTerms) -> Region:
        """The region after its newest result."""
        if self._head is None:
            self._head = self.base.clone()
            # While a region sleeps, its monitor is not switched off.
            self._fold_tail(self._head, terms, ())
        return self._head

    def sleep(self) -> None:
        """Keep as little as may be while nothing happens."""
        if self._base is not None and (self.calm != NOWHERE or not (self.tail or self.count or self._base.last_at)):
            self._packed = _pack_base(self._base)
            self._base = self._head = None

    @property
    def base(self) -> Region:
        """The region before its oldest kept result."""
        if self._base is None:
            self._base = _unpack_base(self._packed)
        return self._base

    def step(self, terms: HeldTerms, offs: Offs, horizon: int) -> bool:
        """Fold the newest result in order; returns whether anything but its time has changed."""
        head, kind, at = self.wake(terms), self.kinds[self.kind], self.newest
        before = _shape(head)
        if not self._is_annulled(at):
            head.step(at, kind.outcome, kind.version, kind.details, terms.at(kind.version, at), offs)
        head.quieten(horizon, offs)
        self._look(head, offs)
        return before != _shape(head)

    def make_head(self, terms: HeldTerms, offs: Offs, horizon: int) -> bool:
        """Fold what is kept again from the base; returns whether anything but times has changed."""
        before, head = self._head, self.base.clone()
        self._fold_tail(head, terms, offs)
        head.quieten(horizon, offs)
        self._head = head
        self._look(head, offs)
        if before is None:
            return True
        return (head.pieces, head.raised, head.components) != (before.pieces, before.raised, before.components)

    def quieten(self, horizon: int, terms: HeldTerms, offs: Offs) -> bool:
        """Fall silent if time has told so; returns whether it has."""
        if self._head is None and self.newest + self.silence_ms >= horizon:
            return False
        head = self.wake(terms)
        if not head.quieten(horizon, offs):
            return False
        self._look(head, offs)
        return True

    def quiet_from(self, offs: Offs) -> int:
        """When the region will fall silent if nothing more comes; FOREVER where it is silent."""
        if self._head is None:
            return self.newest + self.silence_ms
        return self._head.quiet_from(offs) if self._head.last_at else FOREVER

    def move_base(self, cut: int, terms: HeldTerms, offs: Offs) -> None:
        """Give the base the stretches before `cut`, as none will come between them any more."""
        gone = 0
        for numbers in map(numbers_of, self.tail):
            if newest_of(numbers) >= cut:
                break
            self._fold(self.base, numbers, terms, offs)
            gone += 1
        self.tail = self.tail[gone:]
        if gone and len(self.kinds) > 1:
            self._sweep_kinds()

    def settled_until(self, cut: int, offs: Offs, horizon: int) -> int:
        """No result from `cut` on changes what the base was before this time."""
        until = min(cut, numbers_of(self.tail[0])[0]) if self.tail else cut
        if self.base.quiet_from(offs) < until:
            self.base.quieten(horizon, offs)
        return self.base.settled_until(until, offs)

    def forget(self, until: int) -> None:
        """Drop what ended before `until`."""
        self.base.forget(until)
        if self._head is not None:
            self._head.forget(until)

    @property
    def holds(self) -> bool:
        """Whether there are results that are not settled, or hours that may not all be told."""
        return bool(self.tail or self.count or self.hours != NO_HOURS)

    @property
    def is_spent(self) -> bool:
        """Silent, and all that it said is settled and told: only the versions that it named still count."""
        base = self.base
        says = any(piece.status != UNKNOWN or piece.details != NO_DETAILS for piece in base.pieces)
        return not (self.holds or self.told_components or base.last_at or says)

    def named_by(self, at: int) -> int:
        """The highest version that its settled results had named by then."""
        return max((version for named_at, version in self.base.raised if named_at <= at), default=NOWHERE)

    @property
    def versions(self) -> set[int]:
        """The versions of the monitor whose terms are still needed."""
        raised = {version for _, version in self.base.raised}
        return {self.base.version, *raised, *(kind.version for kind in self.kinds)}

    def age(self, versions: int) -> None:
        """Have the monitor's versions so much lower; the head is of before."""
        self.kinds = tuple(kind._replace(version=kind.version - versions) for kind in self.kinds)
        self.base.version -= versions
        self.base.raised = [(at, version - versions) for at, version in self.base.raised]

    def store(self) -> StoredRegion:
        """For a snapshot."""
        return StoredRegion(
            self.name,
            self._packed if self._base is None else _pack_base(self._base),
            self.tail,
            self.fresh,
            self.count,
            self.newest,
            self.kinds,
            self.kind,
            self.calm,
            self.silence_ms,
            self.hours,
            self.told_components,
        )

    @classmethod
    def restore(
        cls,
        stored: StoredRegion,
        terms: HeldTerms,
        annulled: tuple[tuple[int, int], ...],
        offs: Offs,
        horizon: int,
    ) -> "Watched":
        """From a snapshot."""
        region = cls(intern(stored.name))
        region.annulled = annulled
        region._packed, region.tail = stored.base, stored.tail
        region.fresh, region.count, region.newest = stored.fresh, stored.count, stored.newest
        region.kinds, region.kind, region.calm = stored.kinds, stored.kind, stored.calm
        region.silence_ms, region.hours = stored.silence_ms, stored.hours
        region.told_components = stored.told_components
        if region.calm == NOWHERE:
            region.make_head(terms, offs, horizon)
            region.sleep()
        return region

    def kept(self, monitor: str) -> list[CheckResult]:
        """The results that are kept, in the order of their times."""
        records = chain.from_iterable(map(records_of, self._stretches()))
        return [kept.result(monitor, self.kinds[kept.kind]) for kept in records]

    def inherit(self, other: "Watched", terms: HeldTerms) -> None:
        """Take what stored results do not tell: the components of those that were up."""
        self.told_components = other.told_components
        self.base.components, self.wake(terms).components = other.base.components, other.wake(terms).components

    def _is_annulled(self, at: int) -> bool:
        return any(start <= at < end for start, end in self.annulled)

    def _fresh_numbers(self) -> list[int]:
        return numbers_of(stretch_of(self.fresh, self.count))

    def _refresh(self, records: list[Kept]) -> None:
        """Have these as the fresh ones."""
        befores = [0, *(kept.at for kept in records)]
        self.fresh, self.count = b"".join(map(Kept.pack, records, befores)), len(records)

    def _stretches(self) -> Iterator[list[int]]:
        yield from map(numbers_of, self.tail)
        if self.count:
            yield self._fresh_numbers()

    def _fold_tail(self, region: Region, terms: HeldTerms, offs: Offs) -> None:
        for numbers in self._stretches():
            self._fold(region, numbers, terms, offs)

    def _fold(self, region: Region, numbers: list[int], terms: HeldTerms, offs: Offs) -> None:
        kinds, calm = kinds_of(numbers), NOWHERE
        longest_ms = max([numbers[0] - region.last_at, *distances_of(numbers)])
        alike = len(set(kinds)) == 1 and not self.annulled and longest_ms <= region.silence_ms
        if alike and region.stays(self.kinds[kinds[0]], offs):
            region.last_at = newest_of(numbers)
            return
        for at, place in zip(times_of(numbers), kinds, strict=True):
            if self.annulled and self._is_annulled(at):
                continue
            if place == calm and at <= region.last_at + region.silence_ms:
                region.last_at = at
            else:
                kind = self.kinds[place]
                region.step(at, kind.outcome, kind.version, kind.details, terms.at(kind.version, at), offs)
                calm = place if region.stays(kind, offs) else NOWHERE

    def _look(self, head: Region, offs: Offs) -> None:
        """Whether more of the newest kind would change anything."""
        self.calm, self.silence_ms = NOWHERE, head.silence_ms if head.last_at else FOREVER
        if self.kind != NOWHERE and not self.annulled and head.stays(self.kinds[self.kind], offs):
            self.calm = self.kind

    def _recount(self, out: list[Kept], into: list[Kept]) -> None:
        hours = Hours(self.hours)
        for records, sign in ((out, -1), (into, 1)):
            self._count(hours, numbers_of(pack_all(records)), sign)
        self.hours = hours.pack()

    def _count(self, hours: Hours, numbers: list[int], sign: int) -> None:
        """Count a stretch's answers in (+1) or out (-1)."""
        times, columns_us, kinds = times_of(numbers), columns_of(numbers), kinds_of(numbers)
        mute = {place for place, kind in enumerate(self.kinds) if not kind.answers}
        if self.annulled or not mute.isdisjoint(kinds):
            picked = [n for n, at in enumerate(times) if kinds[n] not in mute and not self._is_annulled(at)]
            times = [times[n] for n in picked]
            columns_us = [[column[n] for n in picked] for column in columns_us]
        hours.count(times, columns_us, sign)

    def _place(self, kind: Kind) -> int:
        """Where a kind is kept; one that means what keeps the region calm keeps it calm as well."""
        if kind not in self.kinds:
            self.kinds = (*self.kinds, kind)
        place = self.kinds.index(kind)
        if self.calm != NOWHERE and kind.means(self.kinds[self.calm]):
            self.calm = place
        return place

    def _sweep_kinds(self) -> None:
        """Forget the kinds that no kept result has any more."""
        kept = [*self._stretches()]
        places = {place: new for new, place in enumerate(sorted({self.kind}.union(*map(kinds_of, kept))))}
        if len(places) == len(self.kinds):
            return
        parts = [[record._replace(kind=places[record.kind]) for record in records_of(numbers)] for numbers in kept]
        self._refresh(parts.pop() if self.count else [])
        self.tail = tuple(map(pack_all, parts))
        self.kinds = tuple(self.kinds[place] for place in places)
        self.kind, self.calm = places[self.kind], places.get(self.calm, NOWHERE)


def _shape(region: Region) -> tuple[int, Piece | None, int, tuple[ComponentSince, ...]]:
    """What is seen of a region from outside, as far as one step can change it."""
    return len(region.pieces), region.pieces[-1] if region.pieces else None, len(region.raised), region.components
