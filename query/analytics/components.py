"""The parts that a monitor's health document names: how often each was in trouble, and for how long."""

from typing import Final

from fastapi import APIRouter

from query import store
from query.analytics.common import MAX_RAW_DAYS, PACKAGE, Analyst, OneMonitor, answer_window
from query.analytics.models import ComponentFigures, ComponentsAnswer
from query.analytics.steps import aligned
from query.context import CurrentContext
from query.management.monitors import known_monitor
from query.windows import From, To, window_ms

COUNTS: Final = ("degraded", "down", "unknown", "incidents", "affected_ms")

router: Final = APIRouter()


@router.get("/components", operation_id="analyse_components")
async def analyse_components(
    context: CurrentContext, caller: Analyst, monitor: OneMonitor, begin: From = None, end: To = None
) -> ComponentsAnswer:
    """Each component's bad checks and incidents: checks from the raw results, as far back as they are kept."""
    identity = known_monitor(context, caller, monitor)
    since, until = aligned(window_ms(begin, end, default_days=7, largest_days=MAX_RAW_DAYS), unit_ms=1)
    parameters = {"monitor": identity, "since": since, "until": until}
    outcomes = await store.rows(context, PACKAGE, "component_outcomes", {"monitor": identity})
    checks = await store.rows(context, PACKAGE, "component_checks", parameters)
    incidents = await store.rows(context, PACKAGE, "component_incidents", parameters)
    now = {row["component"]: row["worst"] for row in outcomes}
    figures: dict[str, dict[str, int]] = {name: {} for name in now}
    for row in checks + incidents:
        figures.setdefault(row["component"], {}).update({name: row[name] for name in COUNTS if name in row})
    found = [
        ComponentFigures(component=name, outcome=now.get(name), **dict.fromkeys(COUNTS, 0) | counts)
        for name, counts in figures.items()
    ]
    return ComponentsAnswer(
        **answer_window(since, until, "check_results", [row["newest"] for row in checks]),
        monitor=monitor,
        components=sorted(found, key=lambda each: (-each.affected_ms, -each.down, -each.degraded, each.component)),
    )
