import asyncio
from collections.abc import Sequence

import pytest

from schemas.events import MaintenanceRevised, MonitorRevised, Tick, decode_log
from stream.maintenances import Plan
from stream.outbox import Message
from stream.revisions import Forwarder
from stream.sink import Insert
from stream.snapshots import Position, version_before
from tests.stream.world import START_AT, World, log_of

NAMES = ("default/a", "default/b")
LASTS = (START_AT, START_AT + 3_600_000)


class FakePlans:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def after(self, version: int) -> list[Plan]:
        return [self._plan] if self._plan.version > version else []


class FakeEngines:
    """A sink and an outbox."""

    def __init__(self) -> None:
        self.sent: list[MaintenanceRevised] = []

    async def write(self, *_: Insert) -> None:
        pass

    async def send(self, messages: Sequence[Message]) -> None:
        events = (decode_log(message.value) for message in messages)
        self.sent += [event for event in events if isinstance(event, MaintenanceRevised)]


def revised(monitor: str, version: int) -> MaintenanceRevised:
    return MaintenanceRevised("default/upgrade", monitor, START_AT, *LASTS, version)


async def take_all(world: World) -> None:
    worker = world.worker()
    await worker.take(world.deliver(10))
    await worker.write(everything=True)


def told_after(world: World, times: int) -> list[MaintenanceRevised]:
    """What an heir sends who folds the log of a world and forwards so often."""
    plan = Plan("default/upgrade", 5, START_AT, "ann", *LASTS, frozenset(NAMES), frozenset(), "{}")
    engines = FakeEngines()

    async def scenario() -> None:
        worker = world.worker()
        await worker.take(world.deliver(10))
        (partition,) = worker.partitions
        forwarder = Forwarder(worker, None, FakePlans(plan), engines, engines, 1)  # type: ignore[arg-type]
        for _ in range(times):
            await forwarder.forward_maintenances(partition)

    asyncio.run(scenario())
    return engines.sent


def test_that_a_maintenance_of_which_only_some_monitors_were_told_is_told_again_once() -> None:
    world = World(log_of([(0, revised("default/a", 5))], 1), NAMES)

    told = told_after(world, times=3)

    assert told == [revised("default/a", 5), revised("default/b", 5)]


def test_that_what_a_zombie_tells_late_does_not_undo_what_was_told_since() -> None:
    monitor = NAMES[0]
    states = [(0, "active"), (1, "paused"), (2, "active"), (1, "paused")]
    world = World(log_of([(0, MonitorRevised(monitor, v, START_AT + v, state)) for v, state in states], 1), NAMES)

    asyncio.run(take_all(world))

    assert world.rows["current_status"][(monitor,)]["status"] == "unknown"


@pytest.mark.parametrize("restarts", [(), (1,), (2,)], ids=["no restart", "after garbage", "after a tick"])
@pytest.mark.parametrize(
    "positions", [{}, {0: Position(0, version_before(2), -1, START_AT)}], ids=["lost", "made anew"]
)
def test_that_maintenances_hold_again_after_kafka_s_data_was_lost(
    positions: dict[int, Position], restarts: tuple[int, ...]
) -> None:
    monitor = NAMES[0]
    cancelled = MaintenanceRevised("default/move", monitor, START_AT, START_AT, START_AT, 57)
    before = World(log_of([(0, cancelled), (0, Tick(START_AT))], 1), NAMES)
    asyncio.run(take_all(before))
    after = World(log_of([(0, b"?"), (0, Tick(START_AT + 1)), (0, revised(monitor, 0))], 1), NAMES)
    after.known_states, after.known_positions, after.number = before.known_states, dict(positions), 2
    for folded in restarts:
        whole, after.log[0] = after.log[0], after.log[0][:folded]
        asyncio.run(take_all(after))
        after.log[0] = whole
    asyncio.run(take_all(after))

    assert after.rows["current_status"][(monitor,)]["status"] == "maintenance"
    assert min(state.version for state in after.known_states.values()) >= version_before(2)
