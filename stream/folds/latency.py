"""The latency of an hour in a region: counts in bins of an eighth of an octave, and the phases' sums."""

from bisect import bisect_left, bisect_right
from itertools import repeat
from typing import Final

import msgspec

from stream.folds.facts import HISTOGRAM_BINS

HOUR_MS: Final = 3_600_000
UNIT_US: Final = 1_000


def _edge(index: int) -> int:
    """The smallest whole us of a bin: (us / UNIT_US) ** 8 >= 2 ** index, in integers, so that all machines agree."""
    low, high = 0, UNIT_US << (index // 8 + 1)
    while low < high:
        middle = (low + high) // 2
        if middle**8 >= (1 << index) * UNIT_US**8:
            high = middle
        else:
            low = middle + 1
    return low


EDGES: Final = tuple(_edge(index) for index in range(1, HISTOGRAM_BINS))
"""Where bins begin, from the second one on: a result's bin is floor(log2(total_us / 1000) * 8), 0 to the last."""


class Hour(msgspec.Struct, array_like=True):
    """Absolute totals of an hour that may still get results."""

    bucket: int
    checks: int = 0
    dns_us: int = 0
    connect_us: int = 0
    tls_us: int = 0
    ttfb_us: int = 0
    transfer_us: int = 0
    total_us: int = 0
    bins: dict[int, int] = msgspec.field(default_factory=dict)
    untold: bool = False

    def count(self, columns_us: list[list[int]], sign: int) -> None:
        """Count results in (+1) or out (-1), by their phases: dns, connect, tls, ttfb, transfer, and the rest.

        A result that took no time at all was not measured.
        """
        totals_us = list(map(sum, zip(*columns_us, strict=True)))
        dns_us, connect_us, tls_us, ttfb_us, transfer_us, _ = map(sum, columns_us)
        unmeasured = totals_us.count(0)
        self.checks += sign * (len(totals_us) - unmeasured)
        self.dns_us += sign * dns_us
        self.connect_us += sign * connect_us
        self.tls_us += sign * tls_us
        self.ttfb_us += sign * ttfb_us
        self.transfer_us += sign * transfer_us
        self.total_us += sign * sum(totals_us)
        bins = self.bins
        for place in map(bisect_right, repeat(EDGES), totals_us):
            bins[place] = bins.get(place, 0) + sign
        if unmeasured:
            bins[0] -= sign * unmeasured
        self.untold = True

    @property
    def phases_us(self) -> tuple[int, int, int, int, int, int]:
        """Sums of dns, connect, tls, ttfb, transfer, total."""
        return (self.dns_us, self.connect_us, self.tls_us, self.ttfb_us, self.transfer_us, self.total_us)


class Hours:
    """A region's hours, unpacked for a moment: they are touched once in minutes, and kept as a snapshot keeps them."""

    __slots__ = ("_hours",)

    def __init__(self, packed: bytes) -> None:
        self._hours = {hour.bucket: hour for hour in _unpack(packed)}

    def pack(self) -> bytes:
        """In the order of time."""
        return _pack([self._hours[bucket] for bucket in sorted(self._hours)])

    def count(self, times: list[int], columns_us: list[list[int]], sign: int) -> None:
        """Count results, in the order of their times, in (+1) or out (-1)."""
        while times:
            bucket = times[0] - times[0] % HOUR_MS
            end = bisect_left(times, bucket + HOUR_MS)
            hour = self._hours.get(bucket)
            if hour is None:
                hour = self._hours[bucket] = Hour(bucket)
            hour.count(columns_us if end == len(times) else [column[:end] for column in columns_us], sign)
            times, columns_us = times[end:], [column[end:] for column in columns_us]

    def tell(self) -> list[Hour]:
        """Those that have changed since they were told."""
        untold = [hour for hour in self._hours.values() if hour.untold]
        for hour in untold:
            hour.untold = False
        return untold

    def forget(self, until: int) -> bool:
        """Drop the told ones that ended before `until`; returns whether there were any."""
        ended = [bucket for bucket, hour in self._hours.items() if bucket + HOUR_MS <= until and not hour.untold]
        for bucket in ended:
            del self._hours[bucket]
        return bool(ended)


_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder(list[Hour]).decode
NO_HOURS: Final = _pack([])
