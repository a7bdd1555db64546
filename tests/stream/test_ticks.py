import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY

from schemas.enums import Outcome
from schemas.events import CheckBatch, Tick, decode_log
from schemas.topics import CHECK_RESULTS
from stream.epochs import LogWentBack
from stream.outbox import Message
from stream.ticks import Ticker
from tests.stream.world import START_AT, World, log_of, result


class FakeOutbox:
    def __init__(self, offset: int) -> None:
        self.sent: list[Message] = []
        self._offset = offset

    async def send(self, messages: Sequence[Message]) -> list[int]:
        self.sent += messages
        return [self._offset] * len(messages)


def ticker(outbox: Any, worker: Any, assigned: set[int]) -> Ticker:
    return Ticker(outbox, worker, lambda: assigned)


async def folded(events: int) -> Any:
    batch = CheckBatch("p", "local", START_AT, (result("default/m", START_AT, Outcome.UP),))
    world = World(log_of([(0, batch)] * events, 1), ["default/m"])
    worker = world.worker()
    await worker.take(world.deliver(events))
    return worker


def test_that_every_assigned_partition_gets_a_tick_whether_it_is_loaded_or_not() -> None:
    outbox = FakeOutbox(7)

    async def scenario() -> None:
        await ticker(outbox, await folded(3), {0, 1, 5}).tick()

    asyncio.run(scenario())

    assert [(message.topic, message.partition) for message in outbox.sent] == [
        (CHECK_RESULTS.name, p) for p in (0, 1, 5)
    ]
    assert all(isinstance(decode_log(message.value), Tick) for message in outbox.sent)


def test_that_monitors_that_came_after_the_snapshot_are_counted() -> None:
    async def scenario() -> None:
        await ticker(FakeOutbox(7), await folded(3), {0}).tick()

    asyncio.run(scenario())

    assert REGISTRY.get_sample_value("pulse_stream_monitors", {"partition": "0"}) == 1


@pytest.mark.parametrize(("offset", "events_behind", "says_seconds"), [(3, 0, False), (7, 4, True)])
def test_that_only_who_has_something_to_fold_is_behind(offset: int, events_behind: int, says_seconds: bool) -> None:
    async def scenario() -> None:
        await ticker(FakeOutbox(offset), await folded(3), {0}).tick()

    asyncio.run(scenario())

    assert REGISTRY.get_sample_value("pulse_stream_lag_events", {"partition": "0"}) == events_behind
    assert (REGISTRY.get_sample_value("pulse_stream_behind_seconds", {"partition": "0"}) != 0) is says_seconds


@pytest.mark.parametrize("offset", [1, 2])
def test_that_a_tick_not_above_what_is_folded_betrays_a_topic_made_anew(offset: int) -> None:
    async def scenario() -> None:
        await ticker(FakeOutbox(offset), await folded(3), {0}).tick()

    with pytest.raises(LogWentBack, match="made anew"):
        asyncio.run(scenario())
