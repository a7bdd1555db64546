import asyncio
import copy
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from infra.kafka import partition_of
from schemas.enums import CorrectionKind, Outcome
from schemas.events import (
    CheckBatch,
    CorrectionOrdered,
    DeadLetter,
    LogEvent,
    PolicyChange,
    StatusChange,
    Tick,
    decode,
)
from schemas.topics import DEAD_LETTERS, STATUS_CHANGES
from stream.epochs import MissingEvents, ShorterLog
from stream.snapshots import Position, version_before, version_of
from stream.worker import Worker
from tests.stream.world import START_AT, Struck, World, history, log_of, result

MONITORS = tuple(f"default/m{number}" for number in range(4))
UP, DOWN, DEGRADED, UNKNOWN = Outcome.UP, Outcome.DOWN, Outcome.DEGRADED, Outcome.UNKNOWN
PARTITIONS = 2


def world_of(outcomes: list[Outcome], slots: int = 24) -> World:
    return World(log_of(history(MONITORS, slots, outcomes, PARTITIONS), PARTITIONS), MONITORS)


async def run_to_the_end(world: World, at_a_time: int = 5) -> None:
    worker = world.worker()
    while not world.exhausted:
        await worker.take(world.deliver(at_a_time))
        await worker.write(everything=True)
    await worker.write(everything=True)


async def take_the_rest(worker: Worker, world: World, at_a_time: int) -> None:
    while not world.exhausted:
        await worker.take(world.deliver(at_a_time))
    await worker.write(everything=True)


def run_with_strikes(world: World, strikes: list[int], at_a_time: int) -> None:
    for strike in strikes:
        world.strike_after = strike
        with suppress(Struck):
            asyncio.run(run_to_the_end(world, at_a_time))
    world.strike_after = None
    asyncio.run(run_to_the_end(world, at_a_time))


@settings(max_examples=60, deadline=None)
@given(
    outcomes=st.lists(st.sampled_from([UP, UP, UP, DOWN, DEGRADED, UNKNOWN]), min_size=3, max_size=12),
    strikes=st.lists(st.integers(0, 400), max_size=8),
    at_a_time=st.integers(1, 20),
)
def test_that_a_worker_struck_at_any_step_leaves_what_an_unharmed_one_leaves(
    outcomes: list[Outcome], strikes: list[int], at_a_time: int
) -> None:
    unharmed, struck = world_of(outcomes), world_of(outcomes)

    asyncio.run(run_to_the_end(unharmed))
    run_with_strikes(struck, strikes, at_a_time)

    assert struck.rows == unharmed.rows
    assert struck.known_positions == unharmed.known_positions
    assert newest_changes(struck) == newest_changes(unharmed)


def newest_changes(world: World) -> dict[tuple[str, int], StatusChange]:
    changes: dict[tuple[str, int], StatusChange] = {}
    for message in world.sent:
        if message.topic == STATUS_CHANGES.name:
            change = decode(message.value)
            assert isinstance(change, StatusChange)
            known = changes.get((change.monitor, change.at))
            if known is None or known.version <= change.version:
                changes[change.monitor, change.at] = change
    return changes


def test_that_nothing_is_acknowledged_before_its_snapshot() -> None:
    world = world_of([UP, DOWN])
    worker = world.worker()

    asyncio.run(worker.take(world.deliver(10)))
    asyncio.run(worker.write())

    assert world.rows["status_changes"]
    assert world.committed == {0: 0, 1: 0}
    assert world.known_positions == {}


def test_that_folding_waits_in_the_midst_of_what_was_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.pending.MAX_TOTALS", 1)
    monkeypatch.setattr("stream.pending.TOTALS_AT_ONCE", 1)

    async def scenario() -> None:
        world = world_of([UP])
        worker = world.worker()
        taking = asyncio.create_task(worker.take(world.deliver(100)))
        for _ in range(1_000):  # turns of the loop, many more than it takes to fold all
            await asyncio.sleep(0)
        (waiting,) = worker.partitions
        assert not taking.done()
        assert waiting.folded < len(world.log[waiting.number]) - 1

        writing = asyncio.create_task(worker.write_forever())
        await taking
        assert [p.folded for p in worker.partitions] == [len(world.log[p.number]) - 1 for p in worker.partitions]
        await worker.close(writing)

    asyncio.run(scenario())


