"""Made-up monitors with a history that anybody can compute: ups, downs, unknowns, by slot."""

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Final
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from infra.kafka import partition_of
from infra.settings import Settings
from schemas.durations import format_duration
from schemas.enums import CorrectionKind, Outcome, Reason
from schemas.events import CheckBatch, CheckResult, CorrectionOrdered, PolicyChange, encode
from schemas.monitors import Monitor, Policy, Record, monitor_id
from schemas.topics import CHECK_RESULTS, MONITORS

INTERVAL_MS: Final = 1_000
REGIONS: Final = ("east", "west")
RUN_SLOTS: Final = 7
CALM_SLOTS: Final = 60
REVISED_AT_ONCE: Final = 20
CORRECTED_AT_ONCE: Final = 10
Weather = Callable[[str, str, int], Outcome]
"""(monitor, region, slot) to what is seen."""
_OUTCOMES: Final = (Outcome.UP,) * 6 + (Outcome.DOWN, Outcome.DOWN, Outcome.DEGRADED, Outcome.UNKNOWN)
_REASONS: Final = {
    Outcome.UP: Reason.OK,
    Outcome.DOWN: Reason.TIMEOUT,
    Outcome.DEGRADED: Reason.LATENCY,
    Outcome.UNKNOWN: Reason.PROBE_OFFLINE,
}


async def write_monitors(
    producer: AIOKafkaProducer,
    settings: Settings,
    count: int,
    url: str = "https://example.com/",
    interval_ms: int = INTERVAL_MS,
) -> dict[str, int]:
    """Put monitors into the log; returns their versions."""
    written = {"url": url, "interval": format_duration(interval_ms)}
    documents = [Monitor.model_validate(written | {"slug": f"made-up-{number}"}) for number in range(count)]
    return {monitor_id("default", d.slug): await write_monitor(producer, settings, d) for d in documents}


async def write_monitor(producer: AIOKafkaProducer, settings: Settings, document: Monitor) -> int:
    """Put one version of a monitor into the log; returns it."""
    monitor = monitor_id("default", document.slug)
    record = Record[Monitor](workspace="default", by="test", at=int(time.time() * 1000), document=document)
    partition = partition_of(monitor, settings.partitions)
    kept = await producer.send_and_wait(MONITORS.name, record.to_log(), key=monitor.encode(), partition=partition)
    return int(kept.offset)


async def revise_monitors(producer: AIOKafkaProducer, settings: Settings, versions: dict[str, int]) -> dict[str, int]:
    """Pause some monitors, give others another policy; returns the new versions."""
    revised = {}
    for monitor in random.sample(sorted(versions), k=min(len(versions), REVISED_AT_ONCE)):
        document = Monitor.model_validate(
            {
                "slug": monitor.removeprefix("default/"),
                "url": "https://example.com/",
                "interval": format_duration(INTERVAL_MS),
                "policy": Policy(confirmations=random.randint(1, 3)),
                "paused": random.random() < 0.3,
            }
        )
        revised[monitor] = await write_monitor(producer, settings, document)
    return revised


async def correct_records(
    producer: AIOKafkaProducer, settings: Settings, versions: dict[str, int], earlier: list[CorrectionOrdered]
) -> list[CorrectionOrdered]:
    """Replay or annul the last minutes of some monitors, or undo what was ordered before; returns the orders."""
    orders = [
        _correction(monitor, [order for order in earlier if order.monitor == monitor])
        for monitor in random.sample(sorted(versions), k=min(len(versions), CORRECTED_AT_ONCE))
    ]
    for order in orders:
        partition = partition_of(order.monitor, settings.partitions)
        await producer.send_and_wait(CHECK_RESULTS.name, encode(order), partition=partition)
    return orders


def _correction(monitor: str, earlier: list[CorrectionOrdered]) -> CorrectionOrdered:
    at = int(time.time() * 1000)
    since = at - random.choice((20_000, 60_000, 300_000))
    kind = random.choice([*CorrectionKind] if earlier else [CorrectionKind.REPLAY, CorrectionKind.ANNUL])
    order = CorrectionOrdered(uuid4().hex[:12], monitor, kind, at, since, at, "somebody", "said so")
    if kind is CorrectionKind.REPLAY:
        return replace(order, policy=PolicyChange(confirmations=random.randint(1, 4)))
    if kind is CorrectionKind.ANNUL:
        return replace(order, until=since + 10_000, region=random.choice(("", *REGIONS)))
    undone = random.choice(earlier)
    return replace(order, since=undone.since, until=undone.until, undoes=undone.id)


def stormy(monitor: str, region: str, slot: int) -> Outcome:
    """Something new every few seconds, and now and then a region that is alone."""
    if _hash(monitor, slot, region) % 50 == 0:
        return Outcome.DOWN
    return _OUTCOMES[_hash(monitor, slot // RUN_SLOTS) % len(_OUTCOMES)]


def calm(monitor: str, _: str, slot: int) -> Outcome:
    """One monitor of a hundred is down for a minute, as in most fleets."""
    return Outcome.DOWN if _hash(monitor, slot // CALM_SLOTS) % 100 == 0 else Outcome.UP


def result_of(monitor: str, version: int, region: str, slot: int, weather: Weather) -> CheckResult:
    """What the region saw in the slot: the same at every call."""
    outcome = weather(monitor, region, slot)
    scheduled_at = slot * INTERVAL_MS
    return CheckResult(
        monitor=monitor,
        scheduled_at=scheduled_at,
        started_at=scheduled_at + 1,
        monitor_version=version,
        outcome=outcome,
        reason=_REASONS[outcome],
        total_us=1_000 + _hash(monitor, slot) % 100_000,
    )


def batches_of(
    versions: dict[str, int], slot: int, partitions: int, sent_at: int, weather: Weather = stormy
) -> Iterator[tuple[int, CheckBatch]]:
    """The slot's results of every monitor, by (partition, batch)."""
    for region in REGIONS:
        results: dict[int, list[CheckResult]] = {}
        for monitor, version in versions.items():
            result = result_of(monitor, version, region, slot, weather)
            results.setdefault(partition_of(monitor, partitions), []).append(result)
        for partition, found in results.items():
            yield partition, CheckBatch(f"probe-{region}", region, sent_at, tuple(found))


def _hash(*parts: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=4).digest(), "big")
