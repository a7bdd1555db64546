"""What a region makes of a monitor's results, in the order of their times: two ladders, flapping, silence."""

from collections.abc import Iterable
from copy import copy
from typing import Final

import msgspec

from schemas.enums import Outcome, Reason
from schemas.events import Component
from stream.folds.tail import DEGRADED, DOWN, NO_DETAILS, UNKNOWN, UP, Details, Kind
from stream.folds.terms import Terms

NONE: Final = 0
GOOD: Final = 1
BAD: Final = 2
"""States of a ladder; NONE until a result has told."""

FLAP_RESULTS: Final = 20
FLAP_WEIGHTS: Final = tuple(120 - 2 * age for age in range(FLAP_RESULTS))
"""A change counts the more the newer it is."""
FLAP_TOTAL: Final = sum(FLAP_WEIGHTS)

FOREVER: Final = 1 << 62
"""Where a span has no end yet."""

Span = tuple[int, int, int]
"""From, to, status: when a monitor was switched off."""
Offs = tuple[Span, ...]


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """From `at` on the region has the status, until the next piece; `decided_at` is the result that confirmed it."""

    at: int
    status: int
    decided_at: int
    details: Details


class ComponentSince(msgspec.Struct, frozen=True, array_like=True):
    """A component, and since which result it is like this."""

    name: str
    outcome: Outcome
    message: str
    at: int


class Ladder(msgspec.Struct, array_like=True):
    """Bad after so many bad results in a row, good after so many good ones; at the beginning one good one is enough."""

    state: int = NONE
    run: int = 0
    first_at: int = 0
    first: Details = NO_DETAILS

    def step(self, bad: bool, at: int, details: Details, terms: Terms) -> bool:
        """Returns whether the ladder's state has changed; `first_at` then dates the change."""
        against = bad != (self.state == BAD)
        if self.state == NONE and not bad:
            self.state, self.run, self.first_at, self.first = GOOD, 0, at, details
            return True
        if not against:
            self.run = 0
            return False
        if not self.run:
            self.first_at, self.first = at, details
        elif not bad and self.first.reason is Reason.OK:
            self.first = details
        self.run += 1
        if self.run < (terms.confirmations if bad else terms.recoveries):
            return False
        self.state, self.run = BAD if bad else GOOD, 0
        return True


