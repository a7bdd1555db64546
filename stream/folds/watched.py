"""A monitor in a region: its newest minutes, and the region before and after them.

`base` is the region before the oldest kept result, `head` after the newest. A result that comes in order steps the
head; any other is put into its place, and the head is made again from the base.
"""

from typing import Final

import msgspec

from schemas.enums import Outcome
from schemas.events import CheckResult
from stream.folds.latency import HOUR_MS, Hour, StoredHour
from stream.folds.region import FOREVER, ComponentSince, Region, Span
from stream.folds.tail import (
    NO_DETAILS,
    RECORD_BYTES,
    UNKNOWN,
    UP,
    Details,
    answers,
    at_of,
    details_of,
    outcome_of,
    pack,
    place_of,
    unpack,
    unpack_all,
    wins,
)
from stream.folds.terms import Terms

NOWHERE: Final = -1


class StoredRegion(msgspec.Struct, array_like=True):
    """A region as a snapshot keeps it; its head is made again."""

    name: str
    base: Region
    tail: bytes
    counted: int
    details: list[Details]
    hours: list[StoredHour]
    told_components: tuple[ComponentSince, ...]


class Watched:
    """Results of one region, none older than the monitor's base."""

    __slots__ = (
        "base",
        "calm",
        "calm_details",
        "counted",
        "details",
        "head",
        "hours",
        "newest",
        "oldest",
        "tail",
        "told_components",
    )

    def __init__(self) -> None:
        self.base = Region()
        self.head = Region()
        self.tail = bytearray()
        self.details: list[Details] = [NO_DETAILS]
        self.hours: dict[int, Hour] = {}
        self.counted = 0
        """So many of the oldest kept results are in `hours`."""
        self.oldest = FOREVER
        self.newest = NOWHERE
        self.calm = NOWHERE
        """The outcome that, with the details of the newest result, changes nothing but when it was last seen."""
        self.calm_details = NOWHERE
        self.told_components: tuple[ComponentSince, ...] = ()

    def append(self, result: CheckResult) -> bool:
        """Keep a result newer than all others; returns whether it changes nothing but when one was last seen."""
        at, version, details = result.scheduled_at, result.monitor_version, details_of(result)
        outcome = UP if result.outcome is Outcome.UP else outcome_of(result)
        place = 0 if details is NO_DETAILS else self._place_details(details)
        self.tail += pack(result, outcome, place)
        if self.newest < 0:
            self.oldest = at
        self.newest = at
        head = self.head
        if outcome != self.calm or place != self.calm_details or version != head.version:
            return False
        if at > head.last_at + head.silence_ms:
            return False
        head.last_at = at
        return True

    def insert(self, result: CheckResult) -> bool:
        """Keep a result that is not newer than all others; returns False for a duplicate, which vanishes."""
        at, outcome = result.scheduled_at, outcome_of(result)
        place = place_of(self.tail, at)
        begin = end = place * RECORD_BYTES
        twin = unpack(self.tail, place)
        self.count_latency()
        if twin.at == at:
            if not wins(result, twin.result(result.monitor, self.details[twin.details])):
                return False
            end += RECORD_BYTES
            self._recount(place, -1)
        self.tail[begin:end] = pack(result, outcome, self._place_details(details_of(result)))
        self.oldest = min(self.oldest, at)
        self._recount(place, 1)
        self.counted = len(self.tail) // RECORD_BYTES
        return True

    def count_latency(self) -> None:
        """Count the results that are not in `hours` yet: late, since many at once are cheaper."""
        for at, phases_us in answers(self.tail, self.counted):
            self._hour_of(at).count(phases_us, 1)
        self.counted = len(self.tail) // RECORD_BYTES

    def step(self, terms: Terms, offs: list[Span]) -> bool:
        """Fold the newest result in order; returns whether anything but its time has changed."""
        head, kept = self.head, unpack(self.tail, len(self.tail) // RECORD_BYTES - 1)
        before = (len(head.pieces), head.pieces[-1] if head.pieces else None, len(head.raised), head.components)
        head.step(kept.at, kept.outcome, kept.version, self.details[kept.details], terms, offs)
        self._look(offs)
        if kept.outcome != UNKNOWN:
            self.calm_details = kept.details
        return before != (
            len(head.pieces),
            head.pieces[-1] if head.pieces else None,
            len(head.raised),
            head.components,
        )

    def make_head(self, terms: dict[int, Terms], offs: list[Span], horizon: int) -> bool:
        """Fold what is kept again from the base; returns whether anything but times has changed."""
        before, head = self.head, self.base.clone()
        self._fold(head, self.tail, terms, offs)
        head.quieten(horizon, offs)
        self.head, self.calm_details = head, NOWHERE
        self._look(offs)
        return (head.pieces, head.raised, head.components) != (before.pieces, before.raised, before.components)

    def quieten(self, horizon: int, offs: list[Span]) -> bool:
        """Fall silent if time has told so; returns whether it has."""
        if not self.head.quieten(horizon, offs):
            return False
        self._look(offs)
        return True

    def move_base(self, cut: int, terms: dict[int, Terms], offs: list[Span], horizon: int) -> None:
        """Give the base the results before `cut`; none will come between them any more."""
        self.count_latency()
        count = place_of(self.tail, cut)
        size = count * RECORD_BYTES
        self._fold(self.base, self.tail[:size], terms, offs)
        del self.tail[:size]
        self.counted -= count
        if self.base.quiet_from(offs) < cut:
            self.base.quieten(horizon, offs)
        self.oldest = at_of(self.tail, 0) if self.tail else FOREVER
        self.newest = self.newest if self.tail else NOWHERE
        if len(self.details) > 1:
            self._sweep_details()
        for bucket in [bucket for bucket, hour in self.hours.items() if bucket + HOUR_MS <= cut and not hour.untold]:
            del self.hours[bucket]

    def forget(self, until: int) -> None:
        """Drop what ended before `until`."""
        self.base.forget(until)
        self.head.forget(until)

    @property
    def versions(self) -> set[int]:
        """The versions of the monitor whose terms are still needed."""
        raised = {version for _, version in self.head.raised}
        return {self.head.version, *raised, *(kept.version for kept in unpack_all(self.tail))}

    def store(self, name: str) -> StoredRegion:
        """For a snapshot."""
        hours = [self.hours[bucket].store() for bucket in sorted(self.hours)]
        return StoredRegion(
            name, self.base, bytes(self.tail), self.counted, self.details[1:], hours, self.told_components
        )

    @classmethod
    def restore(cls, stored: StoredRegion, terms: dict[int, Terms], offs: list[Span], horizon: int) -> "Watched":
        """From a snapshot."""
        region = cls()
        region.base, region.tail = stored.base, bytearray(stored.tail)
        region.counted = stored.counted
        region.details += stored.details
        region.hours = {hour.bucket: Hour.restore(hour) for hour in stored.hours}
        region.told_components = stored.told_components
        if region.tail:
            region.oldest = at_of(region.tail, 0)
            region.newest = at_of(region.tail, len(region.tail) // RECORD_BYTES - 1)
        region.make_head(terms, offs, horizon)
        return region

    def _fold(self, region: Region, records: bytearray, terms: dict[int, Terms], offs: list[Span]) -> None:
        calm = NOWHERE if offs or region.components else region.calm
        for kept in unpack_all(records):
            if kept.outcome == calm and not kept.details and region.keeps_on(kept.version, kept.at):
                region.last_at = kept.at
            else:
                details = self.details[kept.details]
                region.step(kept.at, kept.outcome, kept.version, details, terms[kept.version], offs)
                calm = NOWHERE if offs or region.components else region.calm

    def _look(self, offs: list[Span]) -> None:
        self.calm = NOWHERE if offs else self.head.calm

    def _recount(self, place: int, sign: int) -> None:
        for at, phases_us in answers(self.tail[: (place + 1) * RECORD_BYTES], place):
            self._hour_of(at).count(phases_us, sign)

    def _hour_of(self, at: int) -> Hour:
        bucket = at - at % HOUR_MS
        hour = self.hours.get(bucket)
        if hour is None:
            hour = self.hours[bucket] = Hour(bucket)
        return hour

    def _place_details(self, details: Details) -> int:
        if details is NO_DETAILS:
            return 0
        for place in range(len(self.details) - 1, 0, -1):
            if self.details[place] == details:
                return place
        self.details.append(details)
        return len(self.details) - 1

    def _sweep_details(self) -> None:
        records = unpack_all(self.tail)
        places = {place: new for new, place in enumerate(sorted({0, *(kept.details for kept in records)}))}
        if len(places) < len(self.details):
            self.details = [self.details[place] for place in places]
            self.tail = bytearray(b"".join(kept._replace(details=places[kept.details]).packed() for kept in records))
            self.calm_details = NOWHERE
