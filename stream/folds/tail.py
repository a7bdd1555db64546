"""All of a result that the lateness window needs: nine short numbers, and once for all what equal ones share.

Records stand in stretches, each a list of numbers, in which the first record's time is its distance from 0.
"""

from collections.abc import Iterable
from itertools import accumulate
from typing import Final, NamedTuple

import msgspec

from schemas.enums import Outcome, Reason
from schemas.events import CheckResult, Component, Evidence, Failure

WIDTH: Final = 9
"""Numbers a record: those of `Kept`, its time as the distance from the record before."""

UP: Final = 0
DEGRADED: Final = 1
DOWN: Final = 2
UNKNOWN: Final = 3
"""Outcomes, and the statuses of a region."""

_to_json: Final = msgspec.json.Encoder().encode
_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder(list[int]).decode


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
_UP: Final = Outcome.UP
_OK: Final = Reason.OK


class Kind(NamedTuple):
    """What results that follow each other mostly have in common."""

    version: int
    outcome: int
    details: Details
    status_code: int
    overloaded: bool
    certificate_expires_at: int

    def means(self, other: "Kind") -> bool:
        """Whether both say the same of the region's status."""
        return self[:3] == other[:3]

    @property
    def answers(self) -> bool:
        """Whether such a result counts in the latency."""
        return self.outcome < DOWN and not self.overloaded


class Kept(NamedTuple):
    """A record. `kind` is a place in the region's list; `rest_us` is what the phases lack of the total."""

    at: int
    lag_ms: int
    kind: int
    dns_us: int
    connect_us: int
    tls_us: int
    ttfb_us: int
    transfer_us: int
    rest_us: int

    def pack(self, before: int) -> bytes:
        """The record in bytes, after one of the time `before`."""
        return _pack((self.at - before, *self[1:]))[1:]

    def result(self, monitor: str, kind: Kind) -> CheckResult:
        """The result that was kept."""
        details = kind.details
        return CheckResult(
            monitor=monitor,
            scheduled_at=self.at,
            started_at=self.at + self.lag_ms,
            monitor_version=kind.version,
            outcome=OUTCOMES[kind.outcome],
            reason=details.reason,
            status_code=kind.status_code,
            dns_us=self.dns_us,
            connect_us=self.connect_us,
            tls_us=self.tls_us,
            ttfb_us=self.ttfb_us,
            transfer_us=self.transfer_us,
            total_us=sum(self[3:]),
            overloaded=kind.overloaded,
            message=details.message,
            failures=details.failures,
            components=details.components,
            evidence=details.evidence,
            certificate_expires_at=kind.certificate_expires_at,
        )


def wins(result: CheckResult, twin: CheckResult) -> bool:
    """Of two results of one identity the one with the smaller JSON wins, whichever came first."""
    return _to_json(result) < _to_json(twin)


def kind_of(result: CheckResult) -> tuple[int, int, Details, int, bool, int]:
    """A Kind's fields; no Kind yet, as nearly every result has one that is known."""
    said = result.message or result.components or result.failures or result.evidence
    return (
        result.monitor_version,
        UP if result.outcome is _UP else _PLACES[result.outcome],
        _details_of(result) if said or result.reason is not _OK else NO_DETAILS,
        result.status_code,
        result.overloaded,
        result.certificate_expires_at,
    )


def _details_of(result: CheckResult) -> Details:
    return Details(result.reason, result.message, result.failures, result.components, result.evidence)


def keep(result: CheckResult, kind: int) -> Kept:
    """The result's record."""
    phases_us = result.dns_us, result.connect_us, result.tls_us, result.ttfb_us, result.transfer_us
    at = result.scheduled_at
    return Kept(at, result.started_at - at, kind, *phases_us, result.total_us - sum(phases_us))


def pack(result: CheckResult, kind: int, before: int) -> bytes:
    """The result's record in bytes, after one of the time `before`."""
    at, dns_us, connect_us, tls_us = result.scheduled_at, result.dns_us, result.connect_us, result.tls_us
    ttfb_us, transfer_us = result.ttfb_us, result.transfer_us
    rest_us = result.total_us - dns_us - connect_us - tls_us - ttfb_us - transfer_us
    return _pack(
        (at - before, result.started_at - at, kind, dns_us, connect_us, tls_us, ttfb_us, transfer_us, rest_us)
    )[1:]


def stretch_of(fresh: bytes, count: int) -> bytes:
    """So many packed records, of which the first one's time is its distance from 0, as a packed stretch."""
    return b"".join((b"\xdd", (count * WIDTH).to_bytes(4), fresh))


def numbers_of(packed: bytes) -> list[int]:
    """The numbers of a packed stretch."""
    return _unpack(packed)


def times_of(numbers: list[int]) -> list[int]:
    """The times of a stretch."""
    return list(accumulate(numbers[::WIDTH]))


def newest_of(numbers: list[int]) -> int:
    """The time of the last record of a stretch."""
    return sum(numbers[::WIDTH])


def distances_of(numbers: list[int]) -> list[int]:
    """From each record of a stretch to the next."""
    return numbers[WIDTH::WIDTH]


def kinds_of(numbers: list[int]) -> list[int]:
    """The kinds of a stretch."""
    return numbers[2::WIDTH]


def columns_of(numbers: list[int]) -> list[list[int]]:
    """The phases of a stretch: a list for each."""
    return [numbers[column::WIDTH] for column in range(3, WIDTH)]


def records_of(numbers: list[int]) -> list[Kept]:
    """A stretch as records."""
    rows = zip(times_of(numbers), *(numbers[column::WIDTH] for column in range(1, WIDTH)), strict=True)
    return [Kept(*row) for row in rows]


def pack_all(records: Iterable[Kept]) -> bytes:
    """Records as a packed stretch."""
    numbers: list[int] = []
    before = 0
    for kept in records:
        numbers += (kept.at - before, *kept[1:])
        before = kept.at
    return _pack(numbers)