class Region(msgspec.Struct, array_like=True):
    """The status of a region up to the newest result it was given."""

    last_at: int = 0
    """The newest result that told something, 0 where the region is silent."""
    silence_ms: int = 0
    outcome: int = UNKNOWN
    down: Ladder = msgspec.field(default_factory=Ladder)
    bad: Ladder = msgspec.field(default_factory=Ladder)
    changes: int = 0
    """A bit a result, the newest lowest: did the outcome change?"""
    flapping: bool = False
    doubt: Details | None = None
    """The newest result since `last_at` in which the probe could not tell."""
    quiet_at: int = 0
    """When the region last fell silent."""
    version: int = -1
    """Of the monitor, as the result at `last_at` names it."""
    raised: list[tuple[int, int]] = msgspec.field(default_factory=list)
    """From when on results named which version of the monitor, the highest so far."""
    pieces: list[Piece] = msgspec.field(default_factory=list)
    components: tuple[ComponentSince, ...] = ()

    def clone(self) -> "Region":
        """A copy that can be stepped on its own."""
        other = copy(self)
        other.down, other.bad = copy(self.down), copy(self.bad)
        other.raised, other.pieces = self.raised.copy(), self.pieces.copy()
        return other

    def step(self, at: int, outcome: int, version: int, details: Details, terms: Terms, offs: Offs) -> None:
        """The next result in the order of time. What was taken while the monitor was switched off tells nothing."""
        if any(start <= at < end for start, end, _ in offs):
            return
        if outcome == UNKNOWN:
            if self.last_at and at <= self.quiet_from(offs):
                self.doubt = details
            return
        if self.last_at and at > (quiet_at := self.quiet_from(offs)):
            self._fall_silent(quiet_at)
        if not self.raised or version > self.raised[-1][1]:
            self.raised.append((at, version))
        self._tell(at, outcome, details, terms)
        self.components = self._components_after(at, outcome, details)
        self.last_at, self.silence_ms, self.version = at, terms.silence_ms, version
        self.outcome, self.doubt = outcome, None

    def quieten(self, horizon: int, offs: Offs) -> bool:
        """Fall silent if time has told so; returns whether it has."""
        if not self.last_at:
            return False
        quiet_at = self.quiet_from(offs)
        if quiet_at >= horizon and quiet_at == self.last_at + self.silence_ms:
            return False
        self._fall_silent(quiet_at)
        return True

    def settled_until(self, cut: int, offs: Offs) -> int:
        """No result from `cut` on changes what the region was before this time."""
        until = min(cut, self.quiet_from(offs)) if self.last_at else cut
        for ladder in (self.down, self.bad):
            if ladder.run:
                until = min(until, ladder.first_at)
        return until

    def forget(self, until: int) -> None:
        """Drop the pieces that ended before `until`."""
        while len(self.pieces) > 1 and self.pieces[1].at <= until:
            del self.pieces[0]
        while len(self.raised) > 1 and self.raised[1][0] <= until:
            del self.raised[0]

    @property
    def status(self) -> int:
        """UP, DEGRADED, DOWN, or UNKNOWN while nothing is confirmed."""
        if self.down.state == BAD:
            return DOWN
        if self.bad.state == BAD or self.flapping:
            return DEGRADED
        return UP if self.bad.state == GOOD else UNKNOWN

    def stays(self, kind: Kind, offs: Offs) -> bool:
        """Whether a result of this kind, if it comes before the silence, would change nothing but `last_at`."""
        if offs or not self.last_at or self.changes or self.flapping or self.down.run or self.bad.run or self.doubt:
            return False
        if not kind.outcome == self.outcome == self.status or kind.version != self.version:
            return False
        return self._components_after(self.last_at, kind.outcome, kind.details) == self.components

    def quiet_from(self, offs: Offs) -> int:
        """When the silence after `last_at` begins: after too long without a result, or with the switching off."""
        quiet_at = self.last_at + self.silence_ms
        for start, _, _ in offs:
            if start > self.last_at:
                return min(quiet_at, start)
        return quiet_at

    def _fall_silent(self, at: int) -> None:
        if self.status != UNKNOWN:
            self._change(at, at, UNKNOWN, self.doubt or NO_DETAILS)
        self.components = self._since(at, (Component(each.name, Outcome.UNKNOWN) for each in self.components))
        self.last_at, self.quiet_at, self.doubt, self.outcome = 0, at, None, UNKNOWN
        self.down, self.bad, self.changes, self.flapping = Ladder(), Ladder(), 0, False

    def _tell(self, at: int, outcome: int, details: Details, terms: Terms) -> None:
        before, flapped = self.status, self.flapping
        self.down.step(outcome == DOWN, at, details, terms)
        self.bad.step(outcome != UP, at, details, terms)
        if self.last_at:
            self._weigh(outcome != self.outcome, terms)
        if self.status != before:
            self._date(before, flapped, at, details)
        for ladder in (self.down, self.bad):
            if not ladder.run:
                ladder.first = NO_DETAILS

    def _date(self, before: int, flapped: bool, at: int, details: Details) -> None:
        """A change is dated by the first result of the run that made it, or by this one where flapping did."""
        status = self.status
        if status == DOWN or (before == DOWN and status == DEGRADED):
            first_at, first = self.down.first_at, self.down.first
        elif status == DEGRADED and self.bad.state != BAD:
            first_at, first = at, NO_DETAILS
        elif status == UP and flapped:
            first_at, first = at, details
        else:
            first_at, first = self.bad.first_at, self.bad.first
        if status == DEGRADED and first.reason is Reason.OK and self.flapping:
            message = f"{self.changes.bit_count()} changes in the last {FLAP_RESULTS} results"
            first = Details(Reason.FLAPPING, message, details.failures, details.components, details.evidence)
        self._change(first_at, at, status, first)

    def _weigh(self, changed: bool, terms: Terms) -> None:
        self.changes = (self.changes << 1 | changed) & ((1 << FLAP_RESULTS) - 1)
        if not terms.flap_start:
            self.flapping = False
            return
        limit = terms.flap_stop if self.flapping else terms.flap_start
        self.flapping = 100 * _weight(self.changes) >= limit * FLAP_TOTAL

    def _change(self, at: int, decided_at: int, status: int, details: Details) -> None:
        """A change is never dated before the one before it."""
        if self.pieces and at <= self.pieces[-1].at:
            at = self.pieces.pop().at
        self.pieces.append(Piece(at, status, decided_at, details))

    def _components_after(self, at: int, outcome: int, details: Details) -> tuple[ComponentSince, ...]:
        if not details.components and (outcome != UP or not self.components):
            return self.components
        return self._since(at, details.components)

    def _since(self, at: int, components: Iterable[Component]) -> tuple[ComponentSince, ...]:
        """What is said of components at a time; one that was like this before keeps its own time."""
        known = {component.name: component for component in self.components}
        seen = []
        for component in components:
            before = known.get(component.name)
            if before is None or before.outcome is not component.outcome or before.message != component.message:
                before = ComponentSince(component.name, component.outcome, component.message, at)
            seen.append(before)
        return tuple(seen)


def _weight(changes: int) -> int:
    weight = 0
    while changes:
        weight += FLAP_WEIGHTS[changes.bit_length() - 1]
        changes &= (1 << changes.bit_length() - 1) - 1
    return weight
