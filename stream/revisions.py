"""Passes the records of `monitors` on: to ClickHouse, which keeps every version, and to the partition's own log.

The owner of a partition of `check-results` does it for the same partition of `monitors`, so that a pause or a
deletion has a place in the order of the results. At least once: the fold ignores what it knows.
"""

import asyncio
from contextlib import suppress
from typing import Final

from schemas.events import MonitorRevised, encode
from schemas.topics import CHECK_RESULTS
from stream.outbox import Message, Outbox
from stream.partition import Partition
from stream.sink import Insert, Sink
from stream.terms import MonitorTerms, Revision
from stream.worker import Worker

LOADED_POLL_S: Final = 1.0
"""How soon a partition that was loaded meanwhile is told what it missed."""
AT_ONCE: Final = 1_000


class Forwarder:
    """Follows what `monitors` brings for the partitions whose states are loaded."""

    def __init__(self, worker: Worker, terms: MonitorTerms, sink: Sink, outbox: Outbox) -> None:
        self._worker = worker
        self._terms = terms
        self._sink = sink
        self._outbox = outbox

    async def run(self) -> None:
        """Pass on until cancelled."""
        await self._terms.caught_up()
        while True:
            for partition in self._worker.partitions:
                await self.forward(partition)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._terms.changed.wait(), LOADED_POLL_S)
            self._terms.changed.clear()

    async def forward(self, partition: Partition) -> None:
        """Everything that the partition's log has not been told yet, oldest first."""
        while revisions := self._terms.revisions(partition.number, partition.told)[:AT_ONCE]:
            # ClickHouse first: what the log was told of is never looked at again.
            await self._sink.write(_versions(revisions))
            await self._outbox.send([_message(partition, revision) for revision in revisions])
            partition.told = max(partition.told, revisions[-1].version)
            self._terms.forget_revisions(partition.number, partition.told)


def _versions(revisions: list[Revision]) -> Insert:
    rows = ((r.monitor, r.version, r.at, r.by, r.document) for r in revisions)
    return Insert.of_rows("monitor_versions", ("monitor", "version", "at", "by", "document"), rows)


def _message(partition: Partition, revision: Revision) -> Message:
    event = MonitorRevised(revision.monitor, revision.version, revision.at, revision.state)
    return Message(CHECK_RESULTS.name, revision.monitor, encode(event), partition.number)
