"""Status changes and incidents: what a monitor's moments tell, one after the other."""

from collections.abc import Callable, Iterable
from copy import copy
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from schemas.enums import EntryKind, IncidentState, Outcome, Reason, Severity, Status
from schemas.events import Evidence, Failure, Incident, StatusChange, TimelineEntry
from stream.folds.facts import STATUSES
from stream.folds.tail import DOWN, UNKNOWN, UP
from stream.folds.timeline import BAD_STATUSES, GONE, PAUSED, Moment

MAX_ENTRIES: Final = 100
MAX_NAMES: Final = 100
"""Of regions and of components that an incident names, in their order: all of it has to fit into a record."""
ID_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
ID_LENGTH: Final = 12
NEVER: Final = -1
"""The status of a monitor that has not begun."""


Notes = tuple[TimelineEntry, ...]
"""What people have written into an incident's timeline."""


class Change(NamedTuple):
    """A status change, before an event gives it its version; `incident` is a number, -1 where there is none."""

    at: int
    previous: int
    status: int
    decided_at: int
    reason: Reason
    message: str
    incident: int


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A line of an incident's timeline."""

    kind: EntryKind
    at: int
    status: int
    message: str


class Trouble(msgspec.Struct, frozen=True, array_like=True):
    """An incident, before an event gives it its version. It is open while `resolved_at` is 0.

    `number` counts the monitor's incidents: a correction that moves the beginning keeps it.
    """

    number: int
    opened_at: int
    decided_at: int
    severity: int
    newest_bad: int
    reason: Reason
    message: str
    failures: tuple[Failure, ...] = ()
    evidence: Evidence | None = None
    regions: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    resolved_at: int = 0
    reopen_until: int = 0

    def told(self, kind: EntryKind, at: int, status: int, message: str) -> "Trouble":
        """With one more entry; the oldest after the opening gives way when there are too many."""
        entries = (*self.entries, Entry(kind, at, status, message))
        if len(entries) > MAX_ENTRIES:
            entries = (entries[0], *entries[2:])
        return replace(self, entries=entries)

    def seen_at(self, moment: Moment) -> "Trouble":
        """With the regions and components that a bad moment shows."""
        regions = {*self.regions, *(name for name, _ in moment.supports)}
        components = {
            component.name
            for _, piece in moment.supports
            for component in piece.details.components
            if component.outcome is not Outcome.UP
        }
        return replace(self, regions=_named(regions), components=_named(components.union(self.components)))


def _named(names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names)[:MAX_NAMES])


class Story(msgspec.Struct, array_like=True, gc=False):
    """What is known of a monitor up to a moment: its status, since when and why, its newest incident."""

    status: int = NEVER
    since: int = 0
    reason: Reason = Reason.NO_RESULTS
    message: str = ""
    incidents: int = 0
    """How many there were."""
    trouble: Trouble | None = None
    """The newest incident: open, or one that a relapse could reopen."""
    reserved: tuple[int, ...] = ()
    """The numbers of the next incidents, where a correction has left them their identity."""

    def clone(self) -> "Story":
        """A copy that can go on on its own."""
        return copy(self)

    @property
    def open_trouble(self) -> Trouble | None:
        """The incident that is going on."""
        return self.trouble if self.trouble is not None and not self.trouble.resolved_at else None

    def take_up(self, incident: Incident, at: int, reopen_until: Callable[[int], int]) -> None:
        """Begin with an incident as it was told up to `at`; `reopen_until` is asked where it had ended."""
        entries = tuple(
            Entry(entry.kind, entry.at, STATUSES.index(entry.status), entry.message)
            for entry in incident.entries
            if entry.at < at and not entry.by
        )
        bad = [entry.status for entry in entries if entry.status in BAD_STATUSES]
        ended_at = entries[-1].at if entries[-1].kind is EntryKind.RESOLVED else 0
        self.incidents = 1
        self.trouble = Trouble(
            0,
            incident.opened_at,
            incident.decided_at,
            max(bad),
            bad[-1],
            incident.reason,
            incident.message,
            incident.failures,
            incident.evidence,
            incident.regions,
            incident.components,
            entries,
            ended_at,
            reopen_until(ended_at) if ended_at else 0,
        )

    def stay(self, other: "Story") -> None:
        """Begin in the midst of the status that another one tells."""
        self.status, self.since, self.reason, self.message = other.status, other.since, other.reason, other.message

    def forget(self, until: int) -> None:
        """Drop an incident that nothing after `until` can reopen."""
        if self.trouble is not None and self.trouble.resolved_at and self.trouble.reopen_until < until:
            self.trouble = None

    def follow(self, moments: Iterable[Moment]) -> tuple[list[Change], dict[int, Trouble]]:
        """The changes and the incidents of these moments, the newest incident of before included."""
        changes: list[Change] = []
        troubles = {self.trouble.number: self.trouble} if self.trouble else {}
        for moment in moments:
            if moment.status != self.status:
                change = self._enter(moment)
                if STATUSES_OF[change.previous] is not STATUSES_OF[change.status]:
                    changes.append(change)
            if moment.status in BAD_STATUSES and self.trouble:
                self.trouble = self.trouble.seen_at(moment)
            if self.trouble:
                troubles[self.trouble.number] = self.trouble
        return changes, troubles

    def _enter(self, moment: Moment) -> Change:
        previous, reason, message = self.status, *_why(moment)
        concerned = self._live_trouble(moment, reason, message)
        self.status, self.since, self.reason, self.message = moment.status, moment.at, reason, message
        return Change(moment.at, previous, moment.status, moment.decided_at, reason, message, concerned)

    def _live_trouble(self, moment: Moment, reason: Reason, message: str) -> int:
        """Open, continue or resolve an incident; returns its number, -1 where none is concerned."""
        at, status = moment.at, moment.status
        trouble = self.open_trouble
        if status in BAD_STATUSES:
            if trouble:
                kind = _turn(trouble.newest_bad, status)
            elif self.trouble and at <= self.trouble.reopen_until:
                trouble, kind = replace(self.trouble, resolved_at=0, reopen_until=0), EntryKind.REOPENED
            else:
                trouble, kind = self._open(moment, reason, message), EntryKind.OPENED
            worst = max(trouble.severity, status)
            self.trouble = replace(trouble.told(kind, at, status, message), severity=worst, newest_bad=status)
            return self.trouble.number
        if not trouble:
            if self.trouble and status in (PAUSED, GONE):
                self.trouble = replace(self.trouble, reopen_until=0)
            return -1
        if status == UP:
            resolved = replace(trouble, resolved_at=at, reopen_until=at + moment.terms.reopen_gap_ms)
            self.trouble = resolved.told(EntryKind.RESOLVED, at, status, message)
        elif status in (PAUSED, GONE):
            self.trouble = replace(trouble, resolved_at=at).told(EntryKind.RESOLVED, at, status, message)
        else:
            self.trouble = trouble.told(EntryKind.UPDATE, at, status, message)
        return trouble.number

    def _open(self, moment: Moment, reason: Reason, message: str) -> Trouble:
        first = moment.first
        return Trouble(
            self._number(),
            moment.at,
            moment.decided_at,
            moment.status,
            moment.status,
            reason,
            message,
            first.failures,
            first.evidence,
        )

    def _number(self) -> int:
        if self.reserved:
            number, *rest = self.reserved
            self.reserved = tuple(rest)
            return number
        self.incidents += 1
        return self.incidents - 1


