"""The latency of an hour in a region: counts in bins of an eighth of an octave, and the phases' sums."""

from array import array
from bisect import bisect_right
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


class StoredHour(msgspec.Struct, array_like=True):
    """An hour as a snapshot keeps it; `bins` is bin, count, bin, count ..."""

    bucket: int
    checks: int
    phases_us: tuple[int, int, int, int, int, int]
    bins: list[int]
    untold: bool


class Hour:
    """Absolute totals of an hour that may still get results."""

    __slots__ = (
        "bins",
        "bucket",
        "checks",
        "connect_us",
        "dns_us",
        "tls_us",
        "total_us",
        "transfer_us",
        "ttfb_us",
        "untold",
    )

    def __init__(self, bucket: int) -> None:
        self.bucket = bucket
        self.checks = 0
        self.dns_us = self.connect_us = self.tls_us = self.ttfb_us = self.transfer_us = self.total_us = 0
        self.bins = array("I", bytes(4 * HISTOGRAM_BINS))
        self.untold = False

    def count(self, phases_us: tuple[int, ...], sign: int) -> None:
        """Count a result in (+1) or out (-1): its dns, connect, tls, ttfb, transfer, total."""
        dns_us, connect_us, tls_us, ttfb_us, transfer_us, total_us = phases_us
        self.checks += sign
        self.dns_us += sign * dns_us
        self.connect_us += sign * connect_us
        self.tls_us += sign * tls_us
        self.ttfb_us += sign * ttfb_us
        self.transfer_us += sign * transfer_us
        self.total_us += sign * total_us
        self.bins[bisect_right(EDGES, total_us)] += sign
        self.untold = True

    @property
    def phases_us(self) -> tuple[int, int, int, int, int, int]:
        """Sums of dns, connect, tls, ttfb, transfer, total."""
        return (self.dns_us, self.connect_us, self.tls_us, self.ttfb_us, self.transfer_us, self.total_us)

    def store(self) -> StoredHour:
        """For a snapshot."""
        bins = [number for place, count in enumerate(self.bins) if count for number in (place, count)]
        return StoredHour(self.bucket, self.checks, self.phases_us, bins, self.untold)

    @classmethod
    def restore(cls, stored: StoredHour) -> "Hour":
        """From a snapshot."""
        hour = cls(stored.bucket)
        hour.checks, hour.untold = stored.checks, stored.untold
        (
            hour.dns_us,
            hour.connect_us,
            hour.tls_us,
            hour.ttfb_us,
            hour.transfer_us,
            hour.total_us,
        ) = stored.phases_us
        for place, count in zip(stored.bins[::2], stored.bins[1::2], strict=True):
            hour.bins[place] = count
        return hour
