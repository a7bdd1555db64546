"""What the routes of `/v1/analytics` share: who may ask, which monitors, and the rows of uptime."""

from typing import Annotated, Any, Final

from fastapi import Depends, Query

from query import store
from query.analytics.models import newest
from query.context import Context
from query.keys import Caller, requires
from query.limits import RatePolicy, limited
from query.management.monitors import known_monitor
from query.times import iso
from query.uptime import Spans
from schemas.monitors import KeyScope, Slug

PACKAGE: Final = "query.analytics"
MAX_DAYS: Final = 3_660
MAX_RAW_DAYS: Final = 93
MAX_MONITORS: Final = 50
SPANS: Final = ("up", "degraded", "down", "unknown", "maintenance", "paused")

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


async def rows_of(context: Context, monitors: list[str], name: str, parameters: store.Row) -> list[store.Row]:
    """The rows of a question about these monitors (ids). Many are asked for by their workspace: a query is no list."""
    if not monitors:
        return []
    chosen = chosen_among(monitors)
    rows = await store.rows(context, PACKAGE, name, chosen | parameters)
    wanted = set(monitors)
    return [row for row in rows if row["monitor"] in wanted]


async def uptime_rows(context: Context, monitors: list[str], source: str, places: list[int]) -> list[store.Row]:
    """Milliseconds of each status of monitors (ids), from a rollup, between borders (int ms)."""
    return await rows_of(context, monitors, "uptime", between(places) | {"source": source})


def chosen_among(monitors: list[str]) -> dict[str, Any]:
    """Parameters that choose monitors (ids of one workspace, one at least)."""
    prefix = monitors[0].partition("/")[0] + "/"
    return {"prefix": prefix, "monitors": monitors if len(monitors) <= MAX_MONITORS else []}


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
