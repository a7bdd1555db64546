"""Passes the records of `monitors` and `maintenances` on: to ClickHouse, which keeps every version, and to the log.

The owner of a partition of `check-results` does it for the monitors of that partition, so that a pause, a deletion or
a maintenance has a place in the order of the results. At least once: a partition ignores what it knows.
"""

import asyncio
from contextlib import suppress
from typing import Final

from infra.kafka import partition_of
from schemas.events import MaintenanceRevised, MonitorRevised, encode
from schemas.topics import CHECK_RESULTS
from stream.maintenances import Maintenances, Plan
from stream.monitor_records import Revision
from stream.outbox import Message, Outbox
from stream.partition import Partition
from stream.sink import Insert, Sink
from stream.terms import MonitorTerms
from stream.worker import Worker

LOADED_POLL_S: Final = 1.0
"""How soon a partition that was loaded meanwhile is told what it missed."""
AT_ONCE: Final = 1_000


class Forwarder:
    """Follows what `monitors` and `maintenances` bring for the partitions whose states are loaded."""

    def __init__(
        self, worker: Worker, terms: MonitorTerms, maintenances: Maintenances, sink: Sink, outbox: Outbox, count: int
    ) -> None:
        """`count`: how many partitions there are in all."""
        self._worker = worker
        self._terms = terms
        self._maintenances = maintenances
        self._sink = sink
        self._outbox = outbox
        self._count = count

    async def run(self) -> None:
        """Pass on until cancelled."""
        await self._terms.caught_up()
        await self._maintenances.caught_up()
        while True:
            for partition in self._worker.partitions:
                await self.forward(partition)
                await self.forward_maintenances(partition)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._terms.changed.wait(), LOADED_POLL_S)
            self._terms.changed.clear()

    async def forward(self, partition: Partition) -> None:
        """Everything of `monitors` that the partition's log has not been told yet, oldest first."""
        while revisions := self._terms.revisions(partition.number, partition.told)[:AT_ONCE]:
            # ClickHouse first: what the log was told of is never looked at again.
            await self._sink.write(_versions(revisions))
            await self._outbox.send([_message(partition, revision) for revision in revisions])
            partition.told = max(partition.told, revisions[-1].version)

    async def forward_maintenances(self, partition: Partition) -> None:
        """The same of `maintenances`, once the fold knows who is in one: a monitor left out is told so."""
        if not partition.is_caught_up:
            return
        for plan in self._maintenances.after(partition.told_maintenance):
            holders = partition.fold.monitors_in(plan.id)
            concerned = [*plan.monitors, *(plan.left_out | holders) - plan.monitors]
            events = [_maintenance(plan, name) for name in sorted(concerned) if self._is_of(partition, name)]
            await self._sink.write(_windows(plan, events))
            await self._outbox.send([_told(partition, event) for event in events])
            partition.told_maintenance = plan.version

    def _is_of(self, partition: Partition, monitor: str) -> bool:
        return partition_of(monitor, self._count) == partition.number


def _versions(revisions: list[Revision]) -> Insert:
    rows = ((r.monitor, r.version, r.at, r.by, r.document) for r in revisions)
    return Insert.of_rows("monitor_versions", ("monitor", "version", "at", "by", "document"), rows)


def _message(partition: Partition, revision: Revision) -> Message:
    return _told(partition, MonitorRevised(revision.monitor, revision.version, revision.at, revision.state))


def _maintenance(plan: Plan, monitor: str) -> MaintenanceRevised:
    ends_at = plan.ends_at if monitor in plan.monitors else plan.starts_at
    return MaintenanceRevised(plan.id, monitor, plan.at, plan.starts_at, ends_at, plan.version)


def _windows(plan: Plan, events: list[MaintenanceRevised]) -> Insert:
    names = ("monitor", "maintenance", "version", "at", "starts_at", "ends_at", "by", "document")
    rows = ((e.monitor, e.id, e.version, e.at, e.starts_at, e.ends_at, plan.by, plan.document) for e in events)
    return Insert.of_rows("maintenance_windows", names, rows)


def _told(partition: Partition, event: MonitorRevised | MaintenanceRevised) -> Message:
    return Message(CHECK_RESULTS.name, event.monitor, encode(event), partition.number)
