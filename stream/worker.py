"""Folds what the log brings, makes it durable, and then says what may be acknowledged.

Two tasks share the pending facts. `take` folds; `write` makes durable, in this order: status changes and incidents,
their events in Kafka, the rest of the rows, the monitors' states, the position, and only then the acknowledgement.
A worker that has lost a partition can only write what its heir writes too, so nothing has to fence it off.
"""

import asyncio
import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic, perf_counter
from typing import Final, Protocol

from infra.logs import get_logger
from schemas.events import CheckBatch, CorrectionOrdered, DeadLetter, MaintenanceRevised, MonitorRevised
from stream import dead_letters, metrics
from stream.dead_letters import LogRecord, read_event, without_unknown_monitors
from stream.epochs import MissingEvents, ShorterLog
from stream.folds import FoldedEvent, PartitionFold
from stream.folds.rewriting import Rewriting
from stream.outbox import Outbox
from stream.partition import Cut, Delivery, Partition
from stream.pasts import Pasts
from stream.patience import until_it_works
from stream.pending import Pending
from stream.sink import Sink
from stream.snapshots import Epoch, Snapshots, version_before
from stream.terms import MonitorTerms

SNAPSHOT_EVERY_S: Final = 10.0
SNAPSHOT_EVERY_BYTES: Final = 64 << 20
STATES_A_CUT: Final = 20_000
WRITE_POLL_S: Final = 1.0
REWIND_AGAIN_S: Final = 5.0
"""Faust forgets to go back where it hands over a record just then, and drops what comes from then on."""
CORRECTED_AT_ONCE: Final = 500
"""Results that a correction folds in one turn."""
_log = get_logger(__name__)


