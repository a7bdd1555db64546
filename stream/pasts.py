"""What a correction reads: the stored results, what people decided, and what was told before.

What was told before is written down (stage 0 of the correction's row) before anything of the correction is written:
a worker that carries it out again must not take its own half-written outcome for the past.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from clickhouse_connect.driver.asyncclient import AsyncClient

from infra.settings import Settings
from infra.stored import incident_of
from schemas.enums import CorrectionKind
from schemas.events import (
    CheckResult,
    CorrectionOrdered,
    MaintenanceRevised,
    MonitorRevised,
    PolicyChange,
    StatusChange,
)
from stream import rows
from stream.folds.facts import OFFSET_MASK, History
from stream.folds.rewriting import Found, Past, Rewriting, standing
from stream.partition import Partition
from stream.patience import until_it_works
from stream.queries import query
from stream.sink import Sink

BLOCK_MS: Final = 6 * 3_600_000
"""Results of so much time are read at once."""
T = TypeVar("T")
_histories: Final = msgspec.json.Decoder(History)
_policies: Final = msgspec.json.Decoder(PolicyChange)
_details: Final = msgspec.json.Decoder(rows.Detail)


class Pasts:
    """Reads see every acknowledged write, on a cluster too."""

    def __init__(self, settings: Settings, client: AsyncClient, sink: Sink) -> None:
        self._client = client
        self._sink = sink
        clustered = settings.clickhouse_cluster is not None
        self._read: dict[str, Any] = {"select_sequential_consistency": 1} if clustered else {}

    async def read(
        self, partition: Partition, rewriting: Rewriting, version: int, order: CorrectionOrdered
    ) -> Past | None:
        """The past of a correction; None where its id was carried out before, by another event."""
        told = await self._told(rewriting, order)
        known = await self._rows("correction", _as_it_is, monitor=order.monitor, id=order.id)
        if known and known[0][0] & OFFSET_MASK != version & OFFSET_MASK:
            return None  # of the same event it is also one that broke off in the epoch before
        if known:
            told = _histories.decode(known[0][1])
        else:
            await self._sink.write(rows.of_correction(order, version, told))
        of_monitor = {"monitor": order.monitor}
        orders = await self._rows("past_orders", _order, **of_monitor, version=version, id=order.id)
        revisions = await self._rows("past_revisions", _revision, **of_monitor, revised=partition.revised)
        maintained = partition.fold.clock.maintained
        maintenances = await self._rows("past_maintenances", _maintenance, **of_monitor, maintained=maintained)
        return Past(told, [*orders, order], revisions, maintenances)

    async def results(
        self, rewriting: Rewriting, version: int, order: CorrectionOrdered, orders: Sequence[CorrectionOrdered]
    ) -> AsyncIterator[list[Found]]:
        """The stored results that the correction folds, in the order of their times, in blocks."""
        spans = [(one.since, one.until) for one in standing(orders) if one.kind is CorrectionKind.REPLAY]
        parameters = {
            "monitor": order.monitor,
            "too_late": OFFSET_MASK - (version & OFFSET_MASK),
            "spans": spans,
        }
        for since in range(rewriting.reads_since, rewriting.reads_until, BLOCK_MS):
            until = min(since + BLOCK_MS, rewriting.reads_until)
            block = await self._rows("past_results", _Found(order.monitor), **parameters, since=since, until=until)
            yield block

    async def _told(self, rewriting: Rewriting, order: CorrectionOrdered) -> History:
        of_monitor, since = {"monitor": order.monitor}, rewriting.reads_since
        incidents = await self._rows("past_incidents", incident_of, **of_monitor, since=since)
        changes = await self._rows("past_changes", _change, **of_monitor, since=since)
        spans = await self._rows("past_spans", tuple, **of_monitor, since=order.since, until=order.until)
        return History(tuple(incidents), tuple(changes), spans[0])

    async def _rows(self, name: str, parse: Callable[[Sequence[Any]], T], **parameters: Any) -> list[T]:
        async def attempt() -> list[T]:
            result = await self._client.query(query(name), parameters=parameters, settings=self._read)
            return [parse(row) for row in result.result_rows]

        return await until_it_works(name, attempt)


def _as_it_is(row: Sequence[Any]) -> Sequence[Any]:
    return row


def _change(row: Sequence[Any]) -> StatusChange:
    return msgspec.convert(dict(zip(CHANGE_FIELDS, row, strict=True)), StatusChange)


def _order(row: Sequence[Any]) -> CorrectionOrdered:
    values = dict(zip(ORDER_FIELDS, row, strict=True))
    return msgspec.convert(values | {"policy": _policies.decode(values["policy"])}, CorrectionOrdered)


def _revision(row: Sequence[Any]) -> MonitorRevised:
    return MonitorRevised(*row)


def _maintenance(row: Sequence[Any]) -> MaintenanceRevised:
    return MaintenanceRevised(*row)


class _Found:
    """Rows of a monitor's results."""

    def __init__(self, monitor: str) -> None:
        self._monitor = monitor

    def __call__(self, row: Sequence[Any]) -> Found:
        region, scheduled_at, delay_ms, *_, detail = row
        values = dict(zip(RESULT_FIELDS, row[3:-1], strict=True))
        told = _details.decode(detail) if detail else rows.Detail()
        values |= {"failures": told.failures, "components": told.components, "evidence": told.evidence}
        values |= {"monitor": self._monitor, "scheduled_at": scheduled_at, "started_at": scheduled_at + delay_ms}
        return region, msgspec.convert(values, CheckResult)


CHANGE_FIELDS: Final = (
    "monitor",
    "at",
    "version",
    "decided_at",
    "previous",
    "status",
    "reason",
    "message",
    "incident",
)
ORDER_FIELDS: Final = (
    "id",
    "monitor",
    "kind",
    "at",
    "since",
    "until",
    "by",
    "reason",
    "policy",
    "region",
    "undoes",
)
RESULT_FIELDS: Final = (
    "monitor_version",
    "outcome",
    "reason",
    "status_code",
    "dns_us",
    "connect_us",
    "tls_us",
    "ttfb_us",
    "transfer_us",
    "total_us",
    "overloaded",
    "message",
)
