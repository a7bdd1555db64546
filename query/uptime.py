"""Uptime by time: absolute buckets of milliseconds by status, and what follows from them."""

import sys
from array import array
from dataclasses import dataclass
from operator import add, sub
from typing import Final

from schemas.enums import Status

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
STATUSES: Final = (Status.UP, Status.DEGRADED, Status.DOWN, Status.UNKNOWN, Status.MAINTENANCE, Status.PAUSED)
"""The order of a bucket's columns, and of every `spans_ms` here."""
WIDTH: Final = len(STATUSES)
NO_SPANS: Final = (0,) * WIDTH
DAYS: Final = 90
HOURS: Final = 25

Spans = tuple[int, ...]
"""Milliseconds in each of STATUSES."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """A status that has lasted from `since` until `until`, int ms: what no bucket has counted yet."""

    status: Status
    since: int
    until: int


class Buckets:
    """The newest `count` buckets of one monitor, in a ring: a new bucket takes the place of the oldest."""

    __slots__ = ("_known_until", "_newest", "_numbers", "_oldest", "_spans", "_sum", "count", "step_ms")

    def __init__(self, step_ms: int, count: int) -> None:
        self.step_ms = step_ms
        self.count = count
        self._numbers = array("q", [-1]) * count
        self._spans = array("I", NO_SPANS) * count
        self._newest = -1
        self._oldest = sys.maxsize
        self._known_until = 0
        self._sum: Spans = NO_SPANS
        """Of all that is in the ring."""

    def put(self, bucket: int, known_until: int, spans_ms: Spans) -> None:
        """Keep the bucket that begins at `bucket` (int ms), counted up to `known_until`."""
        number = bucket // self.step_ms
        slot = number % self.count
        overwritten = self._numbers[slot]
        if number < overwritten:
            return
        before = self._spans[slot * WIDTH : (slot + 1) * WIDTH]
        self._sum = tuple(map(sub, map(add, self._sum, spans_ms), before))
        self._numbers[slot] = number
        self._spans[slot * WIDTH : (slot + 1) * WIDTH] = array("I", spans_ms)
        self._known_until = max(self._known_until, known_until)
        self._newest = max(self._newest, number)
        if overwritten == self._oldest != number:
            self._oldest = min(each for each in self._numbers if each >= 0)
        else:
            self._oldest = min(self._oldest, number)

    def newest(self, count: int, now: int, lasting: Lasting | None) -> list[Spans]:
        """The spans of the last `count` buckets, oldest first, the one that holds `now` included."""
        last = now // self.step_ms
        first = last - count + 1
        spans = self._kept(last)[-count:]
        if lasting is not None:
            uncounted_from = max(lasting.since, self._known_until)
            for number in range(max(first, uncounted_from // self.step_ms), last + 1):
                spans[number - first] = self._with_lasting(spans[number - first], number, lasting)
        return spans

    def whole(self, now: int, lasting: Lasting | None) -> Spans:
        """The sum of the newest `count` buckets, the one that holds `now` included; quick where the ring is filled."""
        last = now // self.step_ms
        if lasting is None or self._newest not in (last - 1, last) or self._oldest <= last - self.count:
            return total(self.newest(self.count, now, lasting))
        uncounted = min(lasting.until, (last + 1) * self.step_ms) - max(lasting.since, self._known_until)
        if uncounted <= 0:
            return self._sum
        place = STATUSES.index(lasting.status)
        return (*self._sum[:place], self._sum[place] + uncounted, *self._sum[place + 1 :])

    def _kept(self, last: int) -> list[Spans]:
        """What is kept of the buckets up to the number `last`, as many as the ring has, oldest first."""
        cut = (last + 1) % self.count
        numbers = self._numbers[cut:] + self._numbers[:cut]
        columns = iter(self._spans[cut * WIDTH :] + self._spans[: cut * WIDTH])
        spans: list[Spans] = list(zip(*[columns] * WIDTH, strict=True))
        wanted = array("q", range(last - self.count + 1, last + 1))
        if numbers == wanted:
            return spans
        return [each if kept == number else NO_SPANS for each, kept, number in zip(spans, numbers, wanted, strict=True)]

    def _with_lasting(self, spans: Spans, number: int, lasting: Lasting) -> Spans:
        begin = max(number * self.step_ms, lasting.since, self._known_until)
        uncounted = min((number + 1) * self.step_ms, lasting.until) - begin
        if uncounted <= 0:
            return spans
        place = STATUSES.index(lasting.status)
        return (*spans[:place], spans[place] + uncounted, *spans[place + 1 :])


def total(spans: list[Spans]) -> Spans:
    """The sum of several buckets, or of several monitors."""
    return tuple(map(sum, zip(*spans, strict=True))) if spans else NO_SPANS


def uptime_of(spans_ms: Spans) -> float | None:
    """(up + degraded) / (up + degraded + down), from 0 to 1; None when nothing of it is known."""
    up, degraded, down, *_ = spans_ms
    watched = up + degraded + down
    return (up + degraded) / watched if watched else None


def coverage_of(spans_ms: Spans, window_ms: int) -> float:
    """The share of the window in which the status was known, from 0 to 1."""
    up, degraded, down, _, maintenance, _ = spans_ms
    return min(1.0, (up + degraded + down + maintenance) / window_ms) if window_ms else 0.0
