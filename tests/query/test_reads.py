"""Reading rows: what cannot be understood is left out, counted, and never takes the rest with it."""

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from clickhouse_connect.driver.asyncclient import AsyncClient
from prometheus_client import REGISTRY

from query.reads import Current, Reads
from schemas.enums import Reason, Status


@dataclass
class Result:
    result_rows: list[tuple[Any, ...]]


@dataclass
class FakeClient:
    """Answers every query with the same rows."""

    rows: list[tuple[Any, ...]]

    async def query(self, *_: object, **__: object) -> Result:
        return Result(self.rows)


def current_of(*rows: tuple[Any, ...]) -> list[tuple[str, Current]]:
    async def read() -> list[tuple[str, Current]]:
        reads = Reads(cast(AsyncClient, FakeClient(list(rows))))
        return [item async for item in reads.current()]

    return asyncio.run(read())


def left_out() -> float:
    return REGISTRY.get_sample_value("pulse_query_left_out_total", {"source": "current_status"}) or 0


def test_a_row_becomes_a_status() -> None:
    assert current_of(("default/a", 7, "down", 1_000, 2_000, "timeout", "no answer")) == [
        ("default/a", Current(7, Status.DOWN, 1_000, 2_000, Reason.TIMEOUT, "no answer"))
    ]


def test_a_reason_of_a_newer_version_leaves_out_only_its_row() -> None:
    before = left_out()

    read = current_of(
        ("default/a", 7, "down", 1, 2, "gremlins", ""),
        ("default/b", 7, "up", 1, 2, "ok", ""),
    )

    assert [monitor for monitor, _ in read] == ["default/b"]
    assert left_out() == before + 1
