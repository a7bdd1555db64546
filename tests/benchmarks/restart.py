"""Seconds from a worker's start to the first status that it decides, after SIGKILL, with 100,000 monitors to load.

The reference reads the same states from ClickHouse and does nothing with them.
"""

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaProducer

from infra.clickhouse import open_client
from infra.kafka import open_producer, partition_of
from infra.settings import Settings
from schemas.durations import format_duration
from schemas.enums import Outcome, Status
from schemas.events import CheckBatch, CheckResult, Tick, encode
from schemas.monitors import Monitor, Record, monitor_id
from schemas.topics import CHECK_RESULTS, MONITORS
from stream.epochs import first_epoch, identify_log, settle_epoch
from stream.folds import PartitionFold, Terms
from stream.sink import Sink
from stream.snapshots import Epoch, MonitorState, Position, Snapshots, version_of
from tests.benchmarks.report import report
from tests.faults.processes import Installation, worker_name

FLEET: Final = 100_000
INTERVAL_MS: Final = 10_000
ROUNDS: Final = 130
"""So many results that the oldest are settled and gone."""
FOLDED: Final = 100
"""Monitors of a partition that are folded; the others get states of theirs, which do not name a monitor."""
SEND_EVERY_S: Final = 0.2
WITHIN_S: Final = 300
SLOT: Final = 0
TERMS: Final = Terms(interval_ms=INTERVAL_MS, silence_ms=86_400_000)
"""The fleet, which nobody checks, does not fall silent."""


def main() -> None:
    """The worker starts, is killed when its first snapshots are written, and starts again."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Installation(Path(folder), 1) as installation:
        versions, reading_s, loading_s = asyncio.run(_prepare(installation.settings))
        since = int(time.time() * 1000)
        _start(installation, versions, Status.DOWN)
        asyncio.run(asyncio.wait_for(_until_saved(installation.settings, since), WITHIN_S))
        installation.kill(worker_name(SLOT))
        first_s, last_s = _start(installation, versions, Status.UP)
    report(
        "restart",
        first_s,
        "s to the first status",
        "reading the states",
        reading_s,
        started,
        monitors=FLEET,
        load_s=round(loading_s, 2),
        every_partition_s=round(last_s, 2),
    )


def _start(installation: Installation, versions: dict[str, int], status: Status) -> tuple[float, float]:
    """Start the worker; seconds until it has given a monitor the status, and one of every partition."""
    since, started = int(time.time() * 1000), time.monotonic()
    installation.start_worker(SLOT)
    decided = _until_decided(installation.settings, versions, since, status)
    first_at, last_at = asyncio.run(asyncio.wait_for(decided, WITHIN_S))
    return first_at - started, last_at - started


async def _until_decided(
    settings: Settings, versions: dict[str, int], since: int, status: Status
) -> tuple[float, float]:
    """Send results of a monitor of each partition until all have the status; when the first one had it, and the last.

    A status is written as soon as it is decided; results wait to be many.
    """
    monitors: dict[int, str] = {}
    for monitor in versions:
        monitors.setdefault(partition_of(monitor, settings.partitions), monitor)
    changed = f"SELECT uniqExact(monitor) FROM status_changes WHERE status = '{status}' AND {_after('at', since)}"
    first_at = 0.0
    async with open_producer(settings) as producer, open_client(settings) as client:
        while (found := (await client.query(changed)).result_rows[0][0]) < len(monitors):
            first_at = first_at or (time.monotonic() if found else 0.0)
            now = int(time.time() * 1000)
            for partition, monitor in monitors.items():
                batch = CheckBatch(
                    "restart", "local", now, (_result(monitor, versions[monitor], now, Outcome(status)),)
                )
                await producer.send(CHECK_RESULTS.name, encode(batch), partition=partition)
            await asyncio.sleep(SEND_EVERY_S)
    return first_at or time.monotonic(), time.monotonic()


async def _until_saved(settings: Settings, since: int) -> None:
    """Until a snapshot of every partition is of after a time."""
    saved = f"SELECT count() FROM stream_positions FINAL WHERE {_after('logged_at', since)}"
    async with open_client(settings) as client:
        while (await client.query(saved)).result_rows[0][0] < settings.partitions:
            await asyncio.sleep(SEND_EVERY_S)


def _after(column: str, at: int) -> str:
    return f"{column} >= fromUnixTimestamp64Milli({at})"


async def _prepare(settings: Settings) -> tuple[dict[str, int], float, float]:
    """Write the fleet and its snapshots; returns its versions, and the seconds to read the states and to load them."""
    async with open_producer(settings) as producer, open_client(settings) as client:
        versions = await _write_fleet(producer, settings)
        sink = await Sink.open(settings, client)
        snapshots = Snapshots(settings, client, sink)
        epoch = await settle_epoch(snapshots, first_epoch(await identify_log(settings), settings.partitions))
        for partition in range(settings.partitions):
            kept = await producer.send_and_wait(CHECK_RESULTS.name, encode(Tick(0)), partition=partition)
            named = {m: v for m, v in versions.items() if partition_of(m, settings.partitions) == partition}
            await _write_snapshot(snapshots, epoch, partition, kept.offset, named)
        reading_s = await _read(snapshots, settings.partitions, lambda monitor, state: None)
        gc.disable()
        loading_s = await _read(snapshots, settings.partitions, PartitionFold(lambda monitor, version: TERMS).load)
        gc.enable()
        return versions, reading_s, loading_s


async def _read(snapshots: Snapshots, partitions: int, take: Callable[[str, bytes], None]) -> float:
    """Seconds that all states take."""
    began = time.monotonic()
    for partition in range(partitions):
        async for block in snapshots.states(partition):
            for monitor, state in block:
                take(monitor, state)
    return time.monotonic() - began


async def _write_fleet(producer: AIOKafkaProducer, settings: Settings) -> dict[str, int]:
    """Every monitor's record; returns its version."""
    written = {"url": "https://example.com/", "interval": format_duration(INTERVAL_MS)}
    documents = [Monitor.model_validate(written | {"slug": f"m{n}"}) for n in range(FLEET)]
    sent = {}
    for document in documents:
        monitor = monitor_id("default", document.slug)
        record = Record[Monitor](workspace="default", by="bench", at=0, document=document)
        partition = partition_of(monitor, settings.partitions)
        sent[monitor] = await producer.send(MONITORS.name, record.to_log(), monitor.encode(), partition=partition)
    await producer.flush()
    return {monitor: (await kept).offset for monitor, kept in sent.items()}


