"""What a fold tells: absolute rows, each versioned by the event that made it.

The latest version of an identity counts, so that a fact may be written any number of times.
"""

from typing import Final

import msgspec

from schemas.enums import Outcome, Reason, Status
from schemas.events import CheckResult, CorrectionOrdered, Incident, StatusChange

HISTOGRAM_BINS: Final = 128
OFFSET_MASK: Final = (1 << 48) - 1
STATUSES: Final = (Status.UP, Status.DEGRADED, Status.DOWN, Status.UNKNOWN, Status.MAINTENANCE, Status.PAUSED)
"""The order of `UptimeBucket.spans_ms`."""


class CurrentStatus(msgspec.Struct, frozen=True):
    """What a monitor is now. Identity: monitor."""

    monitor: str
    version: int
    status: Status
    since: int
    known_until: int
    reason: Reason
    message: str
    incident: str
    """The open one, or empty."""
    deleted: bool


class UptimeBucket(msgspec.Struct, frozen=True):
    """Milliseconds of each status in an hour or a day, up to `known_until`. Identity: monitor, step, bucket."""

    monitor: str
    step: str
    """`hour` or `day`."""
    bucket: int
    """Its beginning, milliseconds since the epoch."""
    version: int
    known_until: int
    spans_ms: tuple[int, int, int, int, int, int]
    """In the order of STATUSES."""


class LatencyHour(msgspec.Struct, frozen=True):
    """The latency of an hour's answers (up or degraded, measured, not overloaded).

    Identity: monitor, region, bucket.
    """

    monitor: str
    region: str
    bucket: int
    """Its beginning, milliseconds since the epoch."""
    version: int
    checks: int
    phases_us: tuple[int, int, int, int, int, int]
    """Sums of dns, connect, tls, ttfb, transfer, total."""
    bins: tuple[tuple[int, int], ...]
    """(bin, count) where there is any: bin = floor(log2(total_us / 1000) * 8), from 0 to the last."""

    @property
    def histogram(self) -> tuple[int, ...]:
        """The counts of the bins, up to the last that has any: rows without a tail of zeros are read faster."""
        used = {place: count for place, count in self.bins if count}
        counts = [0] * (max(used, default=-1) + 1)
        for place, count in used.items():
            counts[place] = count
        return tuple(counts)


class ComponentStatus(msgspec.Struct, frozen=True):
    """What a component of a health document is, since `at`. Identity: monitor, region, component."""

    monitor: str
    region: str
    component: str
    version: int
    at: int
    outcome: Outcome
    message: str
    gone: bool


class History(msgspec.Struct, frozen=True):
    """What a correction finds or leaves from the day (UTC) of its beginning on: the tables' standing rows."""

    incidents: tuple[Incident, ...] = ()
    """Those that lasted into it; found ones also if an earlier correction had annulled them."""
    changes: tuple[StatusChange, ...] = ()
    spans_ms: tuple[int, int, int, int, int, int] = (0, 0, 0, 0, 0, 0)
    """In the order of STATUSES, over the hours that the correction touches."""


class Correction(msgspec.Struct, frozen=True):
    """A correction that was carried out, and what it changed. Identity: monitor, id."""

    order: CorrectionOrdered
    version: int
    before: History
    after: History


class Facts:
    """What one event of the log made true: at most one fact for each identity."""

    __slots__ = (
        "changes",
        "components",
        "corrections",
        "current",
        "incidents",
        "late",
        "latency",
        "region",
        "results",
        "uptime",
        "version",
    )

    def __init__(self, version: int, region: str = "") -> None:
        self.version = version
        self.region = region
        """Of `results` and `late`."""
        self.results: list[CheckResult] = []
        """For the raw table: new, or winning over an earlier result of the same identity."""
        self.late: list[CheckResult] = []
        """For the raw table, under `late_version`: outside the lateness window, not folded."""
        self.changes: list[StatusChange] = []
        self.current: list[CurrentStatus] = []
        self.incidents: list[Incident] = []
        self.uptime: list[UptimeBucket] = []
        self.latency: list[LatencyHour] = []
        self.components: list[ComponentStatus] = []
        self.corrections: list[Correction] = []

    @property
    def late_version(self) -> int:
        """Below all others: a copy that comes too late never replaces a result, neither folded nor late."""
        return OFFSET_MASK - (self.version & OFFSET_MASK)
