"""Raw results: why they were not up, and one by one."""

from typing import Annotated, Final

from fastapi import APIRouter, Query

from query import store
from query.analytics.common import MAX_RAW_DAYS, PACKAGE, Analyst, OneMonitor, answer_window
from query.analytics.models import ReasonCount, ReasonsAnswer, ResultsAnswer, ResultView
from query.context import CurrentContext
from query.cursors import HIGHEST, Cursor, cursor_to, place_of
from query.management.monitors import known_monitor
from query.times import iso
from query.windows import From, To, window_ms
from schemas.enums import Outcome, Reason

router: Final = APIRouter()


@router.get("/reasons", operation_id="analyse_reasons")
async def analyse_reasons(
    context: CurrentContext, caller: Analyst, monitor: OneMonitor, begin: From = None, end: To = None
) -> ReasonsAnswer:
    """Why checks were not up, from the raw results: as far back as they are kept."""
    identity = known_monitor(context, caller, monitor)
    since, until = window_ms(begin, end, default_days=7, largest_days=MAX_RAW_DAYS)
    rows = await store.rows(context, PACKAGE, "reasons", {"monitor": identity, "since": since, "until": until})
    return ReasonsAnswer(
        **answer_window(since, until, "check_results", [row["newest"] for row in rows]),
        monitor=monitor,
        reasons=[ReasonCount(outcome=row["outcome"], reason=row["reason"], checks=row["checks"]) for row in rows],
    )


@router.get("/results", operation_id="list_results")
async def list_results(
    context: CurrentContext,
    caller: Analyst,
    monitor: OneMonitor,
    begin: From = None,
    end: To = None,
    region: Annotated[str, Query(max_length=64, description="Only of this region.")] = "",
    outcome: Annotated[Outcome | None, Query(description="Only with this outcome.")] = None,
    reason: Annotated[Reason | None, Query(description="Only with this reason.")] = None,
    slower_ms: Annotated[int, Query(ge=0, le=4_000_000, description="Only those that took at least so long.")] = 0,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=1_000, description="At most so many at once.")] = 100,
) -> ResultsAnswer:
    """Raw results of a monitor, the newest first."""
    identity = known_monitor(context, caller, monitor)
    since, until = window_ms(begin, end, default_days=1, largest_days=MAX_RAW_DAYS)
    before, before_region = place_of(cursor, int, str) or (HIGHEST, "")
    parameters = {
        "monitor": identity,
        "region": region,
        "outcome": outcome or "",
        "reason": reason or "",
        "slower_us": slower_ms * 1_000,
        "since": since,
        "until": until,
        "before": before,
        "before_region": before_region,
        "limit": limit + 1,
    }
    rows = await store.rows(context, PACKAGE, "results", parameters)
    last = rows[limit - 1] if len(rows) > limit else None
    return ResultsAnswer(
        **answer_window(since, until, "check_results", [row["scheduled"] for row in rows]),
        monitor=monitor,
        results=[ResultView(scheduled_at=iso(row["scheduled"]), **row) for row in rows[:limit]],
        next_cursor=cursor_to([last["scheduled"], last["region"]]) if last else None,
    )