async def _write_snapshot(
    snapshots: Snapshots, epoch: Epoch, partition: int, offset: int, versions: dict[str, int]
) -> None:
    """The states of a partition's monitors, of minutes without an incident."""
    fold = PartitionFold(lambda monitor, version: TERMS)
    begin = int(time.time() * 1000) - ROUNDS * INTERVAL_MS
    version = version_of(epoch.number, offset)
    for turn in range(ROUNDS):
        at = begin + turn * INTERVAL_MS
        results = tuple(_result(monitor, named, at) for monitor, named in islice(versions.items(), FOLDED))
        fold.fold(version, CheckBatch("restart", "local", at, results))
        fold.fold(version, Tick(at))
    folded = {row.monitor: row.state for row in fold.changed()}
    others = cycle(folded.values())
    await snapshots.save_states(
        MonitorState(partition, monitor, version, folded.get(monitor) or next(others)) for monitor in versions
    )
    position = Position(partition, version, max(versions.values()), begin, fold.position_state())
    await snapshots.save_positions(epoch.log, [position])


def _result(monitor: str, version: int, at: int, outcome: Outcome = Outcome.UP) -> CheckResult:
    return CheckResult(
        monitor=monitor,
        scheduled_at=at,
        started_at=at + 1,
        monitor_version=version,
        outcome=outcome,
        status_code=200,
        dns_us=300,
        connect_us=450,
        tls_us=5_000,
        ttfb_us=1_000 + (version + at) % 5_000,
        transfer_us=33,
        total_us=6_783 + (version + at) % 5_000,
        certificate_expires_at=1_800_000_000_000,
    )


if __name__ == "__main__":
    main()
