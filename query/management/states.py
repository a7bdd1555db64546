"""How a monitor does, as its reads tell it: status and the uptime of the last 24 hours, from memory."""

from typing import Final, NamedTuple

from query.catalog import Entry
from query.compose import status_of
from query.facts import Facts
from query.uptime import HOUR_MS, HOURS, coverage_of, uptime_of
from schemas.enums import Reason, Status
from schemas.monitors import Monitor

DIGITS: Final = 1_000_000
"""Shares are cut, never rounded up: 0.9999999 is not 1."""


class State(NamedTuple):
    """What a monitor is since `since` (int ms; None before its first result), and how its last 24 hours were."""

    status: Status
    since: int | None
    reason: Reason
    message: str
    uptime_24h: float | None
    coverage_24h: float


def state_of(facts: Facts, entry: Entry[Monitor], now: int) -> State:
    """The state of a monitor at `now`, int ms: 24 whole hours and the present one."""
    known = facts.of(entry.id)
    spans = known.hours.whole(now, known.lasting)
    uptime = uptime_of(spans)
    cut = None if uptime is None else int(uptime * DIGITS) / DIGITS
    coverage = int(coverage_of(spans, (HOURS - 1) * HOUR_MS + now % HOUR_MS) * DIGITS) / DIGITS
    status, current = status_of(entry, known), known.current
    if current is None:
        return State(status, None, Reason.NO_RESULTS, "there is no result yet", cut, coverage)
    return State(status, current.since, current.reason, current.message, cut, coverage)