def test_that_an_heir_goes_on_where_the_snapshot_ends() -> None:
    async def scenario() -> tuple[World, World]:
        world, whole = world_of([UP, DOWN, DOWN]), world_of([UP, DOWN, DOWN])
        first = world.worker()
        await first.take(world.deliver(9))
        await first.write(everything=True)
        await first.take(world.deliver(9))  # and these it keeps to itself
        await run_to_the_end(world)
        await run_to_the_end(whole)
        return world, whole

    world, whole = asyncio.run(scenario())

    assert world.rows == whole.rows


def test_that_a_zombie_can_only_write_what_its_heir_writes() -> None:
    async def scenario() -> tuple[World, Any]:
        world = world_of([UP, DOWN, DOWN, UP, UP])
        zombie = world.worker()
        await zombie.take(world.deliver(20))
        await run_to_the_end(world)
        before = copy.deepcopy(world.rows)
        await zombie.write(everything=True)
        return world, before

    world, before = asyncio.run(scenario())

    assert world.rows == before


def test_that_a_log_that_forgot_to_go_back_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.worker.REWIND_AGAIN_S", 0.0)

    async def scenario() -> tuple[World, World]:
        world, whole = world_of([UP, DOWN, DOWN, UP, UP]), world_of([UP, DOWN, DOWN, UP, UP])
        worker = world.worker()
        await worker.take(world.deliver(2))
        world.deliver(3)  # these are lost on the way
        world.forgotten_rewinds = 3
        await take_the_rest(worker, world, 2)
        await run_to_the_end(whole)
        return world, whole

    world, whole = asyncio.run(scenario())

    assert world.forgotten_rewinds == 0
    assert world.rows == whole.rows


def test_that_a_worker_loads_again_after_a_rebalance() -> None:
    async def scenario() -> tuple[World, World]:
        world, whole = world_of([UP, DOWN, DOWN]), world_of([UP, DOWN, DOWN])
        worker = world.worker()
        await worker.take(world.deliver(7))
        await worker.write(everything=True)
        await worker.take(world.deliver(3))
        worker.forget()
        world.cursor = dict(world.committed)
        await take_the_rest(worker, world, 5)
        await run_to_the_end(whole)
        return world, whole

    world, whole = asyncio.run(scenario())

    assert world.rows == whole.rows


def test_that_the_log_goes_back_when_the_store_is_behind_it() -> None:
    async def scenario() -> tuple[World, World]:
        world, whole = world_of([UP, DOWN, DOWN]), world_of([UP, DOWN, DOWN])
        world.committed = {0: 15, 1: 12}  # Kafka was told more than ClickHouse holds
        await run_to_the_end(world)
        await run_to_the_end(whole)
        return world, whole

    world, whole = asyncio.run(scenario())

    assert world.rows == whole.rows


def test_that_events_removed_by_retention_stop_the_worker() -> None:
    world = world_of([UP])
    world.log[0] = world.log[0][5:]
    worker = world.worker()

    with pytest.raises(MissingEvents, match="accept-gap"):
        asyncio.run(worker.take(world.deliver(1)))


def test_that_a_topic_made_anew_stops_the_worker() -> None:
    world = world_of([UP])
    world.known_positions[0] = Position(0, version_of(1, 10_000), -1, START_AT)
    worker = world.worker()

    with pytest.raises(ShorterLog, match="pulse epoch new"):
        asyncio.run(worker.take(world.deliver(1)))


def test_that_a_new_epoch_over_a_topic_made_anew_folds_it_from_its_beginning() -> None:
    world, whole = world_of([UP, DOWN, DOWN]), world_of([UP, DOWN, DOWN])
    world.known_positions = {p: Position(p, version_before(1), -1, START_AT) for p in range(PARTITIONS)}

    for each in (world, whole):
        asyncio.run(run_to_the_end(each))

    assert world.rows == whole.rows
    assert world.known_positions == whole.known_positions


def dead_letters(world: World) -> list[DeadLetter]:
    letters = (decode(message.value) for message in world.sent if message.topic == DEAD_LETTERS.name)
    return [letter for letter in letters if isinstance(letter, DeadLetter)]


