"""A monitor in a region: its newest minutes, and the region before and after them.

The base is the region before the oldest kept result, the head after the newest. A result that comes in order steps the
head; any other is put into its place, and the head is made again from the base. A calm region sleeps: its base is
packed, and its head is made again when something else comes than what keeps it calm.
"""

from bisect import bisect_left
from collections.abc import Iterable
from operator import itemgetter
from typing import Final

import msgspec

from schemas.events import CheckResult
from stream.folds.latency import NO_HOURS, Hour, Hours
from stream.folds.region import FOREVER, ComponentSince, Offs, Piece, Region
from stream.folds.tail import (
    WIDTH,
    Kept,
    Kind,
    Phases,
    keep,
    kind_of,
    numbers_of,
    pack,
    pack_all,
    phases_of,
    times_of,
    unpack_all,
    wins,
    without_first,
)
from stream.folds.terms import HeldTerms

NOWHERE: Final = -1

_pack_base: Final = msgspec.msgpack.Encoder().encode
_unpack_base: Final = msgspec.msgpack.Decoder(Region).decode
_NEW: Final = _pack_base(Region())


class StoredRegion(msgspec.Struct, array_like=True):
    """A region as a snapshot keeps it; its head is made again."""

    name: str
    base: bytes
    tail: bytes
    count: int
    uncounted: int
    counted_bytes: int
    kinds: list[Kind]
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
        "counted_bytes",
        "hours",
        "kind",
        "kinds",
        "newest",
        "oldest",
        "silence_ms",
        "tail",
        "told_components",
        "uncounted",
    )

    def __init__(self) -> None:
        self._packed = _NEW
        """The base of a region that sleeps."""
        self._base: Region | None = None
        self._head: Region | None = None
        self.tail = bytearray()
        self.count = 0
        """Records in the tail."""
        self.uncounted = 0
        """So many of the newest ones are not in `hours` yet."""
        self.counted_bytes = 0
        self.kinds: list[Kind] = []
        self.kind = NOWHERE
        """The newest result's place in `kinds`."""
        self.calm = NOWHERE
        """The kind of result that changes nothing but when it was last seen, as long as no silence is between."""
        self.silence_ms = 0
        self.hours = NO_HOURS
        self.oldest = FOREVER
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
        if self.count:
            self.tail += pack(result, place, newest)
        else:
            self.tail += pack(result, place, 0)
            self.oldest = at
        self.kind, self.newest = place, at
        self.count += 1
        self.uncounted += 1
        return calm

    def insert(self, result: CheckResult, terms: HeldTerms) -> bool:
        """Keep a result that is not newer than all others; returns False for a duplicate, which vanishes."""
        records = unpack_all(numbers_of(self.tail, self.count), self.newest)
        place = bisect_left(records, result.scheduled_at, key=itemgetter(0))
        twins = [kept for kept in records[place : place + 1] if kept.at == result.scheduled_at]
        if twins and not wins(result, twins[0].result(result.monitor, self.kinds[twins[0].kind])):
            return False
        self.wake(terms)
        self.count_latency()
        kept = keep(result, self._place(Kind(*kind_of(result))))
        self._recount(twins, [kept])
        records[place : place + len(twins)] = [kept]
        self.tail, self.count = pack_all(records), len(records)
        self.counted_bytes = len(self.tail)
        self.oldest, self.kind = records[0].at, records[-1].kind
        return True

    def count_latency(self) -> None:
        """Count the results that are not in `hours` yet: late, since many at once are cheaper."""
        if not self.uncounted:
            return
        numbers = numbers_of(self.tail[self.counted_bytes :], self.uncounted)
        times, kinds, answering = (
            times_of(numbers, self.newest),
            numbers[2::WIDTH],
            [kind.answers for kind in self.kinds],
        )
        found: Iterable[tuple[int, int, Phases]] = zip(times, kinds, phases_of(numbers), strict=True)
        if self.annulled:
            found = (each for each in found if not self._is_annulled(each[0]))
        hours = Hours(self.hours)
        hours.count(((at, phases_us) for at, kind, phases_us in found if answering[kind]), 1)
        self.hours, self.uncounted, self.counted_bytes = hours.pack(), 0, len(self.tail)

    def tell_latency(self) -> list[Hour]:
        """The hours that have changed since they were told."""
        self.count_latency()
        hours = Hours(self.hours)
        untold = hours.tell()
        if untold:
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
        if self.calm != NOWHERE and self._base is not None:
            self._packed = _pack_base(self.base)
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

    def move_base(self, cut: int, terms: HeldTerms, offs: Offs, horizon: int) -> None:
        """Give the base the results before `cut`; none will come between them any more."""
        self.count_latency()
        numbers = numbers_of(self.tail, self.count)
        times, kinds = times_of(numbers, self.newest), numbers[2::WIDTH]
        gone = bisect_left(times, cut)
        self._fold(self.base, times[:gone], kinds[:gone], terms, offs)
        if self.base.quiet_from(offs) < cut:
            self.base.quieten(horizon, offs)
        if gone < self.count:
            self.tail = without_first(self.tail, numbers, gone, times[gone])
            self.oldest = times[gone]
        else:
            self.tail, self.oldest, self.newest = bytearray(), FOREVER, NOWHERE
        self.count -= gone
        self.counted_bytes = len(self.tail)
        if len(self.kinds) > 1 or not self.count:
            self._sweep_kinds()
        hours = Hours(self.hours)
        if hours.forget(cut):
            self.hours = hours.pack()

    def forget(self, until: int) -> None:
        """Drop what ended before `until`."""
        self.base.forget(until)
        if self._head is not None:
            self._head.forget(until)

    @property
    def versions(self) -> set[int]:
        """The versions of the monitor whose terms are still needed."""
        raised = {version for _, version in self.base.raised}
        return {self.base.version, *raised, *(kind.version for kind in self.kinds)}

    def store(self, name: str) -> StoredRegion:
        """For a snapshot."""
        return StoredRegion(
            name,
            self._packed if self._base is None else _pack_base(self._base),
            bytes(self.tail),
            self.count,
            self.uncounted,
            self.counted_bytes,
            self.kinds,
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
        region = cls()
        region.annulled = annulled
        region._packed, region.tail, region.count = stored.base, bytearray(stored.tail), stored.count
        region.uncounted, region.counted_bytes = stored.uncounted, stored.counted_bytes
        region.kinds, region.hours, region.told_components = stored.kinds, stored.hours, stored.told_components
        if region.count:
            numbers = numbers_of(region.tail, region.count)
            region.oldest, region.newest, region.kind = numbers[0], sum(numbers[::WIDTH]), numbers[-WIDTH + 2]
        region.make_head(terms, offs, horizon)
        return region

    def kept(self, monitor: str) -> list[CheckResult]:
        """The results that are kept, in the order of their times."""
        records = unpack_all(numbers_of(self.tail, self.count), self.newest)
        return [kept.result(monitor, self.kinds[kept.kind]) for kept in records]

    def inherit(self, other: "Watched", terms: HeldTerms) -> None:
        """Take what stored results do not tell: the components of those that were up."""
        self.told_components = other.told_components
        self.base.components, self.wake(terms).components = other.base.components, other.wake(terms).components

    def _counts(self, kept: Kept) -> bool:
        return self.kinds[kept.kind].answers and not self._is_annulled(kept.at)

    def _is_annulled(self, at: int) -> bool:
        return any(start <= at < end for start, end in self.annulled)

    def _fold_tail(self, region: Region, terms: HeldTerms, offs: Offs) -> None:
        numbers = numbers_of(self.tail, self.count)
        self._fold(region, times_of(numbers, self.newest), numbers[2::WIDTH], terms, offs)

    def _fold(self, region: Region, times: list[int], kinds: list[int], terms: HeldTerms, offs: Offs) -> None:
        calm = NOWHERE
        for at, place in zip(times, kinds, strict=True):
            if self.annulled and self._is_annulled(at):
                continue
            if place == calm and at <= region.last_at + region.silence_ms:
                region.last_at = at
            else:
                kind = self.kinds[place]
                region.step(at, kind.outcome, kind.version, kind.details, terms.at(kind.version, at), offs)
                calm = place if region.is_calm_after(at, kind.outcome, offs) else NOWHERE

    def _look(self, head: Region, offs: Offs) -> None:
        """Whether more of the newest kind would change anything."""
        self.calm, self.silence_ms = NOWHERE, head.silence_ms
        if (
            self.kind != NOWHERE
            and not self.annulled
            and head.is_calm_after(self.newest, self.kinds[self.kind].outcome, offs)
        ):
            self.calm = self.kind

    def _recount(self, out: list[Kept], into: list[Kept]) -> None:
        hours = Hours(self.hours)
        for records, sign in ((out, -1), (into, 1)):
            hours.count(((kept.at, kept.phases_us) for kept in records if self._counts(kept)), sign)
        self.hours = hours.pack()

    def _place(self, kind: Kind) -> int:
        """Where a kind is kept; one that means what keeps the region calm keeps it calm as well."""
        if kind not in self.kinds:
            self.kinds.append(kind)
        place = self.kinds.index(kind)
        if self.calm != NOWHERE and kind.means(self.kinds[self.calm]):
            self.calm = place
        return place

    def _sweep_kinds(self) -> None:
        records = unpack_all(numbers_of(self.tail, self.count), self.newest)
        places = {place: new for new, place in enumerate(sorted({kept.kind for kept in records}))}
        if len(places) == len(self.kinds):
            return
        self.kinds = [self.kinds[place] for place in places]
        self.tail = pack_all(kept._replace(kind=places[kept.kind]) for kept in records)
        self.counted_bytes = len(self.tail)
        self.kind, self.calm = places.get(self.kind, NOWHERE), places.get(self.calm, NOWHERE)


def _shape(region: Region) -> tuple[int, Piece | None, int, tuple[ComponentSince, ...]]:
    """What is seen of a region from outside, as far as one step can change it."""
    return len(region.pieces), region.pieces[-1] if region.pieces else None, len(region.raised), region.components
