"""`/v1/monitors`: create, read, list, replace and delete."""

import time
from typing import Final

import orjson
from fastapi import APIRouter, Request, Response

from query.catalog import Entry
from query.context import Context, CurrentContext
from query.cursors import Cursor
from query.encodings import json_answer
from query.keys import Caller, Reader, Writer
from query.management.lines import Lines, summary_of
from query.management.lists import Limit, WithDocument, listed
from query.management.models import MonitorDetail, MonitorList
from query.management.states import state_of
from query.management.versions import IfMatch, expect_version, versioned
from query.management.writes import delete, write, writing
from query.problems import FieldProblem, ProblemError, ProblemKind, invalid, problems
from schemas.monitors import Monitor, monitor_id
from schemas.topics import MONITORS, PAGES

router: Final = APIRouter(prefix="/monitors", tags=["monitors"])
READ: Final = (ProblemKind.NO_KEY, ProblemKind.FORBIDDEN, ProblemKind.INVALID, ProblemKind.LOG_AWAY)
WRITE: Final = (*READ, ProblemKind.BAD_REQUEST, ProblemKind.TOO_LARGE)


@router.get("", operation_id="list_monitors", responses=problems(*READ), response_model=MonitorList)
async def list_monitors(
    request: Request,
    context: CurrentContext,
    caller: Reader,
    cursor: Cursor = None,
    limit: Limit = 100,
    document: WithDocument = False,
) -> Response:
    """The workspace's monitors by slug, each with its status and the uptime of its last 24 hours."""
    entries, next_cursor = listed(context.catalog.monitors, caller.workspace, cursor, limit)
    lines: Lines = request.app.state.lines
    told = await lines.listed(entries, documents=document)
    return await json_answer(request, b'{"monitors":[%b],"next_cursor":%b}' % (told, orjson.dumps(next_cursor)))


@router.post(
    "",
    operation_id="create_monitor",
    status_code=201,
    responses=problems(*WRITE, ProblemKind.CONFLICT, ProblemKind.LIMIT_REACHED),
    response_model=MonitorDetail,
)
async def create_monitor(context: CurrentContext, caller: Writer, monitor: Monitor) -> Response:
    """Create a monitor. Probes take it up within a second. The same document again is answered in the same way."""
    identity = monitor_id(caller.workspace, monitor.slug)
    async with writing(context, MONITORS, identity):
        entry = context.catalog.monitor(identity) or await _create(context, caller, identity, monitor)
        if entry.document != monitor:
            raise ProblemError(ProblemKind.CONFLICT, f"there is a monitor {monitor.slug} already; replace it with PUT")
        return _answer(context, entry, 201)


@router.get(
    "/{slug}",
    operation_id="read_monitor",
    responses=problems(*READ, ProblemKind.NOT_FOUND),
    response_model=MonitorDetail,
)
async def read_monitor(context: CurrentContext, caller: Reader, slug: str) -> Response:
    """A monitor as it was written, its status, and the uptime of its last 24 hours."""
    return _answer(context, found_monitor(context, caller, slug))


@router.put(
    "/{slug}",
    operation_id="put_monitor",
    responses=problems(*WRITE, ProblemKind.VERSION_MISMATCH, ProblemKind.LIMIT_REACHED)
    | {201: {"model": MonitorDetail, "description": "There was none, and it was created."}},
    response_model=MonitorDetail,
)
async def put_monitor(
    context: CurrentContext, caller: Writer, slug: str, monitor: Monitor, if_match: IfMatch = None
) -> Response:
    """Replace a monitor, or create it. The same document again changes nothing, its version included."""
    if monitor.slug != slug:
        raise invalid([FieldProblem(detail=f"the address says {slug}", pointer="#/slug")])
    identity = monitor_id(caller.workspace, slug)
    async with writing(context, MONITORS, identity):
        present = context.catalog.monitor(identity)
        if present is not None and present.document == monitor:
            return _answer(context, present)
        expect_version(if_match, present.version if present else None)
        if present is None:
            return _answer(context, await _create(context, caller, identity, monitor), 201)
        return _answer(context, await write(context, caller, MONITORS, identity, monitor))


@router.delete(
    "/{slug}",
    operation_id="delete_monitor",
    status_code=204,
    responses=problems(*READ, ProblemKind.NOT_FOUND, ProblemKind.CONFLICT, ProblemKind.VERSION_MISMATCH),
)
async def delete_monitor(context: CurrentContext, caller: Writer, slug: str, if_match: IfMatch = None) -> None:
    """Delete a monitor that no page shows. Its history stays, and can be read by its slug."""
    identity = monitor_id(caller.workspace, slug)
    async with writing(context, MONITORS, identity, reads=PAGES):
        expect_version(if_match, found_monitor(context, caller, slug).version)
        if pages := _pages_that_show(context, caller.workspace, slug):
            raise ProblemError(ProblemKind.CONFLICT, f"first take it off the pages that show it: {', '.join(pages)}")
        await delete(context, caller, MONITORS, identity)


async def _create(context: Context, caller: Caller, identity: str, monitor: Monitor) -> Entry[Monitor]:
    allowed = context.settings.max_monitors
    if len(context.catalog.monitors.ids_of(caller.workspace)) >= allowed:
        raise ProblemError(ProblemKind.LIMIT_REACHED, f"a workspace has {allowed} monitors at most")
    return await write(context, caller, MONITORS, identity, monitor)


def found_monitor(context: Context, caller: Caller, slug: str) -> Entry[Monitor]:
    """The caller's monitor of this slug. Raises ProblemError for none."""
    entry = context.catalog.monitor(monitor_id(caller.workspace, slug))
    if entry is None:
        raise ProblemError(ProblemKind.NOT_FOUND, f"there is no monitor {slug}")
    return entry


def known_monitor(context: Context, caller: Caller, slug: str) -> str:
    """The id of the caller's monitor of this slug, deleted or not. Raises ProblemError for one that never was."""
    identity = monitor_id(caller.workspace, slug)
    return identity if identity in context.catalog.monitors.deleted else found_monitor(context, caller, slug).id


def _pages_that_show(context: Context, workspace: str, slug: str) -> list[str]:
    return [
        page.document.slug
        for page in context.catalog.pages.of_workspace(workspace)
        if any(slug in group.monitors for group in page.document.groups)
    ]


def _answer(context: Context, entry: Entry[Monitor], status_code: int = 200) -> Response:
    now = time.time_ns() // 1_000_000
    state = state_of(context.facts, entry, now)
    told = summary_of(context.facts, entry, now) | {"reason": state.reason, "message": state.message}
    del told["url"]
    return versioned("monitor", entry, told, status_code)
