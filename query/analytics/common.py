"""What the routes of `/v1/analytics` share: who may ask, which monitors, and the rows of uptime."""

from bisect import bisect_right
from collections import defaultdict
from typing import Annotated, Any, Final

from fastapi import Depends, Query

from query import store
from query.analytics.models import newest
from query.context import Context
from query.keys import Caller, requires
from query.limits import RatePolicy, limited
from query.management.monitors import known_monitor
from query.times import iso
from query.uptime import DAY_MS, HOUR_MS, Spans, total
from schemas.monitors import KeyScope, Slug

PACKAGE: Final = "query.analytics"
MAX_DAYS: Final = 3_660
MAX_RAW_DAYS: Final = 93
MAX_MONITORS: Final = 50
SPANS: Final = ("up", "degraded", "down", "unknown", "maintenance", "paused")
BUCKET_MS: Final = {"uptime_hourly": HOUR_MS, "uptime_daily": DAY_MS, "latency_hourly": HOUR_MS}
FEW_BUCKETS: Final = 1_000
"""Summed here in less time than ClickHouse takes to plan it."""

Analyst = Annotated[Caller, Depends(limited(RatePolicy("analytics", quota=300, window_s=60), requires(KeyScope.READ)))]
Monitors = Annotated[
    list[Slug], Query(alias="monitor", max_length=MAX_MONITORS, description="Only these; every monitor without.")
]
OneMonitor = Annotated[str, Query(alias="monitor", description="Its slug.", examples=["api"])]


def wanted_monitors(context: Context, caller: Caller, monitors: list[str]) -> list[str]:
    """The ids of the monitors that were asked for, deleted or not, or of all that there are. Raises ProblemError."""
    if monitors:
        return [known_monitor(context, caller, slug) for slug in dict.fromkeys(monitors)]
    return sorted(entry.id for entry in context.catalog.monitors.of_workspace(caller.workspace))


async def rows_of(
    context: Context, monitors: list[str], name: str, parameters: store.Row, **marks: str
) -> list[store.Row]:
    """The rows of a question about these monitors (ids). Many are asked for by their workspace: a query is no list."""
    if not monitors:
        return []
    chosen, choice = chosen_among(monitors)
    rows = await store.rows(context, PACKAGE, name, choice | parameters, chosen=chosen, **marks)
    wanted = set(monitors)
    return [row for row in rows if row["monitor"] in wanted]


async def uptime_rows(context: Context, monitors: list[str], source: str, places: list[int]) -> list[store.Row]:
    """Milliseconds of each status of monitors (ids), from a rollup, between borders (int ms)."""
    name, in_buckets = uptime_question(monitors, source, places)
    begin, steps = steps_of(places, source)
    rows = await rows_of(context, monitors, name, steps | {"source": source}, begin=begin)
    return summed(rows, places) if in_buckets else rows


def uptime_question(monitors: list[str], source: str, places: list[int]) -> tuple[str, bool]:
    """Which question has the uptime between borders (int ms), and whether its rows are buckets yet to be summed."""
    if _are_buckets(places, source):
        return "uptime_buckets", False
    few = len(monitors) * (places[-1] - places[0]) <= FEW_BUCKETS * BUCKET_MS[source]
    return ("uptime_buckets", True) if few else ("uptime", False)


def summed(rows: list[store.Row], places: list[int]) -> list[store.Row]:
    """Rows of buckets as rows between borders (int ms)."""
    steps: defaultdict[tuple[str, int], list[store.Row]] = defaultdict(list)
    for row in rows:
        begin = places[bisect_right(places, row["begin"] * 1000) - 1]
        steps[row["monitor"], begin // 1000].append(row)
    return [_whole(monitor, begin, buckets) for (monitor, begin), buckets in steps.items()]


def _whole(monitor: str, begin: int, buckets: list[store.Row]) -> store.Row:
    spans = dict(zip(SPANS, total([spans_of(row) for row in buckets]), strict=True))
    return {"monitor": monitor, "begin": begin, "as_of": max(row["as_of"] for row in buckets), **spans}


def chosen_among(monitors: list[str]) -> tuple[str, dict[str, Any]]:
    """The condition that chooses monitors (ids of one workspace, one at least), and its parameters."""
    if len(monitors) <= MAX_MONITORS:
        return "monitor IN {monitors:Array(String)}", {"monitors": monitors}
    return "startsWith(monitor, {prefix:String})", {"prefix": monitors[0].partition("/")[0] + "/"}


def steps_of(places: list[int], source: str) -> tuple[str, dict[str, Any]]:
    """SQL for where the step of a rollup's bucket begins, as plain as the borders (int ms) allow; its parameters."""
    window = {"since": places[0] // 1000, "until": places[-1] // 1000}
    if len(places) == 2:
        return "{since:UInt32}", window
    if _are_buckets(places, source):
        return "toUnixTimestamp(bucket)", window
    return "roundDown(toUnixTimestamp(bucket), {borders:Array(UInt32)})", between(places)


def _are_buckets(places: list[int], source: str) -> bool:
    """Whether each step is one bucket of a rollup, of which the last may not be over."""
    return len(places) - 1 == len(range(places[0], places[-1], BUCKET_MS[source]))


def between(places: list[int]) -> dict[str, Any]:
    """Parameters of a question about buckets between borders (int ms)."""
    return {
        "borders": [place // 1000 for place in places[:-1]],
        "since": places[0] // 1000,
        "until": places[-1] // 1000,
    }


def answer_window(since: int, until: int, source: str, as_of: list[int]) -> dict[str, Any]:
    """What every answer says of its window (int ms)."""
    return {"begin": iso(since), "end": iso(until), "source": source, "as_of": newest(as_of)}


def spans_of(row: store.Row) -> Spans:
    """A row's milliseconds in the order of STATUSES."""
    return tuple(row[name] for name in SPANS)


def slug_of(monitor: str) -> str:
    """The slug of a monitor's id."""
    return monitor.partition("/")[2]
