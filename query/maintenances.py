"""What a maintenance is at a moment, and what may still become of it: what has been cannot be written anew."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from query.problems import FieldProblem
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


def state_at(maintenance: Maintenance, now: int) -> MaintenanceState:
    """Its state at `now`, int ms."""
    if maintenance.cancelled:
        return MaintenanceState.CANCELLED
    if now < maintenance.starts_at:
        return MaintenanceState.UPCOMING
    return MaintenanceState.ACTIVE if now < maintenance.ends_at else MaintenanceState.PAST


def objections(present: Maintenance | None, wanted: Maintenance, now: int) -> Iterator[FieldProblem]:
    """Why `present` cannot become `wanted` at `now`, and what is allowed instead; nothing where it can."""
    state = None if present is None else state_at(present, now)
    if present is not None and state is MaintenanceState.ACTIVE:
        yield from _while_it_lasts(present, wanted, now)
    elif present is not None and state is MaintenanceState.PAST:
        for field in ("monitors", "starts_at", "ends_at", "cancelled"):
            if getattr(present, field) != getattr(wanted, field):
                yield FieldProblem(detail="it is over: only title and description can change", pointer=f"#/{field}")
    elif not wanted.cancelled:
        yield from _before_it_starts(wanted, now)


def _before_it_starts(wanted: Maintenance, now: int) -> Iterator[FieldProblem]:
    if wanted.starts_at < now - SLACK_MS:
        yield FieldProblem(detail=f"this is past: it can start now ({iso(now)}) or later", pointer="#/starts_at")
    if wanted.ends_at <= now:
        yield FieldProblem(detail=f"this is past: it can end after now ({iso(now)})", pointer="#/ends_at")


def _while_it_lasts(present: Maintenance, wanted: Maintenance, now: int) -> Iterator[FieldProblem]:
    began = f"it has begun, at {iso(present.starts_at)}"
    if wanted.starts_at != present.starts_at:
        yield FieldProblem(detail=f"{began}: that stays", pointer="#/starts_at")
    if wanted.ends_at != present.ends_at and wanted.ends_at < now - SLACK_MS:
        yield FieldProblem(detail=f"this is past: it can end now ({iso(now)}) or later", pointer="#/ends_at")
    if wanted.cancelled:
        yield FieldProblem(detail=f"{began}: end it, with ends_at: {iso(now)}", pointer="#/cancelled")
    left_out = [monitor for monitor in present.monitors if monitor not in wanted.monitors]
    if left_out:
        yield FieldProblem(
            detail=f"{began}: monitors can join it, but not leave it ({', '.join(left_out)})", pointer="#/monitors"
        )
