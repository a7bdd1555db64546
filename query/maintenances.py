"""What a maintenance is at a moment, and what may still become of it: what has been cannot be written anew.

The `pulse` command stands on this too: it must not import FastAPI.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from query.times import iso
from schemas.monitors import Maintenance

SLACK_MS: Final = 60_000
"""So far may a caller's clock be behind ours, and still say `now`."""


class MaintenanceState(StrEnum):
    """Where a maintenance stands."""

    UPCOMING = "upcoming"
    ACTIVE = "active"
    PAST = "past"
    CANCELLED = "cancelled"


class Objection(NamedTuple):
    """Why a field of a maintenance cannot become what is wanted."""

    field: str
    detail: str


def state_at(maintenance: Maintenance, now: int) -> MaintenanceState:
    """Its state at `now`, int ms."""
    if maintenance.cancelled:
        return MaintenanceState.CANCELLED
    if now < maintenance.starts_at:
        return MaintenanceState.UPCOMING
    return MaintenanceState.ACTIVE if now < maintenance.ends_at else MaintenanceState.PAST


def objections(present: Maintenance | None, wanted: Maintenance, now: int) -> Iterator[Objection]:
    """Why `present` cannot become `wanted` at `now`, and what is allowed instead; nothing where it can."""
    state = None if present is None else state_at(present, now)
    if present is not None and state is MaintenanceState.ACTIVE:
        yield from _while_it_lasts(present, wanted, now)
    elif present is not None and state is MaintenanceState.PAST:
        for field in ("monitors", "starts_at", "ends_at", "cancelled"):
            if getattr(present, field) != getattr(wanted, field):
                yield Objection(field, "it is over: only title and description can change")
    elif not wanted.cancelled:
        yield from _before_it_starts(wanted, now)


def _before_it_starts(wanted: Maintenance, now: int) -> Iterator[Objection]:
    if wanted.starts_at < now - SLACK_MS:
        yield Objection("starts_at", f"this is past: it can start now ({iso(now)}) or later")
    if wanted.ends_at <= now:
        yield Objection("ends_at", f"this is past: it can end after now ({iso(now)})")


def _while_it_lasts(present: Maintenance, wanted: Maintenance, now: int) -> Iterator[Objection]:
    began = f"it has begun, at {iso(present.starts_at)}"
    if wanted.starts_at != present.starts_at:
        yield Objection("starts_at", f"{began}: that stays")
    if wanted.ends_at != present.ends_at and wanted.ends_at < now - SLACK_MS:
        yield Objection("ends_at", f"this is past: it can end now ({iso(now)}) or later")
    if wanted.cancelled:
        yield Objection("cancelled", f"{began}: end it, with ends_at: {iso(now)}")
    left_out = [monitor for monitor in present.monitors if monitor not in wanted.monitors]
    if left_out:
        yield Objection("monitors", f"{began}: monitors can join it, but not leave it ({', '.join(left_out)})")
