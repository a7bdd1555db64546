"""Time, told to the log: silence is decided by ticks, so that a lagging stream is not mistaken for a silent probe."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from schemas.events import Tick, encode
from schemas.topics import CHECK_RESULTS
from stream import metrics
from stream.epochs import LogWentBack
from stream.outbox import Message, Outbox
from stream.worker import Worker

TICK_EVERY_S: Final = 5.0


class Ticker:
    """Sends a tick to every partition that this process owns: at once when it gets them, then every few seconds."""

    def __init__(self, outbox: Outbox, worker: Worker, assigned: Callable[[], set[int]]) -> None:
        self._outbox = outbox
        self._worker = worker
        self._assigned = assigned
        self._now = asyncio.Event()

    def now(self) -> None:
        """The partitions have changed: the first tick makes their states load."""
        self._now.set()

    async def run(self) -> None:
        """Tick until cancelled. Raises LogWentBack when a tick lands below what is folded already."""
        while True:
            await self.tick()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), TICK_EVERY_S)
            self._now.clear()

    async def tick(self) -> None:
        """One tick to each partition; its offset tells how far the log has come."""
        partitions = sorted(self._assigned())
        folded = {partition.number: partition for partition in self._worker.partitions}
        before = {number: partition.folded for number, partition in folded.items()}
        at = int(time.time() * 1000)
        value = encode(Tick(at))
        offsets = await self._outbox.send([Message(CHECK_RESULTS.name, None, value, p) for p in partitions])
        for number, offset in zip(partitions, offsets, strict=True):
            partition = folded.get(number)
            if partition is None:
                continue
            if offset <= before[number]:
                raise LogWentBack(number, offset, before[number])
            lag = max(0, offset - 1 - partition.folded)
            metrics.LAG.labels(number).set(lag)
            metrics.SECONDS_BEHIND.labels(number).set((at - partition.logged_at) / 1000 if lag else 0)
            metrics.MONITORS.labels(number).set(len(partition.fold.monitors))
            metrics.SNAPSHOT_AGE.labels(number).set(time.monotonic() - partition.saved_at)