STATUSES_OF: Final = {
    **dict(enumerate(STATUSES)),
    GONE: Status.UNKNOWN,
    NEVER: Status.UNKNOWN,
}
"""A status as the world sees it."""

_MESSAGES: Final = {PAUSED: "The monitor was paused.", GONE: "The monitor was deleted."}


def _why(moment: Moment) -> tuple[Reason, str]:
    if moment.status in BAD_STATUSES:
        return moment.first.reason, moment.first.message
    if moment.status == UNKNOWN:
        if not moment.supports:
            return Reason.NO_RESULTS, ""
        newest = max(moment.supports, key=lambda support: (support[1].at, support[0]))[1].details
        return newest.reason, newest.message
    return Reason.OK, _MESSAGES.get(moment.status, "")


def _turn(before: int, status: int) -> EntryKind:
    if status == before:
        return EntryKind.UPDATE
    return EntryKind.ESCALATED if status > before else EntryKind.EASED


def incident_id(monitor: str, number: int) -> str:
    """12 letters and digits, the same for the same incident whatever corrections come."""
    value = int.from_bytes(blake2b(f"{monitor}\0{number}".encode(), digest_size=8).digest())
    letters = []
    for _ in range(ID_LENGTH):
        value, place = divmod(value, len(ID_LETTERS))
        letters.append(ID_LETTERS[place])
    return "".join(letters)


def incident_of(
    monitor: str, version: int, trouble: Trouble, notes: Notes = (), annulled_at: int | None = None
) -> Incident:
    """The incident as an event, with what people have noted; one that never was says since when that is known."""
    if annulled_at is not None:
        trouble = trouble.told(EntryKind.ANNULLED, annulled_at, UP, "Later results took back what had opened it.")
        state = IncidentState.ANNULLED
    else:
        state = IncidentState.RESOLVED if trouble.resolved_at else IncidentState.OPEN
    return Incident(
        id=incident_id(monitor, trouble.number),
        monitor=monitor,
        version=version,
        state=state,
        severity=Severity.DOWN if trouble.severity == DOWN else Severity.DEGRADED,
        opened_at=trouble.opened_at,
        decided_at=trouble.decided_at,
        reason=trouble.reason,
        message=trouble.message,
        resolved_at=trouble.resolved_at,
        regions=trouble.regions,
        components=trouble.components,
        failures=trouble.failures,
        evidence=trouble.evidence,
        entries=with_notes(
            (
                TimelineEntry(entry.kind, entry.at, STATUSES_OF[entry.status], entry.message)
                for entry in trouble.entries
            ),
            notes,
        ),
    )


def with_notes(entries: Iterable[TimelineEntry], notes: Notes) -> tuple[TimelineEntry, ...]:
    """A timeline in the order of time."""
    return tuple(sorted((*entries, *notes), key=lambda entry: entry.at)) if notes else tuple(entries)


def change_of(monitor: str, version: int, change: Change, withdrawn: bool = False) -> StatusChange:
    """The change as an event."""
    return StatusChange(
        monitor=monitor,
        at=change.at,
        version=version,
        decided_at=change.decided_at,
        previous=STATUSES_OF[change.previous],
        status=STATUSES_OF[change.status],
        reason=change.reason,
        message=change.message,
        incident=incident_id(monitor, change.incident) if change.incident >= 0 else "",
        withdrawn=withdrawn,
    )
