"""How a monitor does, as its reads tell it: status and the uptime of the last 24 hours, from memory."""

from dataclasses import dataclass

from query.catalog import Entry
from query.facts import Facts
from query.uptime import DAY_MS, HOUR_MS, coverage_of, total, uptime_of
from schemas.enums import Reason, Status
from schemas.monitors import Monitor

DAY_HOURS = DAY_MS // HOUR_MS


@dataclass(frozen=True, slots=True)
class State:
    """What a monitor is since `since` (int ms; None before its first result), and how its last 24 hours were."""

    status: Status
    since: int | None
    reason: Reason
    message: str
    uptime_24h: float | None
    coverage_24h: float


def state_of(facts: Facts, entry: Entry[Monitor], now: int) -> State:
    """The state of a monitor at `now`, int ms: 24 whole hours, the present one included."""
    known = facts.of(entry.id)
    spans = total(known.hours.newest(DAY_HOURS, now, known.lasting))
    uptime, coverage = uptime_of(spans), coverage_of(spans, (DAY_HOURS - 1) * HOUR_MS + now % HOUR_MS)
    current = known.current
    if current is None:
        status = Status.PAUSED if entry.document.paused else Status.UNKNOWN
        return State(status, None, Reason.NO_RESULTS, "there is no result yet", uptime, coverage)
    return State(current.status, current.since, current.reason, current.message, uptime, coverage)