class Log(Protocol):
    """What the worker asks of Kafka's consumer."""

    async def epoch(self) -> Epoch:
        """Settle which epoch holds. Raises LogMismatch."""

    async def bounds(self, partition: int) -> tuple[int, int]:
        """The first offset of the partition's log, and the one that comes next."""

    async def rewind(self, partition: int, offset: int) -> None:
        """Deliver from `offset` on."""

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Their offsets may be committed."""


class Worker:
    """The partitions that one process owns now."""

    def __init__(
        self, log: Log, snapshots: Snapshots, sink: Sink, outbox: Outbox, terms: MonitorTerms, pasts: Pasts
    ) -> None:
        self._log = log
        self._snapshots = snapshots
        self._sink = sink
        self._outbox = outbox
        self._terms = terms
        self._pasts = pasts
        self._pending = Pending()
        self._partitions: dict[int, Partition] = {}
        self._epoch: Epoch | None = None
        self._closing = False
        self._correcting: asyncio.Task[None] | None = None
        """The last correction, which may still be under way."""
        self._due = asyncio.Event()
        self._writing = asyncio.Lock()
        self._written = asyncio.Condition()

    @property
    def partitions(self) -> list[Partition]:
        """Those whose state is loaded."""
        return list(self._partitions.values())

    def forget(self) -> None:
        """Partitions come and go: states are loaded again, at the first event of each."""
        self._partitions = {}
        self._epoch = None
        for gauge in metrics.OF_PARTITIONS:
            gauge.clear()

    async def take(self, deliveries: Iterable[Delivery]) -> None:
        """Fold these, no faster than they are written. Raises LogMismatch."""
        owned = self._partitions
        for delivery in deliveries:
            partition = await self._loaded(delivery.record.partition)
            if self._partitions is not owned:
                return  # what is left comes again, to whom it belongs now
            await self._fold(partition, delivery)
            if self._pending.urgent:
                self._due.set()
            await self._room()

    async def _room(self) -> None:
        """Let others have their turn, and wait while writing does not keep up."""
        await asyncio.sleep(0)
        if self._pending.full:
            async with self._written:
                await self._written.wait_for(lambda: not self._pending.full)

    async def write_forever(self) -> None:
        """Make durable what is due, until `close`; a round that has begun is never cut short."""
        while not self._closing:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), self._pending.wait_s(WRITE_POLL_S))
            self._due.clear()
            await self.write()

    async def close(self, writing: "asyncio.Task[None]") -> None:
        """Let what is under way end, then make all of it durable, so that the next start has nothing to repeat."""
        self._closing = True
        self._due.set()
        await writing
        if self._correcting is not None:
            await self._correcting
        await self.write(everything=True)

    async def write(self, everything: bool = False) -> None:
        """Make durable what is due, or all there is; one round after the other."""
        async with self._writing:
            await self._write(everything)

    async def _write(self, everything: bool) -> None:
        cuts = self._cuts(everything)
        batch = self._pending.take(everything=bool(cuts))
        await self._sink.write(*batch.urgent)
        batch.observe_visible()
        await self._outbox.send(batch.messages)
        await self._sink.write(*batch.others)
        await self._sink.write(*batch.last)
        if cuts:
            await self._save(cuts)
        async with self._written:
            self._written.notify_all()

    def _cuts(self, everything: bool) -> list[Cut]:
        """Cuts of the partitions whose snapshot is due, oldest first; the many states of a big one go alone."""
        now = monotonic()
        unsaved = sorted((p for p in self.partitions if p.unsaved), key=lambda p: p.saved_at)
        enough = sum(p.unsaved_bytes for p in unsaved) >= SNAPSHOT_EVERY_BYTES
        if not (everything or enough or (unsaved and now - unsaved[0].saved_at >= SNAPSHOT_EVERY_S)):
            return []
        cuts: list[Cut] = []
        for partition in unsaved:
            cuts.append(partition.cut())
            if sum(len(cut.states) for cut in cuts) >= STATES_A_CUT and not everything:
                break
        return cuts

    async def _save(self, cuts: list[Cut]) -> None:
        await self._snapshots.save_states(state for cut in cuts for state in cut.states)
        log = cuts[0].partition.epoch.log
        await self._snapshots.save_positions(log, [cut.position for cut in cuts])
        for cut in cuts:
            if self._owns(cut.partition):
                await self._log.acknowledge(cut.deliveries)

    def _owns(self, partition: Partition) -> bool:
        return self._partitions.get(partition.number) is partition

    async def _fold(self, partition: Partition, delivery: Delivery) -> None:
        record = delivery.record
        if record.offset <= partition.folded:
            partition.hold(delivery)
            return
        if record.offset > partition.folded + 1:
            await self._rewind(partition)
            return
        started = perf_counter()
        event, letters = read_event(record)
        if isinstance(event, CorrectionOrdered):
            # A task of its own: a shutdown that ends the agent must not cut short what it writes.
            self._correcting = asyncio.create_task(self._correct(partition, delivery, event))
            await asyncio.shield(self._correcting)
        elif (more := await self._take_in(partition, record, event)) is None:
            return
        else:
            self._pending.add_messages(dead_letters.messages_of([*letters, *more]))
            partition.advance(delivery)
        metrics.FOLD_SECONDS.inc(perf_counter() - started)

    async def _take_in(
        self, partition: Partition, record: LogRecord, event: FoldedEvent | None
    ) -> list[DeadLetter] | None:
        """Fold an event; returns what it could not use, None where the partition was taken away meanwhile."""
        letters: list[DeadLetter] = []
        if event is None or partition.knows(event):
            return letters
        if missing := partition.fold.missing_terms(event):
            lost = await self._terms.find(missing)
            if not self._owns(partition):
                return None
            unknown = {monitor for monitor, _ in lost if not self._terms.knows(monitor)}
            event, letters = without_unknown_monitors(record, event, unknown)
            metrics.LOST_VERSIONS.inc(sum(monitor not in unknown for monitor, _ in lost))
        facts = partition.fold.fold(partition.version(record.offset), event)
        self._pending.add(facts, event.sent_at if isinstance(event, CheckBatch) else None)
        _note(partition, event)
        return letters

    async def _correct(self, partition: Partition, delivery: Delivery, order: CorrectionOrdered) -> None:
        version = partition.version(delivery.record.offset)
        rewriting = await self._rewritten(partition, version, order)
        if not self._owns(partition):
            return
        if rewriting is not None:
            self._pending.add(rewriting.finish(), None)
        partition.advance(delivery)

    async def _rewritten(self, partition: Partition, version: int, order: CorrectionOrdered) -> Rewriting | None:
        """A monitor folded anew; None where there is nothing to correct.

        All that was folded before is made durable first: what a correction reads has to be there.
        """
        if not partition.fold.is_before(order.monitor, version):
            return None
        await self.write(everything=True)
        rewriting = Rewriting(partition.fold, version, order)
        past = await self._pasts.read(partition, rewriting, version, order)
        if past is None:
            return None
        rewriting.begin(past)
        async for found in self._pasts.results(rewriting, version, order, past.orders):
            await self._terms.find({(order.monitor, result.monitor_version) for _, result in found})
            for start in range(0, len(found), CORRECTED_AT_ONCE):
                rewriting.feed(found[start : start + CORRECTED_AT_ONCE])
                await asyncio.sleep(0)
        return rewriting

    async def _rewind(self, partition: Partition) -> None:
        """What comes next is not what was delivered: have the log go back to it, and drop the rest meanwhile."""
        if partition.rewound_at is not None and monotonic() - partition.rewound_at < REWIND_AGAIN_S:
            return
        wanted = partition.folded + 1
        first, _ = await until_it_works("ask where the log begins", lambda: self._log.bounds(partition.number))
        if first > wanted:
            raise MissingEvents(partition.number, wanted, first)
        partition.rewound_at = monotonic()
        _log.info("the log goes back to what comes next", partition=partition.number, offset=wanted)
        await self._log.rewind(partition.number, wanted)

    async def _loaded(self, number: int) -> Partition:
        while number not in self._partitions:
            partitions = self._partitions
            partition = await until_it_works("load a snapshot", lambda: self._load(number))
            if partitions is self._partitions:
                self._partitions[number] = partition
        return self._partitions[number]

    async def _load(self, number: int) -> Partition:
        started = perf_counter()
        epoch = self._epoch = self._epoch or await self._log.epoch()
        position = await self._snapshots.position(epoch.log, number)
        _, end = await self._log.bounds(number)
        if position is not None and end < position.offset + 1:
            raise ShorterLog(position, end)
        fold = PartitionFold(self._terms.get)
        with _without_collecting():
            async for block in self._snapshots.states(number):
                for monitor, state in block:
                    fold.load(monitor, state)
        if position is None or not position.state:
            fold.begin_log(version_before(epoch.number))
        seconds = round(perf_counter() - started, 3)
        _log.info("snapshot loaded", partition=number, monitors=len(fold.monitors), seconds=seconds)
        return Partition(number, epoch, position, end, fold)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """States live long: looking for cycles among them would take half of the time that loading takes."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _note(partition: Partition, event: FoldedEvent) -> None:
    metrics.EVENTS.inc()
    if isinstance(event, CheckBatch):
        metrics.RESULTS.inc(len(event.results))
    elif isinstance(event, MonitorRevised):
        partition.revised = max(partition.revised, event.version)
        partition.told = max(partition.told, event.version)
    elif isinstance(event, MaintenanceRevised):
        partition.told_maintenance = max(partition.told_maintenance, event.version - 1)
