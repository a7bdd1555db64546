"""Inserts into ClickHouse that are tried until they work.

Every row is absolute and versioned, so that an insert whose answer was lost is simply sent again.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.asyncclient import AsyncClient

from infra.settings import Settings
from stream import metrics
from stream.patience import until_it_works

ColumnTypes = dict[str, dict[str, ClickHouseType]]
"""By table, by column."""


class TablesMissing(RuntimeError):
    """The database lacks what the stream writes."""

    def __init__(self, table: str) -> None:
        super().__init__(f"ClickHouse has no table {table}: run `pulse migrate`, then start the worker again.")


@dataclass(frozen=True, slots=True)
class Insert:
    """Columns of equal length for a table."""

    table: str
    names: Sequence[str]
    columns: Sequence[Sequence[Any]]

    @classmethod
    def of_rows(cls, table: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> "Insert":
        """The same from rows."""
        return cls(table, names, [*zip(*rows, strict=True)])

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0


class Sink:
    """Writes columns into tables; a write returns when ClickHouse has acknowledged it."""

    def __init__(self, settings: Settings, client: AsyncClient, types: ColumnTypes) -> None:
        self._client = client
        self._types = types
        self._settings: dict[str, Any] = {"insert_quorum": "auto"} if settings.clickhouse_cluster else {}

    @classmethod
    async def open(cls, settings: Settings, client: AsyncClient) -> "Sink":
        """Learn the columns' types once, so that no insert has to ask for them."""
        rows = await client.query("SELECT table, name, type FROM system.columns WHERE database = currentDatabase()")
        types: ColumnTypes = {}
        for table, name, kind in rows.result_rows:
            types.setdefault(table, {})[name] = get_from_name(_as_sent(kind))
        return cls(settings, client, types)

    async def write(self, *inserts: Insert) -> None:
        """Write them side by side, each until it works; empty ones are nothing to do.

        Raises TablesMissing, and what clickhouse-connect raises for values that a column cannot hold.
        """
        await asyncio.gather(*(self._write(insert) for insert in inserts if len(insert)))

    async def _write(self, insert: Insert) -> None:
        with metrics.INSERT_SECONDS.labels(insert.table).time():
            await until_it_works(f"insert into {insert.table}", lambda: self._attempt(insert))
        metrics.INSERTED.labels(insert.table).inc(len(insert))

    async def _attempt(self, insert: Insert) -> None:
        types = self._types.get(insert.table)
        if types is None:
            raise TablesMissing(insert.table)
        await self._client.insert(
            insert.table,
            insert.columns,
            column_names=insert.names,
            column_types=[types[name] for name in insert.names],
            column_oriented=True,
            settings=self._settings,
        )


def _as_sent(kind: str) -> str:
    """ClickHouse casts what it is sent; a dictionary built here costs more than the bytes it saves."""
    return "String" if kind == "LowCardinality(String)" else kind