def test_that_garbage_goes_to_the_dead_letters_and_takes_nothing_with_it() -> None:
    good = [result("default/m0", START_AT + 1), result("default/m0", START_AT + 60_001)]
    batch = b'{"type":"check-batch","probe":"p","region":"local","sent_at":%d,"results":[%s,{"monitor":1},%s]}'
    values = [msgspec.json.encode(each) for each in good]
    world = World(log_of([(0, b"\xff not json"), (0, batch % (START_AT + 60_001, *values))], 1), MONITORS)

    asyncio.run(run_to_the_end(world))

    letters = [decode(message.value) for message in world.sent if message.topic == DEAD_LETTERS.name]
    assert [letter.value for letter in letters if isinstance(letter, DeadLetter)] == [
        b"\xff not json",
        b'{"monitor":1}',
    ]
    assert len(world.rows["check_results"]) == 2
    assert world.committed == {0: 2}


def test_that_results_of_a_monitor_that_nobody_knows_are_dead_letters() -> None:
    batch = CheckBatch("p", "local", START_AT, (result("default/m0", START_AT), result("default/ghost", START_AT)))
    world = World(log_of([(0, batch)], 1), MONITORS)

    asyncio.run(run_to_the_end(world))

    letters = [decode(message.value) for message in world.sent if message.topic == DEAD_LETTERS.name]
    assert [letter.error for letter in letters if isinstance(letter, DeadLetter)] == [
        "there is no monitor default/ghost"
    ]
    assert [identity[0] for identity in world.rows["check_results"]] == ["default/m0"]


def test_that_a_lost_version_of_a_known_monitor_is_folded_under_default_terms() -> None:
    batch = CheckBatch("p", "local", START_AT, (result("default/m0", START_AT, version=7),))
    world = World(log_of([(0, batch)], 1), MONITORS)
    world.get = lambda monitor, version: None  # type: ignore[method-assign]

    asyncio.run(run_to_the_end(world))

    assert [row["status"] for row in world.rows["current_status"].values()] == ["up"]
    assert not dead_letters(world)


def correct(kind: CorrectionKind, name: str, slot: int, **more: Any) -> tuple[int, LogEvent]:
    """A correction of the first monitor over the whole history, ordered after a slot."""
    at, monitor = START_AT + slot * 60_000 + 2_000, MONITORS[0]
    order = CorrectionOrdered(name, monitor, kind, at, START_AT, at, "somebody", "said so", **more)
    return partition_of(monitor, PARTITIONS), order


def corrected_world(outcomes: list[Outcome]) -> World:
    """Replayed, replayed under a policy, annulled, undone, while two regions' results flow; one order comes twice."""
    events = list(history(MONITORS, 40, outcomes, PARTITIONS))
    orders = {
        24: correct(CorrectionKind.REPLAY, "one", 24),
        27: correct(CorrectionKind.REPLAY, "two", 27, policy=PolicyChange(confirmations=1)),
        30: correct(CorrectionKind.ANNUL, "three", 30),
        33: correct(CorrectionKind.UNDO, "four", 33, undoes="three"),
        36: correct(CorrectionKind.REPLAY, "one", 36),
    }
    log: list[tuple[int, LogEvent]] = []
    for partition, event in events:
        log.append((partition, event))
        if isinstance(event, CheckBatch):
            log.append((partition, replace(event, region="east")))  # after `local`, but before it in a snapshot
        slot = (event.at - START_AT) // 60_000 if isinstance(event, Tick) else -1
        if slot in orders and orders[slot][0] == partition:
            log.append(orders.pop(slot))
    assert not orders
    return World(log_of(log, PARTITIONS), MONITORS)


@settings(max_examples=30, deadline=None)
@given(
    outcomes=st.lists(st.sampled_from([UP, UP, UP, DOWN, DEGRADED, UNKNOWN]), min_size=3, max_size=12),
    strikes=st.lists(st.integers(0, 700), max_size=8),
    at_a_time=st.integers(1, 20),
)
def test_that_a_worker_struck_at_any_step_of_a_correction_leaves_what_an_unharmed_one_leaves(
    outcomes: list[Outcome], strikes: list[int], at_a_time: int
) -> None:
    unharmed, struck = corrected_world(outcomes), corrected_world(outcomes)

    asyncio.run(run_to_the_end(unharmed))
    run_with_strikes(struck, strikes, at_a_time)

    assert struck.rows == unharmed.rows
    assert newest_changes(struck) == newest_changes(unharmed)
    assert [row["stage"] for row in struck.rows["corrections"].values()] == [1, 1, 1, 1]


