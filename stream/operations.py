"""What only a person may decide: to go on over another log, or without events that are gone."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from infra.clickhouse import open_client
from infra.settings import Settings
from stream.epochs import begin_epoch, first_epoch, identify_log
from stream.offsets import log_bounds
from stream.sink import Sink
from stream.snapshots import NOTHING_REVISED, Epoch, Position, Snapshots, version_before, version_of


@dataclass(frozen=True, slots=True)
class Gap:
    """A partition whose log begins at `first`, though `missing` events before it were not folded."""

    partition: int
    first: int
    missing: int


async def start_epoch(settings: Settings, reason: str) -> Epoch:
    """From now on Kafka's present log counts. Raises KafkaError and clickhouse-connect's errors."""
    log, bounds = await identify_log(settings), await log_bounds(settings)
    async with _snapshots(settings) as snapshots:
        epoch = await begin_epoch(snapshots, first_epoch(log, settings.partitions), reason)
        known = await snapshots.positions(log)
        # Where one is beyond its end the topic was made anew, and none of them means anything any more.
        if any(bounds[position.partition][1] <= position.offset for position in known):
            version, now = version_before(epoch.number), int(time.time() * 1000)
            anew = [Position(partition, version, NOTHING_REVISED, now) for partition in bounds]
            await snapshots.save_positions(log, anew, reason)
        return epoch


async def accept_gaps(settings: Settings, reason: str) -> list[Gap]:
    """Move every position that lies before its log to where the log begins; returns what is missing."""
    log, bounds = await identify_log(settings), await log_bounds(settings)
    async with _snapshots(settings) as snapshots:
        epoch = await snapshots.newest_epoch()
        known = {position.partition: position for position in await snapshots.positions(log)}
        gaps, moved = [], []
        for partition, (first, _) in bounds.items():
            position = known.get(partition)
            following = position.offset + 1 if position else 0
            if first > following:
                gaps.append(Gap(partition, first, first - following))
                version, now = version_of(epoch.number if epoch else 1, first - 1), int(time.time() * 1000)
                held = position or Position(partition, version, NOTHING_REVISED, now)
                moved.append(replace(held, version=version, logged_at=now))
        await snapshots.save_positions(log, moved, reason)
    return gaps


@asynccontextmanager
async def _snapshots(settings: Settings) -> AsyncIterator[Snapshots]:
    async with open_client(settings) as client:
        yield Snapshots(settings, client, await Sink.open(settings, client))
