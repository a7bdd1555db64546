"""`/v1/incidents` and the history of a monitor, from ClickHouse."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Query

from query import store
from query.context import CurrentContext
from query.cursors import HIGHEST, Cursor, cursor_to, place_of
from query.keys import HistoryReader
from query.management.models import History, IncidentDetail, IncidentList, IncidentSummary, Span, TimelineEntryDetail
from query.management.monitors import READ, known_monitor
from query.problems import ProblemError, ProblemKind, problems
from query.times import iso
from query.windows import From, To, window_ms
from schemas.enums import IncidentState
from schemas.monitors import Slug, monitor_id

router: Final = APIRouter(tags=["incidents"])
STORED: Final = (*READ, ProblemKind.STORE_AWAY, ProblemKind.QUERY_TOO_EXPENSIVE)
PACKAGE: Final = "query.management"
MAX_WINDOW_DAYS: Final = 3_660

Limit = Annotated[int, Query(ge=1, le=500, description="At most so many at once.")]


@router.get("/incidents", operation_id="list_incidents", responses=problems(*STORED, ProblemKind.NOT_FOUND))
async def list_incidents(
    context: CurrentContext,
    caller: HistoryReader,
    monitor: Annotated[Slug | None, Query(description="Only of this monitor.")] = None,
    state: Annotated[IncidentState | None, Query(description="Only in this state.")] = None,
    begin: From = None,
    end: To = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> IncidentList:
    """Incidents that lasted into the window (the last 90 days without one), the newest first."""
    since, until = window_ms(begin, end, default_days=90, largest_days=MAX_WINDOW_DAYS)
    opened, incident = place_of(cursor, int, str) or (HIGHEST, "")
    parameters = {
        "prefix": f"{caller.workspace}/",
        "monitor": monitor_id(caller.workspace, monitor) if monitor else "",
        "state": state or "",
        "since": since,
        "until": until,
        "after_opened_at": opened,
        "after_id": incident,
        "limit": limit + 1,
    }
    rows = await store.rows(context, PACKAGE, "incidents", parameters)
    if monitor and not rows:
        known_monitor(context, caller, monitor)  # a misspelt one is no good news
    last = rows[limit - 1] if len(rows) > limit else None
    return IncidentList(
        incidents=[IncidentSummary(**_summary(row)) for row in rows[:limit]],
        next_cursor=cursor_to([last["opened"], last["id"]]) if last else None,
    )


@router.get("/incidents/{incident}", operation_id="read_incident", responses=problems(*STORED, ProblemKind.NOT_FOUND))
async def read_incident(context: CurrentContext, caller: HistoryReader, incident: str) -> IncidentDetail:
    """An incident with its timeline, and the evidence of its first failing result."""
    found = await store.rows(context, PACKAGE, "incident", {"id": incident, "prefix": f"{caller.workspace}/"})
    if not found:
        raise ProblemError(ProblemKind.NOT_FOUND, f"there is no incident {incident}")
    row = found[0]
    return IncidentDetail(
        **_summary(row),
        failures=orjson.loads(row["failures"] or b"[]"),
        evidence=orjson.loads(row["evidence"] or b"null"),
        timeline=[
            TimelineEntryDetail(kind=kind, at=iso(at), status=status, message=message, by=by)
            for kind, at, status, message, by in row["timeline"]
        ],
    )


@router.get(
    "/monitors/{slug}/history",
    operation_id="read_history",
    tags=["monitors"],
    responses=problems(*STORED, ProblemKind.NOT_FOUND),
)
async def read_history(
    context: CurrentContext,
    caller: HistoryReader,
    slug: str,
    begin: From = None,
    end: To = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> History:
    """What a monitor was in a window (the last 90 days without one), span by span, the newest first."""
    monitor = known_monitor(context, caller, slug)
    since, until = window_ms(begin, end, default_days=90, largest_days=MAX_WINDOW_DAYS)
    place = place_of(cursor, int)
    before = min(int(place[0]), until) if place else until
    is_over = place or (end and end < datetime.now(UTC))
    parameters = {"monitor": monitor, "since": since, "before": before, "limit": limit + 1}
    rows = await store.rows(context, PACKAGE, "history", parameters)
    more = len(rows) > limit
    return History(
        monitor=slug,
        spans=list(_spans(rows[:limit], before if is_over else None)),
        next_cursor=cursor_to([rows[limit - 1]["began"]]) if more else None,
    )


def _spans(rows: list[store.Row], until: int | None) -> Iterator[Span]:
    """Each change lasts until the next one; the newest until the window's end, or still (None)."""
    for row in rows:
        yield Span(
            status=row["status"],
            begin=iso(row["began"]),
            end=None if until is None else iso(until),
            decided_at=iso(row["decided"]),
            reason=row["reason"],
            message=row["message"],
            incident=row["incident"] or None,
        )
        until = row["began"]


def _summary(row: store.Row) -> dict[str, Any]:
    lasted_ms = (row["resolved"] or time.time_ns() // 1_000_000) - row["opened"]
    return {
        "id": row["id"],
        "monitor": row["monitor"].partition("/")[2],
        "state": row["state"],
        "severity": row["severity"],
        "reason": row["reason"],
        "message": row["message"],
        "opened_at": iso(row["opened"]),
        "decided_at": iso(row["decided"]),
        "resolved_at": iso(row["resolved"]) if row["resolved"] else None,
        "duration_ms": 0 if row["state"] == IncidentState.ANNULLED else lasted_ms,
        "regions": row["regions"],
        "components": row["components"],
    }