@pytest.mark.parametrize("strike", range(4, 28, 4))
def test_that_a_correction_that_an_epoch_breaks_off_is_carried_out_in_the_next(strike: int) -> None:
    partition, order = correct(CorrectionKind.ANNUL, "one", 24)
    log = log_of([*history(MONITORS, 24, [UP, DOWN, DOWN], PARTITIONS), (partition, order)], PARTITIONS)
    unharmed, struck = World(log, MONITORS), World(log | {partition: log[partition][:-1]}, MONITORS)
    asyncio.run(run_to_the_end(unharmed))
    asyncio.run(run_to_the_end(struck))
    struck.log, struck.strike_after = log, strike
    with pytest.raises(Struck):
        asyncio.run(run_to_the_end(struck))
    struck.strike_after, struck.number = None, 2

    asyncio.run(run_to_the_end(struck))

    assert [row["stage"] for row in struck.rows["corrections"].values()] == [1]
    assert as_told(struck) == as_told(unharmed)


def as_told(world: World) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The hours, whichever epoch told them."""
    return {identity: row | {"version": 0} for identity, row in world.rows["uptime_buckets"].items()}


def test_that_a_shutdown_does_not_cut_a_correction_short() -> None:
    async def scenario() -> World:
        world = corrected_world([UP, DOWN, DOWN])
        world.answers, worker = asyncio.Event(), world.worker()
        writing = asyncio.create_task(worker.write_forever())
        taking = asyncio.create_task(worker.take(world.deliver(1_000)))
        while not worker.partitions or not world.asked:
            await asyncio.sleep(0)
        taking.cancel()
        with suppress(asyncio.CancelledError):
            await taking
        closing = asyncio.create_task(worker.close(writing))
        await asyncio.wait([writing])
        assert not closing.done()
        world.answers.set()
        await closing
        assert [row["stage"] for row in world.rows["corrections"].values()] == [1]
        await run_to_the_end(world)
        return world

    whole = corrected_world([UP, DOWN, DOWN])
    asyncio.run(run_to_the_end(whole))
    world = asyncio.run(scenario())

    assert world.rows == whole.rows
    assert newest_changes(world) == newest_changes(whole)


def test_that_the_state_a_correction_leaves_is_of_the_correction() -> None:
    async def scenario() -> World:
        partition, order = correct(CorrectionKind.REPLAY, "one", 24)
        world = World(
            log_of([*history(MONITORS, 24, [UP, DOWN], PARTITIONS), (partition, order)], PARTITIONS), MONITORS
        )
        whole, world.log[partition] = world.log[partition], world.log[partition][:-1]
        await run_to_the_end(world)
        world.log[partition] = whole  # what comes first after the restart is the correction
        await run_to_the_end(world)
        return world

    world = asyncio.run(scenario())

    partition, _ = correct(CorrectionKind.REPLAY, "one", 24)
    state = world.known_states[partition, MONITORS[0]]
    assert state.version == world.known_positions[partition].version == version_of(1, len(world.log[partition]) - 1)


def test_that_a_late_result_counts_where_a_replay_takes_it_in_and_no_longer_when_that_is_undone() -> None:
    late = CheckBatch("p", "local", START_AT + 50 * 60_000, (result(MONITORS[0], START_AT + 30_000, DOWN),))
    events = [*history(MONITORS[:1], 20, [UP], 1), (0, late), (0, Tick(START_AT + 51 * 60_000))]
    replay = correct(CorrectionKind.REPLAY, "one", 52, policy=PolicyChange(confirmations=1))
    undo = correct(CorrectionKind.UNDO, "two", 54, undoes="one")

    async def spans_after(*orders: tuple[int, LogEvent]) -> int:
        world = World(log_of([*events, *((0, order) for _, order in orders)], 1), MONITORS)
        await run_to_the_end(world)
        return sum(row["down_ms"] for row in world.rows["uptime_buckets"].values() if row["step"] == "hour")

    assert asyncio.run(spans_after()) == 0
    assert asyncio.run(spans_after(replay)) > 0
    assert asyncio.run(spans_after(replay, undo)) == 0
