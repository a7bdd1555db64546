"""A monitor's status over time: its regions by quorum, under what people have decided (off, maintenance)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from stream.folds.region import FOREVER, Piece, Region, Span
from stream.folds.tail import DEGRADED, DOWN, NO_DETAILS, UNKNOWN, UP, Details
from stream.folds.terms import HeldTerms, Terms

MAINTENANCE: Final = 4
PAUSED: Final = 5
GONE: Final = 6
"""Statuses of a monitor beyond those of a region; GONE, a deleted monitor's, counts nowhere."""

BAD_STATUSES: Final = (DEGRADED, DOWN)
NO_VERSION: Final = -1

Supports = list[tuple[str, Piece]]
"""Regions, and the pieces that speak for a status."""


class Moment(NamedTuple):
    """From `at` on the monitor has the status. Moments may repeat a status, with other regions behind it."""

    at: int
    status: int
    supports: Supports
    terms: Terms

    @property
    def decided_at(self) -> int:
        """The result that confirmed it."""
        return max(self.at, *(piece.decided_at for _, piece in self.supports)) if self.supports else self.at

    @property
    def first(self) -> Details:
        """What the first of the results behind it said."""
        if not self.supports:
            return NO_DETAILS
        return min(self.supports, key=lambda support: (support[1].at, support[0]))[1].details


def moments(
    regions: Sequence[tuple[str, Region]],
    offs: Iterable[Span],
    windows: Iterable[Span],
    begin: int,
    terms: HeldTerms,
) -> Iterator[Moment]:
    """The moments from `begin` on; `offs` go before `windows`, both before what the regions say."""
    spans = [*offs, *windows]
    borders = {begin, *terms.borders}
    for start, end, _ in spans:
        borders.update((start, end))
    for _, region in regions:
        borders.update(piece.at for piece in region.pieces)
        borders.update(at for at, _ in region.raised)
    for at in sorted(border for border in borders if begin <= border < FOREVER):
        held = terms_at(at, regions, terms)
        decided = next((status for start, end, status in spans if start <= at < end), None)
        yield Moment(at, decided, [], held) if decided is not None else _agreed(at, regions, held)


def _agreed(at: int, regions: Sequence[tuple[str, Region]], terms: Terms) -> Moment:
    held = [(name, piece) for name, region in regions if (piece := _piece_at(region, at))]
    live = [support for support in held if support[1].status != UNKNOWN]
    if not live:
        return Moment(at, UNKNOWN, [support for support in held if support[1].details != NO_DETAILS], terms)
    quorum = min(terms.quorum, len(live)) or len(live) // 2 + 1
    for status in (DOWN, DEGRADED):
        supports = [support for support in live if support[1].status >= status]
        if len(supports) >= quorum:
            return Moment(at, status, supports, terms)
    return Moment(at, UP, [support for support in live if support[1].status == UP], terms)


def _piece_at(region: Region, at: int) -> Piece | None:
    return next((piece for piece in reversed(region.pieces) if piece.at <= at), None)


def terms_at(at: int, regions: Sequence[tuple[str, Region]], terms: HeldTerms) -> Terms:
    """What holds of the monitor at a time: the highest version that any result up to then has named."""
    versions = [version for _, region in regions for raised_at, version in region.raised if raised_at <= at]
    return terms.at(max(versions, default=NO_VERSION), at)
