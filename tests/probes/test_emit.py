"""Emitting: batches of a partition, soon; what Kafka does not take waits on disk and comes later, in order."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from probes.emit import (
    ACKNOWLEDGED_WITHIN_S,
    CALM_WITHIN_S,
    MAX_BATCH_BYTES,
    SPOOLED_AT_ONCE,
    TROUBLE_WITHIN_S,
    Emitter,
    NotDelivered,
)
from probes.spool import Frame, Spool
from schemas.enums import Outcome
from schemas.events import CheckBatch, CheckResult, Evidence, decode_log
from tests.probes.virtual_time import run_virtual


class Broker:
    """A Kafka that takes frames while it is `up`."""

    def __init__(self) -> None:
        self.up = True
        self.frames: list[Frame] = []
        self.closed = False
        self.hangs = False
        self.takes_at_once = 1_000
        self.taken_at_once: list[int] = []

    async def deliver(self, frames: Sequence[Frame]) -> None:
        if self.hangs:
            await asyncio.sleep(3_600)
        if not self.up:
            raise NotDelivered("it is down")
        if len(frames) > self.takes_at_once:
            raise NotDelivered("the way to it is too narrow")
        self.frames += frames
        self.taken_at_once.append(len(frames))

    async def close(self) -> None:
        self.closed = True

    @property
    def batches(self) -> list[CheckBatch]:
        decoded = [decode_log(frame.value) for frame in self.frames]
        return [batch for batch in decoded if isinstance(batch, CheckBatch)]

    @property
    def scheduled_at(self) -> list[int]:
        return [result.scheduled_at for batch in self.batches for result in batch.results]


def emitter(broker: Broker, folder: Path, bound_bytes: int = 1 << 20) -> Emitter:
    return Emitter(probe="p", region="eu", delivery=broker, spool=Spool(folder, bound_bytes))


def result(number: int, body: str = "", monitor: str = "default/a", outcome: Outcome = Outcome.UP) -> CheckResult:
    evidence = Evidence(body=body) if body else None
    return CheckResult(monitor, number, number, 1, outcome, evidence=evidence)


def test_results_of_a_partition_travel_together(tmp_path: Path) -> None:
    broker = Broker()
    emits = emitter(broker, tmp_path)

    async def main() -> None:
        running = asyncio.create_task(emits.run())
        for number in range(10):
            emits.add(result(number), partition=number % 2)
        await asyncio.sleep(CALM_WITHIN_S + 0.01)
        running.cancel()

    run_virtual(main())
    assert [frame.partition for frame in broker.frames] == [0, 1]
    assert [(batch.probe, batch.region, len(batch.results)) for batch in broker.batches] == [("p", "eu", 5)] * 2
    assert emits.counters.delivered == 10


def test_trouble_and_its_end_do_not_wait_and_take_along_what_was_collected(tmp_path: Path) -> None:
    broker = Broker()
    emits = emitter(broker, tmp_path)
    told_after: list[list[int]] = []

    async def main() -> None:
        running = asyncio.create_task(emits.run())
        for number, outcome in enumerate((Outcome.UP, Outcome.DOWN, Outcome.DOWN, Outcome.UP, Outcome.UP)):
            emits.add(result(10 * number, monitor="default/calm"), partition=number % 2)
            emits.add(result(10 * number + 1, outcome=outcome), partition=number % 2)
            await asyncio.sleep(TROUBLE_WITHIN_S + 0.01)
            told_after.append(sorted(broker.scheduled_at))
        await asyncio.sleep(CALM_WITHIN_S)
        running.cancel()

    run_virtual(main())
    everything = sorted(broker.scheduled_at)
    assert told_after == [[], everything[:4], everything[:6], everything[:8], everything[:8]]
    assert len(everything) == 10


def test_a_batch_is_never_larger_than_kafka_takes(tmp_path: Path) -> None:
    broker = Broker()
    emits = emitter(broker, tmp_path)

    async def main() -> None:
        for number in range(1_000):
            emits.add(result(number, body="x" * 2_000), partition=0)
        await emits.close(1)

    run_virtual(main())
    assert len(broker.frames) > 1
    assert max(len(frame.value) for frame in broker.frames) <= MAX_BATCH_BYTES
    assert broker.scheduled_at == list(range(1_000))


def test_an_outage_costs_nothing_and_the_order_stays(tmp_path: Path) -> None:
    broker = Broker()
    emits = emitter(broker, tmp_path)

    async def main() -> None:
        running = asyncio.create_task(emits.run())
        for number in range(600):
            broker.up = not 100 <= number < 400
            emits.add(result(number), partition=0)
            await asyncio.sleep(0.11)
        await asyncio.sleep(10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtual(main())
    assert broker.scheduled_at == list(range(600))
    assert emits.counters.spooled >= 300
    assert emits.lost_results == 0
    assert not emits.spool


def test_what_waits_goes_by_a_narrow_way_too(tmp_path: Path) -> None:
    broker = Broker()
    broker.up = False
    emits = emitter(broker, tmp_path)

    async def main() -> None:
        running = asyncio.create_task(emits.run())
        for number in range(300):
            emits.add(result(number, outcome=Outcome.DOWN), partition=0)
            await asyncio.sleep(TROUBLE_WITHIN_S + 0.01)
        broker.up, broker.takes_at_once = True, 5
        await asyncio.sleep(300)
        running.cancel()

    run_virtual(main())
    assert broker.scheduled_at == list(range(300))


def test_what_waits_goes_in_large_parts_again_once_the_way_is_wide(tmp_path: Path) -> None:
    broker = Broker()
    emits = emitter(broker, tmp_path)

    async def an_outage(takes_at_once: int) -> None:
        broker.up = False
        for number in range(300):
            emits.add(result(number, outcome=Outcome.DOWN), partition=0)
            await asyncio.sleep(TROUBLE_WITHIN_S + 0.01)
        broker.up, broker.takes_at_once = True, takes_at_once
        await asyncio.sleep(300)

    async def main() -> None:
        running = asyncio.create_task(emits.run())
        await an_outage(takes_at_once=5)
        assert max(broker.taken_at_once) <= 5
        await an_outage(takes_at_once=1_000)
        running.cancel()

    run_virtual(main())
    assert max(broker.taken_at_once) == SPOOLED_AT_ONCE


def test_a_full_disk_throws_the_oldest_away_and_counts_them(tmp_path: Path) -> None:
    broker = Broker()
    broker.up = False
    emits = emitter(broker, tmp_path, bound_bytes=5 << 20)

    async def main() -> None:
        running = asyncio.create_task(emits.run())
        for number in range(6_000):
            emits.add(result(number, body="x" * 2_000), partition=0)
            if number % 100 == 0:
                await asyncio.sleep(0.11)
        await asyncio.sleep(1)
        broker.up = True
        await asyncio.sleep(30)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtual(main())
    assert emits.lost_results > 0
    assert emits.lost_results + len(broker.scheduled_at) == 6_000
    assert broker.scheduled_at == list(range(emits.lost_results, 6_000))


def test_closing_delivers_what_was_collected(tmp_path: Path) -> None:
    broker = Broker()
    emits = emitter(broker, tmp_path)

    async def main() -> None:
        emits.add(result(1), partition=0)
        await emits.close(3)

    run_virtual(main())
    assert broker.scheduled_at == [1]
    assert broker.closed


def test_closing_while_kafka_hangs_leaves_everything_to_the_next_process(tmp_path: Path) -> None:
    broker = Broker()
    broker.hangs = True
    emits = emitter(broker, tmp_path)

    async def stopped() -> float:
        running = asyncio.create_task(emits.run())
        emits.add(result(1), partition=0)
        await asyncio.sleep(1)
        emits.add(result(2), partition=0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        began = asyncio.get_running_loop().time()
        await emits.close(3)
        return asyncio.get_running_loop().time() - began

    assert run_virtual(stopped()) < ACKNOWLEDGED_WITHIN_S

    broker.hangs = False
    successor = emitter(broker, tmp_path)

    async def delivered() -> None:
        running = asyncio.create_task(successor.run())
        while successor.spool:
            await asyncio.sleep(0.1)
        running.cancel()

    run_virtual(delivered())
    assert broker.scheduled_at == [1, 2]


def test_a_disk_that_refuses_is_counted_as_loss(tmp_path: Path) -> None:
    broker = Broker()
    broker.up = False
    emits = emitter(broker, tmp_path / "spool")
    (tmp_path / "spool").rmdir()

    async def main() -> None:
        emits.add(result(1), partition=0)
        await emits.close(1)

    run_virtual(main())
    assert emits.lost_results == 1
