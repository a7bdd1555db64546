"""Uptime by window and step, rankings, and downtime budgets."""

from collections import defaultdict
from itertools import pairwise
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Query, Request, Response

from query import store
from query.analytics.common import (
    MAX_DAYS,
    PACKAGE,
    Analyst,
    Monitors,
    OneMonitor,
    answer_window,
    slug_of,
    spans_of,
    uptime_rows,
    wanted_monitors,
)
from query.analytics.models import (
    BudgetAnswer,
    Burn,
    RankedMonitor,
    UptimeAnswer,
    WorstAnswer,
    figures_of,
)
from query.analytics.steps import Step, Zone, aligned, borders, rollup_of
from query.context import CurrentContext
from query.encodings import json_answer
from query.management.monitors import known_monitor
from query.problems import FieldProblem, invalid
from query.times import iso
from query.turns import Steps, in_turns
from query.uptime import DAY_MS, HOUR_MS, NO_SPANS, Spans, coverage_of, total, uptime_of
from query.windows import From, To, window_ms

MAX_FIGURES: Final = 50_000
"""Points of all monitors together in one answer."""
ROWS_AT_ONCE: Final = 1_000
"""Rows that are taken in before others have their turn: a millisecond."""
BURN_HOURS: Final = (1, 6, 24, 72)

router: Final = APIRouter()


@router.get("/uptime", operation_id="analyse_uptime", response_model=UptimeAnswer)
async def analyse_uptime(
    request: Request,
    context: CurrentContext,
    caller: Analyst,
    monitors: Monitors = [],  # noqa: B006
    begin: From = None,
    end: To = None,
    step: Step = Step.DAY,
    zone: Zone = "UTC",
) -> Response:
    """Uptime by step, from hours or days. An hour belongs to the day in which it begins, in any time zone."""
    window = window_ms(begin, end, default_days=30, largest_days=MAX_DAYS)
    source, unit_ms = rollup_of(window, step, zone)
    since, until = aligned(window, unit_ms, zone)
    places = borders(since, until, step, zone)
    wanted = wanted_monitors(context, caller, monitors)
    if len(wanted) * (len(places) - 1) > MAX_FIGURES:
        raise invalid([FieldProblem(detail=f"more than {MAX_FIGURES} figures; take a wider step", parameter="step")])
    rows = await uptime_rows(context, wanted, source, places)
    told, everything = await in_turns(_by_monitor(wanted, rows, places))
    answer = answer_window(since, until, source, [row["as_of"] for row in rows]) | {
        "coverage": coverage_of(everything, (until - since) * len(wanted)) if wanted else None,
        "monitors": told,
    }
    return await json_answer(request, orjson.dumps(answer))


@router.get("/worst", operation_id="analyse_worst")
async def analyse_worst(
    context: CurrentContext,
    caller: Analyst,
    begin: From = None,
    end: To = None,
    limit: Annotated[int, Query(ge=1, le=100, description="At most so many.")] = 10,
) -> WorstAnswer:
    """The monitors with the lowest uptime over whole days."""
    since, until = aligned(window_ms(begin, end, default_days=90, largest_days=MAX_DAYS), DAY_MS)
    parameters = {
        "prefix": f"{caller.workspace}/",
        "since": since // 1000,
        "until": until // 1000,
        "limit": limit,
    }
    rows = await store.rows(context, PACKAGE, "worst", parameters)
    return WorstAnswer(
        **answer_window(since, until, "uptime_daily", [row["as_of"] for row in rows]),
        monitors=[
            RankedMonitor(monitor=slug_of(row["monitor"]), **figures_of(spans_of(row), until - since)) for row in rows
        ],
    )


@router.get("/budget", operation_id="analyse_budget")
async def analyse_budget(
    context: CurrentContext,
    caller: Analyst,
    monitor: OneMonitor,
    objective: Annotated[float, Query(gt=0, lt=1, description="The uptime to hold.", examples=[0.999])] = 0.999,
    begin: From = None,
    end: To = None,
) -> BudgetAnswer:
    """The downtime that an objective allows of the time that was watched, what is left of it, and how fast it goes."""
    identity = known_monitor(context, caller, monitor)
    since, until = aligned(window_ms(begin, end, default_days=30, largest_days=MAX_DAYS), HOUR_MS)
    burns = {hours: until // HOUR_MS * HOUR_MS - hours * HOUR_MS for hours in BURN_HOURS}
    rows = await uptime_rows(context, [identity], "uptime_hourly", [*sorted({since, *burns.values()}), until])
    by_begin = {row["begin"] * 1000: spans_of(row) for row in rows}
    spans = _spans_since(by_begin, since)
    up, degraded, down, *_ = spans
    allowed = round((up + degraded + down) * (1 - objective))
    return BudgetAnswer(
        **answer_window(since, until, "uptime_hourly", [row["as_of"] for row in rows]),
        coverage=coverage_of(spans, until - since),
        monitor=monitor,
        objective=objective,
        uptime=uptime_of(spans),
        allowed_ms=allowed,
        used_ms=down,
        left_ms=allowed - down,
        burn=[
            Burn(hours=hours, rate=_burn_rate(_spans_since(by_begin, begin), objective))
            for hours, begin in burns.items()
        ],
    )


def _by_monitor(
    wanted: list[str], rows: list[store.Row], places: list[int]
) -> Steps[tuple[list[orjson.Fragment], Spans]]:
    """Each monitor's uptime as JSON, a step each, and the spans of all together."""
    spans: defaultdict[str, dict[int, Spans]] = defaultdict(dict)
    for number, row in enumerate(rows):
        spans[row["monitor"]][row["begin"] * 1000] = spans_of(row)
        if number % ROWS_AT_ONCE == 0:
            yield
    told, wholes, steps = [], [], list(pairwise(places))
    for monitor in wanted:
        points = [(begin, end, spans[monitor].get(begin, NO_SPANS)) for begin, end in steps]
        whole = total([each for _, _, each in points])
        answer = {
            "monitor": slug_of(monitor),
            "total": figures_of(whole, places[-1] - places[0]),
            "points": [{"begin": iso(begin)} | figures_of(each, end - begin) for begin, end, each in points],
        }
        told.append(orjson.Fragment(orjson.dumps(answer)))
        wholes.append(whole)
        yield
    return told, total(wholes)


def _spans_since(by_begin: dict[int, Spans], since: int) -> Spans:
    return total([spans for begin, spans in by_begin.items() if begin >= since])


def _burn_rate(spans: Spans, objective: float) -> float | None:
    uptime = uptime_of(spans)
    return None if uptime is None else (1 - uptime) / (1 - objective)
