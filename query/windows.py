"""Windows of time in requests: from, to, in ISO 8601, with an order and a largest length."""

import time
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import Query
from pydantic import AwareDatetime

from query.problems import FieldProblem, invalid
from query.uptime import DAY_MS

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)

From = Annotated[
    AwareDatetime | None,
    Query(alias="from", ge=EARLIEST, le=LATEST, description="Begin, ISO 8601.", examples=["2026-11-01T00:00:00Z"]),
]
To = Annotated[
    AwareDatetime | None,
    Query(alias="to", ge=EARLIEST, le=LATEST, description="End; now without.", examples=["2026-12-01T00:00:00Z"]),
]


def window_ms(begin: datetime | None, end: datetime | None, default_days: int, largest_days: int) -> tuple[int, int]:
    """The window as int ms, its end not included. Raises ProblemError for one that is empty or too long."""
    until = time.time_ns() // 1_000_000 if end is None else int(end.timestamp() * 1000)
    since = until - default_days * DAY_MS if begin is None else int(begin.timestamp() * 1000)
    if since >= until:
        raise invalid([FieldProblem(detail="the window must begin before it ends", parameter="from")])
    if until - since > largest_days * DAY_MS:
        raise invalid([FieldProblem(detail=f"a window has {largest_days} days at most", parameter="from")])
    return since, until
