"""`/v1/maintenances`: plan, read, list, change, end, cancel and delete; what has been stays as it was."""

import time
from collections.abc import Iterator
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Query, Response

from query.catalog import Entry
from query.context import Context, CurrentContext
from query.cursors import Cursor, cursor_to, place_of
from query.keys import Caller, Reader, Writer
from query.maintenances import MaintenanceState, objections, state_at
from query.management.lists import Limit, WithDocument
from query.management.models import MaintenanceDetail, MaintenanceList
from query.management.versions import IfMatch, expect_version, versioned
from query.management.writes import delete, write, writing
from query.problems import FieldProblem, ProblemError, ProblemKind, invalid, problems
from query.times import iso
from schemas.monitors import Maintenance, maintenance_id, monitor_id
from schemas.topics import MAINTENANCES, MONITORS

router: Final = APIRouter(prefix="/maintenances", tags=["maintenances"])
READ: Final = (ProblemKind.NO_KEY, ProblemKind.FORBIDDEN, ProblemKind.INVALID, ProblemKind.LOG_AWAY)
WRITE: Final = (*READ, ProblemKind.BAD_REQUEST, ProblemKind.TOO_LARGE)

OnlyState = Annotated[MaintenanceState | None, Query(description="Only those that are this now.")]


@router.get("", operation_id="list_maintenances", responses=problems(*READ), response_model=MaintenanceList)
async def list_maintenances(
    context: CurrentContext,
    caller: Reader,
    state: OnlyState = None,
    cursor: Cursor = None,
    limit: Limit = 100,
    document: WithDocument = False,
) -> Response:
    """The workspace's maintenances, the last to start first."""
    now, place = _now(), place_of(cursor, int, str)
    entries = sorted(context.catalog.maintenances.of_workspace(caller.workspace), key=_place, reverse=True)
    left = [
        entry
        for entry in entries
        if (place is None or _place(entry) < place) and state in (None, state_at(entry.document, now))
    ]
    lines = [_line(entry, now) for entry in left[:limit]]
    if document:
        for line, entry in zip(lines, left, strict=False):
            line["maintenance"] = entry.document.model_dump(mode="json", exclude_unset=True)
    next_cursor = cursor_to(_place(left[limit - 1])) if len(left) > limit else None
    return Response(orjson.dumps({"maintenances": lines, "next_cursor": next_cursor}), media_type="application/json")


@router.post(
    "",
    operation_id="create_maintenance",
    status_code=201,
    responses=problems(*WRITE, ProblemKind.CONFLICT, ProblemKind.LIMIT_REACHED),
    response_model=MaintenanceDetail,
)
async def create_maintenance(context: CurrentContext, caller: Writer, maintenance: Maintenance) -> Response:
    """Plan a maintenance of monitors that exist, from now on or later. The pages that show them announce it.

    The same document again is answered in the same way.
    """
    identity = maintenance_id(caller.workspace, maintenance.slug)
    async with writing(context, MAINTENANCES, identity, reads=MONITORS):
        present = context.catalog.maintenance(identity)
        entry = present or await _write(context, caller, identity, None, maintenance)
        if entry.document != maintenance:
            taken = f"there is a maintenance {maintenance.slug} already; change it with PUT"
            raise ProblemError(ProblemKind.CONFLICT, taken)
        return _answer(entry, 201)


@router.get(
    "/{slug}",
    operation_id="read_maintenance",
    responses=problems(*READ, ProblemKind.NOT_FOUND),
    response_model=MaintenanceDetail,
)
async def read_maintenance(context: CurrentContext, caller: Reader, slug: str) -> Response:
    """A maintenance as it was written, and its state."""
    return _answer(_found(context, caller, slug))


