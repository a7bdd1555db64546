"""Results that flow at the pace of a fleet: every monitor once a second, evenly spread, sent every 100 ms."""

import asyncio
import time
from typing import Final

import msgspec

from infra.kafka import open_producer, partition_of
from infra.settings import Settings
from schemas.enums import Outcome
from schemas.events import CheckBatch, CheckResult, encode
from tests.faults.history import INTERVAL_MS, result_of

COLLECT_MS: Final = 100
TURNS: Final = INTERVAL_MS // COLLECT_MS


def changing(monitor: str, _: str, slot: int) -> Outcome:
    """Every monitor changes its status every ten slots, not all in the same one."""
    return Outcome.DOWN if (slot + len(monitor) + sum(monitor.encode())) // 10 % 2 else Outcome.UP


async def flow(settings: Settings, versions: dict[str, int], topic: str, seconds: float, alone: bool) -> dict[int, int]:
    """Send for so long; returns by scheduled_at when it was sent, milliseconds. `alone`: a message a result."""
    monitors = sorted(versions)
    sent_at: dict[int, int] = {}
    async with open_producer(settings) as producer:
        turn = int(time.time() * 1000) // COLLECT_MS + 1
        last = turn + int(seconds * 1000) // COLLECT_MS
        while turn < last:
            await asyncio.sleep(max(0.0, turn * COLLECT_MS / 1000 - time.time()))
            slot, part = divmod(turn - 1, TURNS)
            now = int(time.time() * 1000)
            sent_at.setdefault(slot * INTERVAL_MS + part * COLLECT_MS, now)
            results: dict[int, list[CheckResult]] = {}
            for monitor in monitors[part::TURNS]:
                result = _at(result_of(monitor, versions[monitor], "local", slot, changing), part * COLLECT_MS)
                results.setdefault(partition_of(monitor, settings.partitions), []).append(result)
            for partition, found in results.items():
                for some in [(each,) for each in found] if alone else [tuple(found)]:
                    await producer.send(topic, encode(CheckBatch("flow", "local", now, some)), partition=partition)
            turn += 1
    return sent_at


def _at(result: CheckResult, offset_ms: int) -> CheckResult:
    return msgspec.structs.replace(
        result, scheduled_at=result.scheduled_at + offset_ms, started_at=result.started_at + offset_ms
    )
