"""The service ends when a part of it fails, rather than showing what is old as new."""

import asyncio
import signal
from types import SimpleNamespace

import pytest

from infra.settings import Settings
from query.connections import Connection
from query.context import Context


async def fail() -> None:
    raise ValueError("a defect")


def test_a_part_that_fails_ends_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    context = Context.of(Settings(kafka="127.0.0.1:1", clickhouse="http://127.0.0.1:1/pulse"))  # type: ignore[arg-type]
    monkeypatch.setattr(context.catalog, "run", fail)

    async def scenario() -> None:
        async with context.running():
            while not raised:
                await asyncio.sleep(0)

    asyncio.run(scenario())

    assert raised == [signal.SIGTERM]


def test_the_service_starts_while_nothing_answers_and_says_what_is_missing() -> None:
    context = Context.of(Settings(kafka="127.0.0.1:1", clickhouse="http://127.0.0.1:1/pulse"))  # type: ignore[arg-type]

    async def scenario() -> dict[str, str]:
        async with context.running():
            while "cannot be reached" not in context.clickhouse.trouble + context.producer.trouble:
                await asyncio.sleep(0.01)
            return await context.missing()

    assert asyncio.run(scenario()).keys() == {"configuration", "kafka", "clickhouse"}


def test_however_often_readiness_is_asked_for_kafka_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[None] = []

    async def fetch_all_metadata() -> None:
        asked.append(None)

    client = SimpleNamespace(fetch_all_metadata=fetch_all_metadata)
    monkeypatch.setattr(Connection, "get", lambda _: SimpleNamespace(client=client))
    context = Context.of(Settings())
    context.producer.trouble = ""

    async def scenario() -> list[dict[str, str]]:
        return [await context.missing() for _ in range(100)]

    assert all("kafka" not in missing for missing in asyncio.run(scenario()))
    assert len(asked) == 1
