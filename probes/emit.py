"""Emitting: results become batches of one partition, and go to Kafka or wait on disk.

A result that is not up, and the first one after such, goes within 100 ms, with all that was collected by then. The rest
waits up to a second: most of what a batch costs, here and in all that reads it, is the same for one result as for many.

Nothing that a check saw is lost while Kafka is away: what was not acknowledged in time goes to the spool, and is
delivered from there in order once Kafka answers again. What was in fact delivered and only not acknowledged comes
a second time, and is the same result.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from infra.kafka import open_producer
from infra.logs import get_logger
from infra.settings import Settings
from probes.schedule import wall_clock_ms
from probes.spool import Frame, Spool
from schemas.enums import Outcome
from schemas.events import CheckBatch, CheckResult, encode
from schemas.topics import CHECK_RESULTS

TROUBLE_WITHIN_S: Final = 0.1
CALM_WITHIN_S: Final = 1.0
MAX_BATCH_BYTES: Final = 900_000
ACKNOWLEDGED_WITHIN_S: Final = 5.0
RETRY_S: Final = (0.5, 1.0, 2.0, 5.0)
SPOOLED_AT_ONCE: Final = 64
"""Frames; after a failure half as many, until the way to Kafka is wide enough to have them acknowledged in time."""

_log = get_logger(__name__)


class NotDelivered(Exception):
    """Kafka did not acknowledge; the message says why."""


class Delivery(Protocol):
    """Where frames go: Kafka, or what a test puts in its place."""

    async def deliver(self, frames: Sequence[Frame]) -> None:
        """Return when all are acknowledged. Raises NotDelivered."""

    async def close(self) -> None:
        """Let go of the connection."""


class KafkaDelivery:
    """Delivers to `check-results`; after a failure the next attempt opens a new producer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._stack = AsyncExitStack()
        self._closing: set[asyncio.Task[None]] = set()

    async def deliver(self, frames: Sequence[Frame]) -> None:
        """Send to each frame's partition, and wait for every acknowledgement."""
        try:
            async with asyncio.timeout(ACKNOWLEDGED_WITHIN_S):
                producer = self._producer or await self._open()
                sent = [await producer.send(CHECK_RESULTS.name, f.value, partition=f.partition) for f in frames]
                await asyncio.gather(*sent)
        except (KafkaError, OSError, TimeoutError, AssertionError) as error:  # aiokafka asserts unknown partitions
            self._discard()
            raise NotDelivered(f"{type(error).__name__}: {error}") from None

    async def close(self) -> None:
        """Close the producer, and those that are still closing."""
        self._discard()
        if self._closing:
            await asyncio.wait(self._closing, timeout=1.0)

    async def _open(self) -> AIOKafkaProducer:
        stack = AsyncExitStack()
        limit_ms = int(ACKNOWLEDGED_WITHIN_S * 1_000)
        self._producer = await stack.enter_async_context(open_producer(self._settings, request_timeout_ms=limit_ms))
        self._stack = stack
        return self._producer

    def _discard(self) -> None:
        """A producer with unacknowledged batches takes its time to stop: nobody waits for it."""
        if self._producer is not None:
            self._producer = None
            closing = asyncio.create_task(self._stack.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


@dataclass(slots=True)
class EmitCounters:
    """What happened to results, for the metrics."""

    emitted: int = 0
    delivered: int = 0
    spooled: int = 0
    refused: int = 0
    """Results that the disk did not take: lost."""


class Emitter:
    """Collects results, and has them delivered in order."""

    def __init__(self, *, probe: str, region: str, delivery: Delivery, spool: Spool) -> None:
        self.counters = EmitCounters()
        self._probe = probe
        self._region = region
        self._delivery = delivery
        self._spool = spool
        self._collected: dict[int, list[CheckResult]] = {}
        self._flushing: asyncio.TimerHandle | None = None
        self._troubled: set[str] = set()
        """Monitors whose newest result was not up."""
        self._frames: asyncio.Queue[list[Frame]] = asyncio.Queue()
        self._in_hand: list[Frame] = []
        self._failures = 0
        self._retry_at = 0.0
        self._at_once = SPOOLED_AT_ONCE

    @property
    def spool(self) -> Spool:
        """What waits on disk."""
        return self._spool

    @property
    def lost_results(self) -> int:
        """Results that neither Kafka nor the disk took, or that made room in a full spool."""
        return self.counters.refused + self._spool.lost_results

    def add(self, result: CheckResult, partition: int) -> None:
        """Take a result; within TROUBLE_WITHIN_S or CALM_WITHIN_S it is on its way."""
        self.counters.emitted += 1
        if result.outcome is not Outcome.UP:
            self._troubled.add(result.monitor)
            self._flush_within(TROUBLE_WITHIN_S)
        elif result.monitor in self._troubled:
            self._troubled.remove(result.monitor)
            self._flush_within(TROUBLE_WITHIN_S)
        elif self._flushing is None:
            self._flush_within(CALM_WITHIN_S)
        results = self._collected.get(partition)
        if results is None:
            self._collected[partition] = [result]
        else:
            results.append(result)

    def flush(self) -> None:
        """Make batches of what was collected."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._collected:
            collected, self._collected = self._collected, {}
            frames = [frame for partition, results in collected.items() for frame in self._framed(partition, results)]
            self._frames.put_nowait(frames)

    async def run(self) -> None:
        """Deliver until cancelled; then `close` takes care of the rest."""
        while True:
            self._in_hand = await self._next()
            await self._step(self._in_hand)
            self._in_hand = []

    async def close(self, within_s: float) -> None:
        """Deliver what there is within the time, spool the rest, and close the connection."""
        self.flush()
        frames = self._in_hand
        while not self._frames.empty():
            frames = frames + self._frames.get_nowait()
        if frames:
            try:
                async with asyncio.timeout(within_s):
                    await self._step(frames)
            except TimeoutError:
                await self._to_disk(frames)
        await self._delivery.close()

    def _flush_within(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if self._flushing is not None:
            if self._flushing.when() <= at:
                return
            self._flushing.cancel()
        self._flushing = loop.call_at(at, self.flush)

    def _framed(self, partition: int, results: list[CheckResult]) -> list[Frame]:
        """One batch, or more where one would be larger than Kafka takes."""
        value = encode(CheckBatch(self._probe, self._region, int(wall_clock_ms()), tuple(results)))
        if len(value) <= MAX_BATCH_BYTES or len(results) == 1:
            return [Frame(partition, len(results), value)]
        half = len(results) // 2
        return self._framed(partition, results[:half]) + self._framed(partition, results[half:])

    async def _next(self) -> list[Frame]:
        """The next frames; none when it is time to try what waits on disk."""
        if not self._spool:
            return await self._frames.get()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(max(self._retry_at, loop.time())):
                return await self._frames.get()
        except TimeoutError:
            return []

    async def _step(self, frames: list[Frame]) -> None:
        """Frames go to Kafka while nothing waits on disk, else behind what waits there."""
        if not self._spool and await self._delivers(frames):
            return
        if frames:
            await self._to_disk(frames)
        if asyncio.get_running_loop().time() >= self._retry_at:
            oldest = await asyncio.to_thread(self._spool.oldest, self._at_once)
            if oldest and await self._delivers(oldest):
                await asyncio.to_thread(self._spool.delivered, len(oldest))
                self._at_once = min(2 * self._at_once, SPOOLED_AT_ONCE)
            else:
                self._at_once = max(1, self._at_once // 2)

    async def _delivers(self, frames: list[Frame]) -> bool:
        try:
            await self._delivery.deliver(frames)
        except NotDelivered as error:
            if not self._failures:
                _log.warning("kafka does not answer; results are spooled", error=str(error))
            self._retry_at = asyncio.get_running_loop().time() + RETRY_S[min(self._failures, len(RETRY_S) - 1)]
            self._failures += 1
            return False
        if self._failures:
            _log.warning("kafka answers again", waiting_results=self._spool.results)
        self._failures = 0
        self.counters.delivered += sum(frame.results for frame in frames)
        return True

    async def _to_disk(self, frames: list[Frame]) -> None:
        results = sum(frame.results for frame in frames)
        try:
            await asyncio.to_thread(self._spool.append, frames)
        except OSError as error:
            self.counters.refused += results
            _log.error("the spool does not take results; they are lost", results=results, error=str(error))
        else:
            self.counters.spooled += results


def spool_folder(settings: Settings) -> Path:
    """Where the results of this probe wait: its name tells it from others on this machine."""
    return settings.data / "spool" / settings.probe


def kafka_emitter(settings: Settings) -> Emitter:
    """An emitter to the installation's Kafka, with its spool below the data folder."""
    spool = Spool(spool_folder(settings), settings.probe_spool_bytes)
    return Emitter(probe=settings.probe, region=settings.region, delivery=KafkaDelivery(settings), spool=spool)
