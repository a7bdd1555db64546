"""Reading again: the present often, history seldom, and at once where something of it was corrected."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

from infra.settings import Settings
from query.facts import Facts
from query.refresh import Refresh
from query.uptime import DAY_MS, HOUR_MS
from schemas.enums import Status
from schemas.events import StatusChange, encode


class FakeClient:
    """Has no rows, and counts how often it was asked for days."""

    def __init__(self) -> None:
        self.asked_for_days = 0

    async def query(self, text: str, **_: object) -> SimpleNamespace:
        self.asked_for_days += "uptime_daily" in text
        return SimpleNamespace(result_rows=[])


def asked_for_days_after(*changes: StatusChange) -> int:
    """How often the second read asks for days, where this was told since the first."""

    async def read() -> int:
        client = FakeClient()
        clickhouse: Any = SimpleNamespace(get=lambda: client)
        refresh = Refresh(Settings(), Facts(0), clickhouse)
        await refresh.read_once()
        client.asked_for_days = 0
        for change in changes:
            refresh._take(SimpleNamespace(topic="status-changes", offset=0, value=encode(change)))
        await refresh.read_once()
        return client.asked_for_days

    return asyncio.run(read())


def change(age_ms: int, *, withdrawn: bool = False) -> StatusChange:
    at = time.time_ns() // 1_000_000 - age_ms
    return StatusChange("default/api", at, 7, at, Status.UP, Status.DOWN, withdrawn=withdrawn)


def test_what_happens_now_needs_the_newest_days_only() -> None:
    assert asked_for_days_after() == asked_for_days_after(change(0), change(60_000, withdrawn=True)) == 1


def test_an_hour_of_the_past_that_is_corrected_is_read_at_once() -> None:
    assert asked_for_days_after(change(3 * HOUR_MS)) == asked_for_days_after(change(3 * HOUR_MS, withdrawn=True)) == 2


def test_a_day_of_the_past_that_is_corrected_is_read_at_once() -> None:
    assert asked_for_days_after(change(9 * DAY_MS)) == asked_for_days_after(change(9 * DAY_MS, withdrawn=True)) == 2
