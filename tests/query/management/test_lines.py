"""The list of monitors from lines that are kept: what has changed shows at once, and others are not held up."""

import asyncio
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from query.encodings import LONG_BYTES, zstd
from query.management.lines import PERIOD_S, SLICE, Lines, summary_of
from schemas.enums import Status
from tests.query.filled import Filled

NOW_S = 1_800_000_000.0


class Listed:
    """Lines over filled facts, on a clock that moves when told; `made` counts what was made."""

    def __init__(self, monitors: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = NOW_S
        self.made = 0
        self.filled = Filled()
        for number in range(monitors):
            self.set_status(self.filled.monitor(f"m{number:04}"), Status.UP)
        self.lines = Lines(self.filled.catalog, self.filled.facts, lambda: self.now_s)

        def counted(*arguments: Any) -> dict[str, Any]:
            self.made += 1
            return summary_of(*arguments)

        monkeypatch.setattr("query.management.lines.summary_of", counted)

    def set_status(self, monitor: str, status: Status, version: int = 1) -> None:
        """A status since an hour before the clock's time."""
        self.filled.status(monitor, status, int(self.now_s * 1000), version=version)

    async def monitors(self, *, documents: bool = False) -> list[dict[str, Any]]:
        """The list as a client has it."""
        entries = list(self.filled.catalog.monitors.entries.values())
        return list(json.loads(b"[%b]" % await self.lines.listed(entries, documents=documents)))


Make = Callable[[int], Listed]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    return lambda monitors: Listed(monitors, monkeypatch)


def test_a_line_is_made_once_and_a_changed_status_shows_at_once(make: Make) -> None:
    listed = make(3)

    async def scenario() -> None:
        await listed.monitors()
        await listed.monitors()
        assert listed.made == 3
        listed.set_status("default/m0001", Status.DOWN, version=2)
        assert [each["status"] for each in await listed.monitors()] == ["up", "down", "up"]
        assert listed.made == 4

    asyncio.run(scenario())


def test_a_replaced_monitor_is_told_anew_and_a_deleted_one_is_not_kept(make: Make) -> None:
    listed = make(2)

    async def scenario() -> None:
        await listed.monitors()
        listed.filled.monitor("m0000", name="Another name")
        assert (await listed.monitors())[0]["title"] == "Another name"
        [gone, stays] = listed.filled.catalog.monitors.entries.values()
        listed.filled.delete_monitor("m0000")
        await listed.lines.listed([gone, stays], documents=False)
        assert listed.lines._new.keys() == {"default/m0001"}, "a list that was under way brings nothing back"

    asyncio.run(scenario())


def test_uptime_of_the_period_before_is_given_and_made_again_behind_the_answer(make: Make) -> None:
    listed = make(SLICE * 3)

    async def scenario() -> None:
        first = await listed.monitors()
        listed.now_s += PERIOD_S
        for monitor in listed.filled.catalog.monitors.entries:
            known = listed.filled.facts.of(monitor).current
            assert known
            listed.filled.facts.take_current(monitor, replace(known, known_until=known.known_until + PERIOD_S * 1000))
        assert await listed.monitors() == first
        while listed.made < 2 * len(first):
            await asyncio.sleep(0)
        again = await listed.monitors()
        assert all(new["coverage_24h"] > old["coverage_24h"] for new, old in zip(again, first, strict=True))
        assert listed.made == 2 * len(first)

    asyncio.run(scenario())


def test_after_a_while_without_questions_nothing_old_is_given(make: Make) -> None:
    listed = make(2)

    async def scenario() -> None:
        await listed.monitors()
        listed.now_s += 2 * PERIOD_S
        await listed.monitors()
        assert listed.made == 4

    asyncio.run(scenario())


def test_others_have_their_turn_while_lines_and_documents_are_made(make: Make) -> None:
    listed = make(SLICE * 5)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def scenario() -> None:
        nonlocal turns
        counting = asyncio.create_task(count_turns())
        await listed.monitors()
        assert turns >= 4
        turns = 0
        assert len(await listed.monitors(documents=True)) == SLICE * 5
        assert turns >= 4
        counting.cancel()

    asyncio.run(scenario())


def test_five_thousand_monitors_are_one_answer_of_less_than_a_megabyte() -> None:
    filled = Filled(admin_key="pulse_admin_0123456789")
    for number in range(5_000):
        filled.status(filled.monitor(f"service-{number:04}", name=f"Service number {number}"), Status.UP, 10**12)
    headers = {"Authorization": "Bearer pulse_admin_0123456789", "Accept-Encoding": "identity"}
    answer = filled.get("/v1/monitors?limit=5000", headers=headers)
    assert len(answer.json()["monitors"]) == 5_000
    assert answer.json()["next_cursor"] is None
    assert len(answer.content) <= 1_000_000


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip", "gzip"), ("gzip, zstd", "zstd"), ("zstd;q=0, gzip;q=0.5", "gzip"), ("br", None), ("", None)],
)
def test_a_long_list_is_compressed_as_the_client_takes_it(accepted: str, encoding: str | None) -> None:
    filled = Filled(admin_key="pulse_admin_0123456789")
    for number in range(LONG_BYTES // 100):
        filled.monitor(f"m{number}")
    headers = {"Authorization": "Bearer pulse_admin_0123456789", "Accept-Encoding": accepted}

    async def ask() -> tuple[httpx.Headers, bytes]:
        transport = httpx.ASGITransport(filled.app)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://pulse.test", headers=headers) as client,
            client.stream("GET", "/v1/monitors?limit=1000") as answer,
        ):
            return answer.headers, b"".join([chunk async for chunk in answer.aiter_raw()])

    told, body = asyncio.run(ask())
    assert told.get("Content-Encoding") == encoding
    assert told["Vary"] == "Accept-Encoding"
    plain = {"gzip": gzip.decompress, "zstd": zstd.decompress, None: bytes}[encoding](body)
    assert len(json.loads(plain)["monitors"]) == LONG_BYTES // 100