@router.put(
    "/{slug}",
    operation_id="put_maintenance",
    responses=problems(*WRITE, ProblemKind.VERSION_MISMATCH, ProblemKind.LIMIT_REACHED)
    | {201: {"model": MaintenanceDetail, "description": "There was none, and it was created."}},
    response_model=MaintenanceDetail,
)
async def put_maintenance(
    context: CurrentContext, caller: Writer, slug: str, maintenance: Maintenance, if_match: IfMatch = None
) -> Response:
    """Change a maintenance, or plan it. The same document again changes nothing, its version included.

    One that is upcoming can become anything, `cancelled` too. One that is active can be ended (`ends_at`: now),
    extended, and joined by monitors. Of one that is past only title and description can change.
    """
    if maintenance.slug != slug:
        raise invalid([FieldProblem(detail=f"the address says {slug}", pointer="#/slug")])
    identity = maintenance_id(caller.workspace, slug)
    async with writing(context, MAINTENANCES, identity, reads=MONITORS):
        present = context.catalog.maintenance(identity)
        if present is not None and present.document == maintenance:
            return _answer(present)
        expect_version(if_match, present.version if present else None)
        entry = await _write(context, caller, identity, present.document if present else None, maintenance)
        return _answer(entry, 200 if present else 201)


@router.delete(
    "/{slug}",
    operation_id="delete_maintenance",
    status_code=204,
    responses=problems(*READ, ProblemKind.NOT_FOUND, ProblemKind.CONFLICT, ProblemKind.VERSION_MISMATCH),
)
async def delete_maintenance(context: CurrentContext, caller: Writer, slug: str, if_match: IfMatch = None) -> None:
    """Delete a maintenance that does not run now, as if it had not been planned. The time that one took stays."""
    identity = maintenance_id(caller.workspace, slug)
    async with writing(context, MAINTENANCES, identity):
        present = _found(context, caller, slug)
        expect_version(if_match, present.version)
        if state_at(present.document, _now()) is MaintenanceState.ACTIVE:
            raise ProblemError(ProblemKind.CONFLICT, "it has begun: end it first, with PUT and ends_at: now")
        await delete(context, caller, MAINTENANCES, identity)


async def _write(
    context: Context, caller: Caller, identity: str, present: Maintenance | None, wanted: Maintenance
) -> Entry[Maintenance]:
    """Write the next version. Raises ProblemError for what cannot become so, and at the workspace's limit."""
    allowed = context.settings.max_maintenances
    if present is None and len(list(context.catalog.maintenances.of_workspace(caller.workspace))) >= allowed:
        raise ProblemError(
            ProblemKind.LIMIT_REACHED, f"a workspace has {allowed} maintenances at most; delete some that are over"
        )
    wrong = [FieldProblem(detail=why, pointer=f"#/{field}") for field, why in objections(present, wanted, _now())]
    wrong += _unknown_monitors(context, caller, present, wanted)
    if wrong:
        raise invalid(wrong)
    return await write(context, caller, MAINTENANCES, identity, wanted)


def _unknown_monitors(
    context: Context, caller: Caller, present: Maintenance | None, wanted: Maintenance
) -> Iterator[FieldProblem]:
    """Monitors that do not exist; those that are in it already may have been deleted since."""
    known = present.monitors if present else []
    for i, slug in enumerate(wanted.monitors):
        if slug not in known and context.catalog.monitor(monitor_id(caller.workspace, slug)) is None:
            yield FieldProblem(detail=f"there is no monitor {slug}", pointer=f"#/monitors/{i}")


def _found(context: Context, caller: Caller, slug: str) -> Entry[Maintenance]:
    entry = context.catalog.maintenance(maintenance_id(caller.workspace, slug))
    if entry is None:
        raise ProblemError(ProblemKind.NOT_FOUND, f"there is no maintenance {slug}")
    return entry


def _now() -> int:
    return time.time_ns() // 1_000_000


def _place(entry: Entry[Maintenance]) -> list[str | int]:
    return [entry.document.starts_at, entry.document.slug]


def _line(entry: Entry[Maintenance], now: int) -> dict[str, Any]:
    maintenance = entry.document
    return {
        "slug": maintenance.slug,
        "title": maintenance.title,
        "state": state_at(maintenance, now),
        "monitors": maintenance.monitors,
        "starts_at": iso(maintenance.starts_at),
        "ends_at": iso(maintenance.ends_at),
        "version": entry.version,
    }


def _answer(entry: Entry[Maintenance], status_code: int = 200) -> Response:
    return versioned("maintenance", entry, _line(entry, _now()), status_code)
