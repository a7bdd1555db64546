"""How often monitors fail, and how long it takes to notice and to recover."""

from typing import Any, Final

from fastapi import APIRouter

from query import store
from query.analytics.common import (
    MAX_DAYS,
    Analyst,
    Monitors,
    answer_window,
    rows_of,
    slug_of,
    spans_of,
    uptime_rows,
    wanted_monitors,
)
from query.analytics.models import IncidentFigures, IncidentsAnswer, MonitorIncidents
from query.analytics.steps import Step, aligned, rollup_of
from query.context import CurrentContext
from query.uptime import coverage_of, total
from query.windows import From, To, window_ms

SUMMED: Final = ("incidents", "open", "down", "repair_ms", "detect_ms")
NO_INCIDENTS: Final = dict.fromkeys((*SUMMED, "longest_ms"), 0)

router: Final = APIRouter()


@router.get("/incidents", operation_id="analyse_incidents")
async def analyse_incidents(
    context: CurrentContext,
    caller: Analyst,
    monitors: Monitors = [],  # noqa: B006
    begin: From = None,
    end: To = None,
) -> IncidentsAnswer:
    """How often monitors failed, how long it took to notice and to recover, how long they held in between."""
    window = window_ms(begin, end, default_days=90, largest_days=MAX_DAYS)
    source, unit_ms = rollup_of(window, Step.ALL)
    since, until = aligned(window, unit_ms)
    wanted = wanted_monitors(context, caller, monitors)
    rows = await rows_of(context, wanted, "incidents", {"since": since, "until": until})
    held = await uptime_rows(context, wanted, source, [since, until])
    held_ms = {row["monitor"]: row["up"] + row["degraded"] for row in held}
    summed = {name: sum(row[name] for row in rows) for name in SUMMED}
    summed["longest_ms"] = max((row["longest_ms"] for row in rows), default=0)
    return IncidentsAnswer(
        **answer_window(since, until, "incidents", [row["as_of"] for row in held]),
        coverage=coverage_of(total([spans_of(row) for row in held]), (until - since) * len(wanted)) if wanted else None,
        total=IncidentFigures(**incident_figures(summed, sum(held_ms.values()))),
        monitors=[
            MonitorIncidents(monitor=slug_of(row["monitor"]), **incident_figures(row, held_ms.get(row["monitor"], 0)))
            for row in rows
        ],
    )


def incident_figures(row: store.Row, held_ms: int) -> dict[str, Any]:
    """The figures of a row, and of the time that the monitor held."""
    over = row["incidents"] - row["open"]
    return {
        "incidents": row["incidents"],
        "open": row["open"],
        "down": row["down"],
        "mttr_ms": row["repair_ms"] // over if over else None,
        "mtbf_ms": held_ms // row["incidents"] if row["incidents"] else None,
        "mttd_ms": row["detect_ms"] // row["incidents"] if row["incidents"] else None,
        "longest_ms": row["longest_ms"],
    }
