"""All of a result that the lateness window needs: a record of 64 bytes, and its details once for equal ones."""

from struct import Struct
from typing import Final, NamedTuple

import msgspec

from schemas.enums import Outcome, Reason
from schemas.events import CheckResult, Component, Evidence, Failure

RECORD: Final = Struct("<qqqqIHB?6I")
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


OUTCOMES: Final = (Outcome.UP, Outcome.DEGRADED, Outcome.DOWN, Outcome.UNKNOWN)
_PLACES: Final = {outcome: place for place, outcome in enumerate(OUTCOMES)}


class Kept(NamedTuple):
    """A record, unpacked. `details` is a place in the region's list, 0 is NO_DETAILS."""

    at: int
    started_at: int
    version: int
    certificate_expires_at: int
    details: int
    status_code: int
    outcome: int
    overloaded: bool
    dns_us: int
    connect_us: int
    tls_us: int
    ttfb_us: int
    transfer_us: int
    total_us: int

    def packed(self) -> bytes:
        """The record again."""
        return RECORD.pack(*self)

    def result(self, monitor: str, details: Details) -> CheckResult:
        """The result that was kept."""
        return CheckResult(
            monitor=monitor,
            scheduled_at=self.at,
            started_at=self.started_at,
            monitor_version=self.version,
            outcome=OUTCOMES[self.outcome],
            reason=details.reason,
            status_code=self.status_code,
            dns_us=self.dns_us,
            connect_us=self.connect_us,
            tls_us=self.tls_us,
            ttfb_us=self.ttfb_us,
            transfer_us=self.transfer_us,
            total_us=self.total_us,
            overloaded=self.overloaded,
            message=details.message,
            failures=details.failures,
            components=details.components,
            evidence=details.evidence,
            certificate_expires_at=self.certificate_expires_at,
        )


def wins(result: CheckResult, twin: CheckResult) -> bool:
    """Of two results of one identity the one with the smaller JSON wins, whichever came first."""
    return _encode(result) < _encode(twin)


def outcome_of(result: CheckResult) -> int:
    """UP, DEGRADED, DOWN or UNKNOWN."""
    return UP if result.outcome is Outcome.UP else _PLACES[result.outcome]


def details_of(result: CheckResult) -> Details:
    """What a record does not hold."""
    if not (result.components or result.message or result.failures or result.evidence) and result.reason is Reason.OK:
        return NO_DETAILS
    return Details(result.reason, result.message, result.failures, result.components, result.evidence)


def pack(result: CheckResult, outcome: int, details: int) -> bytes:
    """The result's record."""
    return RECORD.pack(
        result.scheduled_at,
        result.started_at,
        result.monitor_version,
        result.certificate_expires_at,
        details,
        result.status_code,
        outcome,
        result.overloaded,
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


def answers(tail: bytearray, first: int) -> list[tuple[int, tuple[int, ...]]]:
    """What counts in the latency, from a place on: when it was scheduled, and its phases with their total."""
    records = RECORD.iter_unpack(tail[first * RECORD_BYTES :])
    return [(record[0], record[8:]) for record in records if record[6] < DOWN and not record[7]]


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
