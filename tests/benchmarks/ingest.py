"""Results a second from the topic into ClickHouse, everything written: raw results, statuses, totals, snapshots.

The reference is the usual Faust agent, which takes a message a result, with the same fold and the same sink; its
inserts are of 1,000 rows, since one a result would only measure ClickHouse.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from infra.clickhouse import open_client
from infra.kafka import connection_options, open_producer
from infra.settings import Settings
from schemas.events import CheckBatch, encode
from schemas.topics import CHECK_RESULTS
from tests.benchmarks.report import report
from tests.faults.history import INTERVAL_MS, batches_of, calm
from tests.faults.processes import Installation, wait_until

MONITORS: Final = 1_000
SLOTS: Final = 400
SINGLE_SLOTS: Final = 15
SINGLE_TOPIC: Final = "single-results"
ROWS: Final = 1_000
"""How many the usual agent inserts at once."""
READY_WITHIN_S: Final = 180


def main() -> None:
    """One run of each: both are long and write to stores of their own."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Installation(Path(folder), MONITORS) as installation:
        asyncio.run(_fill_single(installation))
        single = _measure(installation, [sys.executable, "-m", "tests.benchmarks._single_agent"], SINGLE_SLOTS)
        asyncio.run(_clear(installation.settings))
        asyncio.run(_fill(installation))
        worker = (
            "from infra.settings import get_settings; from stream.app import run_worker; run_worker(get_settings())"
        )
        value = _measure(installation, [sys.executable, "-c", worker], SLOTS)
    report("ingest", value, "results/s", "Faust, a message a result", single, started)


def _measure(installation: Installation, command: list[str], slots: int) -> float:
    """Results a second from the first row that can be read to the last."""
    settings = installation.settings
    process = subprocess.Popen(command, env=os.environ | installation.environment())
    try:
        # The usual agent writes when the next message comes, so its last rows never do.
        expected = slots * MONITORS * 2 - ROWS
        wait_until(lambda: _stored(settings) > 0, "the first row", READY_WITHIN_S)
        first, first_at = _stored(settings), time.monotonic()
        wait_until(lambda: _stored(settings) >= expected, "the rest", READY_WITHIN_S)
        return (expected - first) / (time.monotonic() - first_at)
    finally:
        process.terminate()
        process.wait()


def _stored(settings: Settings) -> int:
    async def count() -> int:
        async with open_client(settings) as client:
            return int((await client.query("SELECT count() FROM check_results")).result_rows[0][0])

    return asyncio.run(count())


def _history(installation: Installation, slots: int) -> Iterator[tuple[int, CheckBatch]]:
    last = int(time.time() * 1000) // INTERVAL_MS
    for slot in range(last - slots, last):
        yield from batches_of(installation.versions, slot, installation.settings.partitions, slot * INTERVAL_MS, calm)


async def _fill(installation: Installation) -> None:
    async with open_producer(installation.settings, linger_ms=5) as producer:
        for partition, batch in _history(installation, SLOTS):
            await producer.send(CHECK_RESULTS.name, encode(batch), partition=partition)
        await producer.flush()


async def create_single_topic(settings: Settings) -> None:
    """The topic of the reference: a message a result."""
    admin = AIOKafkaAdminClient(**connection_options(settings))
    await admin.start()
    await admin.create_topics([NewTopic(SINGLE_TOPIC, settings.partitions, 1)])
    await admin.close()


async def _fill_single(installation: Installation) -> None:
    settings = installation.settings
    await create_single_topic(settings)
    async with open_producer(settings, linger_ms=5) as producer:
        for partition, batch in _history(installation, SINGLE_SLOTS):
            await _send_apart(producer, partition, batch)
        await producer.flush()


async def _send_apart(producer: AIOKafkaProducer, partition: int, batch: CheckBatch) -> None:
    for result in batch.results:
        alone = CheckBatch(batch.probe, batch.region, batch.sent_at, (result,))
        await producer.send(SINGLE_TOPIC, encode(alone), partition=partition)


async def _clear(settings: Settings) -> None:
    async with open_client(settings) as client:
        await client.command("TRUNCATE TABLE check_results")


if __name__ == "__main__":
    main()
