import asyncio
from types import SimpleNamespace

from stream.app import delivery_of
from tests.stream.world import START_AT, World


def test_that_a_record_without_a_value_is_a_dead_letter_and_stops_nothing() -> None:
    message = SimpleNamespace(partition=0, offset=0, timestamp=START_AT / 1000)
    world = World({0: [delivery_of(SimpleNamespace(message=message, value=None)).record]})

    async def scenario() -> None:
        worker = world.worker()
        await worker.take(world.deliver(1))
        await worker.write(everything=True)

    asyncio.run(scenario())

    assert len(world.sent) == 1
    assert world.committed == {0: 1}
