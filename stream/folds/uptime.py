"""Milliseconds of each status in hours and days (UTC)."""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final

import msgspec

from stream.folds.timeline import GONE

STEPS: Final = (("hour", 3_600_000), ("day", 86_400_000))

Segments = Sequence[tuple[int, int]]
"""(at, status): from `at` on, until the next."""
Spans = tuple[int, int, int, int, int, int]
NOTHING: Final[Spans] = (0, 0, 0, 0, 0, 0)


def spans_of(segments: Segments, start: int, end: int, settled: Spans = NOTHING) -> Spans:
    """Milliseconds of each status from `start` to `end`, added to `settled`; none while the monitor was deleted."""
    at, status = segments[-1]
    if at <= start < end and status != GONE:
        return (*settled[:status], settled[status] + end - start, *settled[status + 1 :])  # type: ignore[return-value]  # as many as there were
    spans = list(settled)
    for at, status in reversed(segments):
        since = max(start, at)
        if since < end:
            if status != GONE:
                spans[status] += end - since
            end = since
        if at <= start:
            break
    return tuple(spans)  # type: ignore[return-value]  # as many as there were


Bucket = tuple[str, int, int, Spans]
"""Step, beginning, known until, milliseconds by status."""


_PACKED: Final = Struct("<12I")
_NOTHING: Final = _PACKED.pack(*NOTHING, *NOTHING)


class Uptime(msgspec.Struct, array_like=True, gc=False):
    """What is settled: the milliseconds up to `until` of the hour and of the day in which it lies, packed."""

    until: int = 0
    spans_ms: bytes = _NOTHING

    def buckets(self, segments: Segments, first: int, known_until: int) -> Iterator[Bucket]:
        """The hours and days from the one of `first` on, up to `known_until`."""
        for (step, size), settled in zip(STEPS, self._settled(), strict=True):
            settling = self.until - self.until % size
            for bucket in range(max(first - first % size, settling), known_until, size):
                end = min(bucket + size, known_until)
                so_far = settled if bucket == settling else NOTHING
                yield step, bucket, end, spans_of(segments, max(bucket, self.until), end, so_far)

    def settle(self, segments: Segments, until: int) -> None:
        """Move on to `until`."""
        spans_ms: list[int] = []
        for (_, size), settled in zip(STEPS, self._settled(), strict=True):
            settling = until - until % size
            so_far = settled if settling <= self.until else NOTHING
            spans_ms += spans_of(segments, max(settling, self.until), until, so_far)
        self.until, self.spans_ms = until, _PACKED.pack(*spans_ms)

    def _settled(self) -> tuple[Spans, Spans]:
        spans_ms = _PACKED.unpack(self.spans_ms)
        return spans_ms[:6], spans_ms[6:]
