"""What is kept of a result inside the lateness window: a record of 48 bytes, and its details once for equal ones."""

from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from schemas.enums import Outcome, Reason
from schemas.events import CheckResult, Component, Evidence, Failure

RECORD: Final = Struct("<qqIHBB6I")
RECORD_BYTES: Final = RECORD.size
_AT: Final = Struct("<q")

UP: Final = 0
DEGRADED: Final = 1
DOWN: Final = 2
UNKNOWN: Final = 3
"""Outcomes, and the statuses of a region."""

_encode: Final = msgspec.json.Encoder().encode


class Details(msgspec.Struct, frozen=True, array_like=True):
    """What a result says beyond its outcome."""

    reason: Reason
    message: str
    failures: tuple[Failure, ...] = ()
    components: tuple[Component, ...] = ()
    evidence: Evidence | None = None


NO_DETAILS: Final = Details(Reason.OK, "")


class Kept(NamedTuple):
    """A record, unpacked. `details` is a place in the region's list, 0 is NO_DETAILS."""

    at: int
    version: int
    checksum: int
    details: int
    outcome: int
    measured: int
    dns_us: int
    connect_us: int
    tls_us: int
    ttfb_us: int
    transfer_us: int
    total_us: int

    def packed(self) -> bytes:
        """The record again."""
        return RECORD.pack(*self)


def checksum_of(result: CheckResult) -> int:
    """Tells results of one identity apart: the smallest wins, whichever came first."""
    return crc32(_encode(result))


def outcome_of(result: CheckResult) -> int:
    """UP, DEGRADED, DOWN or UNKNOWN."""
    outcome = result.outcome
    if outcome is Outcome.UP:
        return UP
    if outcome is Outcome.DOWN:
        return DOWN
    return DEGRADED if outcome is Outcome.DEGRADED else UNKNOWN


def details_of(result: CheckResult) -> Details:
    """What is worth keeping besides the numbers."""
    if not (result.components or result.message or result.failures or result.evidence) and result.reason is Reason.OK:
        return NO_DETAILS
    return Details(result.reason, result.message, result.failures, result.components, result.evidence)


def pack(result: CheckResult, checksum: int, outcome: int, details: int, measured: bool) -> bytes:
    """The result's record."""
    return RECORD.pack(
        result.scheduled_at,
        result.monitor_version,
        checksum,
        details,
        outcome,
        measured,
        result.dns_us,
        result.connect_us,
        result.tls_us,
        result.ttfb_us,
        result.transfer_us,
        result.total_us,
    )


def unpack(tail: bytearray, place: int) -> Kept:
    """The record at a place."""
    return Kept._make(RECORD.unpack_from(tail, place * RECORD_BYTES))


def unpack_all(tail: bytes | bytearray) -> list[Kept]:
    """All records, in the order of time."""
    return [Kept._make(fields) for fields in RECORD.iter_unpack(tail)]


def at_of(tail: bytearray, place: int) -> int:
    """When the record at a place was scheduled."""
    at: int = _AT.unpack_from(tail, place * RECORD_BYTES)[0]
    return at


def place_of(tail: bytearray, at: int) -> int:
    """The first place whose time is not before `at`."""
    low, high = 0, len(tail) // RECORD_BYTES
    while low < high:
        middle = (low + high) // 2
        if at_of(tail, middle) < at:
            low = middle + 1
        else:
            high = middle
    return low
