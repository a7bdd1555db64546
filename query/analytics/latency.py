"""Latency by window, step, region and phase."""

from operator import itemgetter
from typing import Annotated, Final

from fastapi import APIRouter, Query

from query import store
from query.analytics.common import (
    MAX_DAYS,
    MAX_RAW_DAYS,
    Analyst,
    OneMonitor,
    answer_window,
    between,
    rows_of,
    steps_of,
)
from query.analytics.models import LatencyAnswer, LatencyPoint, Phase, Phases
from query.analytics.steps import Step, Zone, aligned, borders
from query.context import CurrentContext
from query.management.monitors import known_monitor
from query.times import iso
from query.uptime import HOUR_MS
from query.windows import From, To, window_ms

SHARES: Final = {"p50_ms": 0.5, "p75_ms": 0.75, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99, "p999_ms": 0.999}

router: Final = APIRouter()


@router.get("/latency", operation_id="analyse_latency")
async def analyse_latency(
    context: CurrentContext,
    caller: Analyst,
    monitor: OneMonitor,
    begin: From = None,
    end: To = None,
    step: Step = Step.HOUR,
    zone: Zone = "UTC",
    region: Annotated[str, Query(max_length=64, description="Only this region.")] = "",
    by_region: Annotated[bool, Query(description="Tell regions apart.")] = False,
    phase: Annotated[
        Phase, Query(description="Whose quantiles; all but `total` are of raw results, as far back as they are kept.")
    ] = Phase.TOTAL,
) -> LatencyAnswer:
    """Quantiles of latency, and the means of its phases, by step: of measured answers, without overloaded probes."""
    identity = known_monitor(context, caller, monitor)
    source, largest_days = ("latency_hourly", MAX_DAYS) if phase is Phase.TOTAL else ("check_results", MAX_RAW_DAYS)
    since, until = aligned(window_ms(begin, end, default_days=1, largest_days=largest_days), HOUR_MS, zone)
    places = borders(since, until, step, zone)
    asked = {"region": region, "by_region": by_region, "shares": list(SHARES.values())}
    if phase is Phase.TOTAL:
        begin_of, steps = steps_of(places, source)
        rows = await rows_of(context, [identity], "latency", asked | steps, begin=begin_of)
    else:
        rows = await rows_of(context, [identity], "phase", asked | between(places) | {"phase": f"{phase}_us"})
    return LatencyAnswer(
        **answer_window(since, until, source, [min(row["as_of"], until) for row in rows]),
        monitor=monitor,
        phase=phase,
        points=[_latency_point(row) for row in sorted(rows, key=itemgetter("begin", "of_region"))],
    )


def quantiles_of(row: store.Row) -> dict[str, float]:
    """A row's quantiles by their names."""
    return dict(zip(SHARES, row["quantiles_ms"], strict=True))


def _latency_point(row: store.Row) -> LatencyPoint:
    phases = {f"{phase}_ms": us / row["answered"] / 1000 for phase, us in zip(Phase, row["phases_us"], strict=True)}
    return LatencyPoint(
        begin=iso(row["begin"] * 1000),
        region=row["of_region"] or None,
        checks=row["answered"],
        mean=Phases(**phases),
        **quantiles_of(row),
    )
