"""A sender's clock that is ahead does no harm beyond its own results."""

import asyncio

import pytest

from infra.kafka import partition_of
from schemas.events import CheckBatch, LogEvent, MonitorRevised, Tick, encode
from stream.dead_letters import LogRecord, read_event
from stream.log_time import AHEAD_MS
from tests.stream.world import START_AT, World, log_of, result

MONITOR = "default/m"
DAY_MS = 86_400_000


@pytest.mark.parametrize("ahead_ms", [-DAY_MS, 0, AHEAD_MS])
def test_that_an_event_of_before_or_of_about_now_is_read_as_it_is(ahead_ms: int) -> None:
    for event in (Tick(START_AT + ahead_ms), CheckBatch("p", "r", START_AT + ahead_ms, ())):
        assert read_event(LogRecord(0, 0, START_AT, encode(event))) == (event, [])


def test_that_an_event_of_the_future_is_of_when_the_log_got_it_and_a_minute() -> None:
    tick, _ = read_event(LogRecord(0, 0, START_AT, encode(Tick(START_AT + DAY_MS))))
    batch, _ = read_event(LogRecord(0, 0, START_AT, encode(CheckBatch("p", "r", START_AT + DAY_MS, ()))))

    assert tick == Tick(START_AT + AHEAD_MS)
    assert batch == CheckBatch("p", "r", START_AT + AHEAD_MS, ())


def test_that_it_is_so_for_a_batch_with_results_that_cannot_be_decoded() -> None:
    value = encode(CheckBatch("p", "r", START_AT + DAY_MS, ())).replace(b"[]", b"[{}]")

    batch, letters = read_event(LogRecord(0, 0, START_AT, value))

    assert batch == CheckBatch("p", "r", START_AT + AHEAD_MS, ())
    assert len(letters) == 1


def test_that_a_probe_of_the_future_makes_no_others_late() -> None:
    partition = partition_of(MONITOR, 1)
    future = CheckBatch("ahead", "ams", START_AT + DAY_MS, (result(MONITOR, START_AT + DAY_MS),))
    later = [CheckBatch("probe", "lon", at, (result(MONITOR, at),)) for at in (START_AT, START_AT + 60_000)]
    events: list[LogEvent] = [future, *later]
    log = log_of([(partition, event) for event in events], 1)
    log[0][0] = LogRecord(0, 0, START_AT, encode(future))
    world = World(log, [MONITOR])

    asyncio.run(_take_all(world))

    late = {(row["region"], row["scheduled_at"]): row["late"] for row in world.rows["check_results"].values()}
    assert late == {("ams", START_AT + DAY_MS): 1, ("lon", START_AT): 0, ("lon", START_AT + 60_000): 0}


def test_that_a_decision_from_a_clock_of_the_future_holds_now_and_does_not_delay_those_that_follow() -> None:
    paused = MonitorRevised(MONITOR, 0, START_AT + DAY_MS, "paused")
    deleted = MonitorRevised(MONITOR, 1, START_AT + 120_000, "deleted")
    log = log_of([(0, paused), (0, deleted)], 1)
    log[0][0] = LogRecord(0, 0, START_AT, encode(paused))
    world = World(log, [MONITOR])

    asyncio.run(_take_all(world))

    status = world.rows["current_status"][(MONITOR,)]
    assert (status["deleted"], status["since"]) == (True, START_AT + 120_000)


async def _take_all(world: World) -> None:
    worker = world.worker()
    await worker.take(world.deliver(10))
    await worker.write(everything=True)
