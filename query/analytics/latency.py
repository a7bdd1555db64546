"""Latency by window and step."""

from typing import Annotated, Final

from fastapi import APIRouter, Query

from query import store
from query.analytics.common import MAX_DAYS, PACKAGE, Analyst, OneMonitor, answer_window, between
from query.analytics.models import LatencyAnswer, LatencyPoint, Phases
from query.analytics.steps import Step, Zone, aligned, borders
from query.context import CurrentContext
from query.management.monitors import found_monitor
from query.times import iso
from query.uptime import HOUR_MS
from query.windows import From, To, window_ms

SHARES: Final = {"p50_ms": 0.5, "p75_ms": 0.75, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99, "p999_ms": 0.999}
PHASES: Final = ("dns_ms", "connect_ms", "tls_ms", "ttfb_ms", "transfer_ms", "total_ms")

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
) -> LatencyAnswer:
    """Quantiles of latency, and the means of its phases, by step. Results of an overloaded probe are not in it."""
    entry = found_monitor(context, caller, monitor)
    since, until = aligned(window_ms(begin, end, default_days=1, largest_days=MAX_DAYS), HOUR_MS)
    parameters = between(borders(since, until, step, zone)) | {
        "monitor": entry.id,
        "region": region,
        "by_region": by_region,
        "shares": list(SHARES.values()),
    }
    rows = await store.rows(context, PACKAGE, "latency", parameters)
    return LatencyAnswer(
        **answer_window(since, until, "latency_hourly", [row["last_hour"] * 1000 + HOUR_MS for row in rows]),
        monitor=monitor,
        points=[_latency_point(row) for row in rows],
    )


def _latency_point(row: store.Row) -> LatencyPoint:
    quantiles = dict(zip(SHARES, row["quantiles_ms"], strict=True))
    phases = dict(zip(PHASES, row["phases_ms"], strict=True))
    return LatencyPoint(
        begin=iso(row["begin"] * 1000),
        region=row["of_region"] or None,
        checks=row["answered"],
        mean=Phases(**phases),
        **quantiles,
    )
