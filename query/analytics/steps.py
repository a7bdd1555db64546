"""Windows cut into steps: hours, and days, weeks and months as a time zone has them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Annotated, Final
from zoneinfo import ZoneInfo, available_timezones

from fastapi import Query
from pydantic import AfterValidator

from query.problems import FieldProblem, invalid
from query.uptime import DAY_MS, HOUR_MS

MAX_POINTS: Final = 1_000
HOURS_UP_TO_DAYS: Final = 7
"""Shorter windows are counted whole by the hour, longer ones by the day."""


class Step(StrEnum):
    """How long a point is; `all` is one point for the whole window."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ALL = "all"


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("not a time zone; write one like Asia/Tokyo")
    return name


Zone = Annotated[
    str,
    Query(alias="tz", max_length=64, description="Where days begin, like Asia/Tokyo.", examples=["Asia/Tokyo"]),
    AfterValidator(_known_zone),
]


def aligned(window: tuple[int, int], unit_ms: int, zone: str = "UTC") -> tuple[int, int]:
    """The window, widened to whole units, but never beyond now. Raises ProblemError for one in the future.

    Where it begins with a day of the zone, in the midst of a unit, that unit is of the day before and left out.
    """
    now = time.time_ns() // 1_000_000
    since, until = window[0] // unit_ms * unit_ms, min(-(-window[1] // unit_ms) * unit_ms, now)
    if since >= until:
        raise invalid([FieldProblem(detail="the window has not begun yet", parameter="from")])
    if since < window[0] and since + unit_ms < until and _begins_day(window[0], zone):
        since += unit_ms
    return since, until


def _begins_day(at: int, zone: str) -> bool:
    local = datetime.fromtimestamp(at / 1000, ZoneInfo(zone))
    return local == local.replace(hour=0, minute=0, second=0, microsecond=0)


def rollup_of(window: tuple[int, int], step: Step, zone: str = "UTC") -> tuple[str, int]:
    """The rollup that has what steps need, and how long its buckets are: a day of UTC is no day of Tokyo."""
    is_short = step is Step.ALL and window[1] - window[0] <= HOURS_UP_TO_DAYS * DAY_MS
    return ("uptime_hourly", HOUR_MS) if step is Step.HOUR or is_short or zone != "UTC" else ("uptime_daily", DAY_MS)


def borders(since: int, until: int, step: Step, zone: str) -> list[int]:
    """Where the points of a window begin (int ms), its end last. Raises ProblemError for too many.

    The first and the last point end where the window does. An hour belongs to the day in which it begins.
    """
    found = [since]
    for border in _after(since, step, ZoneInfo(zone)):
        if border >= until:
            return [*found, until]
        found.append(border)
        if len(found) > MAX_POINTS:
            raise invalid([FieldProblem(detail=f"more than {MAX_POINTS} points; take a wider step", parameter="step")])
    return [*found, until]


def _after(since: int, step: Step, zone: ZoneInfo) -> Iterator[int]:
    if step is Step.ALL:
        return
    if step is Step.HOUR:
        while True:
            since += HOUR_MS
            yield since
    local = datetime.fromtimestamp(since / 1000, zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    while True:
        local = _next(local, step)
        # An hour that the border cuts belongs before it, as its beginning does.
        begin = int(local.replace(tzinfo=zone).astimezone(UTC).timestamp() * 1000)
        yield -(-begin // HOUR_MS) * HOUR_MS


def _next(day: datetime, step: Step) -> datetime:
    match step:
        case Step.WEEK:
            return day + timedelta(days=7 - day.weekday())
        case Step.MONTH:
            return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        case _:
            return day + timedelta(days=1)
