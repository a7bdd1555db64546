"""Two windows side by side: is this week better than the one before?"""

from dataclasses import dataclass
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime

from query import store
from query.analytics.common import (
    MAX_DAYS,
    Analyst,
    Monitors,
    answer_window,
    rows_of,
    slug_of,
    spans_of,
    steps_of,
    uptime_rows,
    wanted_monitors,
)
from query.analytics.incidents import NO_INCIDENTS, incident_figures
from query.analytics.latency import SHARES, quantiles_of
from query.analytics.models import CompareAnswer, Compared, ComparedMonitor, IncidentFigures, Quantiles, UptimeFigures
from query.analytics.steps import Step, aligned, rollup_of
from query.context import Context, CurrentContext
from query.encodings import json_answer
from query.problems import FieldProblem, invalid
from query.times import iso
from query.turns import Steps, in_turns
from query.uptime import NO_SPANS, coverage_of, total
from query.windows import EARLIEST, LATEST, From, To, window_ms

BeforeFrom = Annotated[
    AwareDatetime | None,
    Query(
        alias="before",
        ge=EARLIEST,
        le=LATEST,
        description="Where the other window begins, which is as long; without it, it ends where this one begins.",
        examples=["2026-10-01T00:00:00Z"],
    ),
]

router: Final = APIRouter()


@dataclass(frozen=True, slots=True)
class _Window:
    """What the rollups say of a window, by monitor (id)."""

    length_ms: int
    uptime: dict[str, store.Row]
    incidents: dict[str, store.Row]
    latency: dict[str, store.Row]

    def of(self, monitor: str) -> Compared:
        """A monitor's figures."""
        uptime, latency = self.uptime.get(monitor), self.latency.get(monitor)
        spans = spans_of(uptime) if uptime else NO_SPANS
        incidents = self.incidents.get(monitor, NO_INCIDENTS)
        return Compared(
            uptime=UptimeFigures.of(spans, self.length_ms),
            incidents=IncidentFigures(**incident_figures(incidents, spans[0] + spans[1])),
            latency=Quantiles(checks=latency["answered"], **quantiles_of(latency)) if latency else None,
        )


@router.get("/compare", operation_id="compare_windows", response_model=CompareAnswer)
async def compare_windows(
    request: Request,
    context: CurrentContext,
    caller: Analyst,
    monitors: Monitors = [],  # noqa: B006
    begin: From = None,
    end: To = None,
    before: BeforeFrom = None,
) -> Response:
    """Uptime, incidents and latency of a window beside those of another one that is as long.

    Both have whole hours, whole days beyond a week: the one that has begun is left out unless there is no other.
    """
    window = window_ms(begin, end, default_days=7, largest_days=MAX_DAYS)
    source, unit_ms = rollup_of(window, Step.ALL)
    since, known_end = aligned(window, unit_ms)
    length_ms = max(1, (known_end - since) // unit_ms) * unit_ms
    until = min(since + length_ms, known_end)
    other = since - length_ms if before is None else int(before.timestamp() * 1000) // unit_ms * unit_ms
    if other + length_ms > max(known_end, since + length_ms):
        raise invalid([FieldProblem(detail="a window from there on has not ended yet", parameter="before")])
    wanted = wanted_monitors(context, caller, monitors)
    this = await _window(context, wanted, source, since, until)
    that = await _window(context, wanted, source, other, other + length_ms)
    spans = total([spans_of(row) for row in this.uptime.values()])
    answer = answer_window(since, until, source, [row["as_of"] for row in this.uptime.values()]) | {
        "coverage": coverage_of(spans, (until - since) * len(wanted)) if wanted else None,
        "before_begin": iso(other),
        "before_end": iso(other + length_ms),
        "monitors": await in_turns(_by_monitor(wanted, this, that)),
    }
    return await json_answer(request, orjson.dumps(answer))


async def _window(context: Context, monitors: list[str], source: str, since: int, until: int) -> _Window:
    begin, steps = steps_of([since, until], "latency_hourly")
    latency = steps | {"region": "", "by_region": False, "shares": list(SHARES.values())}
    uptime = await uptime_rows(context, monitors, source, [since, until])
    incidents = await rows_of(context, monitors, "incidents", {"since": since, "until": until})
    found = [uptime, incidents, await rows_of(context, monitors, "latency", latency, begin=begin)]
    return _Window(until - since, *({row["monitor"]: row for row in rows} for rows in found))


def _by_monitor(wanted: list[str], this: _Window, that: _Window) -> Steps[list[orjson.Fragment]]:
    """Each monitor in both windows as JSON, a step each."""
    told = []
    for monitor in wanted:
        compared = _compared(slug_of(monitor), this.of(monitor), that.of(monitor))
        told.append(orjson.Fragment(compared.model_dump_json()))
        yield
    return told


def _compared(slug: str, now: Compared, before: Compared) -> ComparedMonitor:
    uptime, uptime_before = now.uptime.uptime, before.uptime.uptime
    return ComparedMonitor(
        monitor=slug,
        now=now,
        before=before,
        uptime_change=None if uptime is None or uptime_before is None else uptime - uptime_before,
        p95_change_ms=now.latency.p95_ms - before.latency.p95_ms if now.latency and before.latency else None,
    )
