"""Where a worker goes on: epochs, positions and the monitors' states, kept in ClickHouse.

A version is `epoch << 48 | offset`. Positions belong to a log (Kafka's cluster id and the topic); states belong to
their monitors and outlive a log, so that an open incident survives the loss of Kafka's data.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.asyncclient import AsyncClient

from infra.settings import Settings
from stream.patience import until_it_works
from stream.queries import query
from stream.sink import Insert, Sink

OFFSET_BITS: Final = 48
OFFSET_MASK: Final = (1 << OFFSET_BITS) - 1
NOTHING_REVISED: Final = -1
BEFORE_THE_LOG: Final = -1
STATES_A_BLOCK: Final = 2_000
_BYTES: Final[dict[str, str | dict[str, str]]] = {"state": "bytes"}


def version_of(epoch: int, offset: int) -> int:
    """The version of what the event at `offset` makes; a later epoch's are all higher."""
    return epoch << OFFSET_BITS | offset


def version_before(epoch: int) -> int:
    """Above all versions of the epochs before, below all of this one: nothing of the log is durable yet."""
    return version_of(epoch, 0) - 1


@dataclass(frozen=True, slots=True)
class Epoch:
    """From one moment on: which log, folded by which rules, its states in which shape, in how many partitions."""

    number: int
    log: str
    rules: int
    shape: int
    partitions: int


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to `version` of a partition is durable.

    `revised`: the newest version of a monitor that the partition's log was told of (NOTHING_REVISED: none);
    `logged_at`: when Kafka got the event, milliseconds.
    """

    partition: int
    version: int
    revised: int
    logged_at: int
    state: bytes = b""
    """What the fold knows of the partition itself."""

    @property
    def offset(self) -> int:
        """The offset of the newest durable event, BEFORE_THE_LOG where there is none."""
        offset = self.version & OFFSET_MASK
        return BEFORE_THE_LOG if offset == OFFSET_MASK else offset


@dataclass(frozen=True, slots=True)
class MonitorState:
    """A monitor's state after the event at `version`."""

    partition: int
    monitor: str
    version: int
    state: bytes


class Snapshots:
    """Reads see every acknowledged write, on a cluster too."""

    def __init__(self, settings: Settings, client: AsyncClient, sink: Sink) -> None:
        self._client = client
        self._sink = sink
        clustered = settings.clickhouse_cluster is not None
        self._read: dict[str, Any] = {"select_sequential_consistency": 1} if clustered else {}

    async def newest_epoch(self) -> Epoch | None:
        """The epoch that holds now; None in a new store."""
        rows = await self._rows("newest_epoch", {})
        return Epoch(*rows[0]) if rows else None

    async def begin_epoch(self, epoch: Epoch, reason: str) -> None:
        """Two workers that begin the same epoch write the same row."""
        row = (epoch.number, epoch.log, epoch.rules, epoch.shape, epoch.partitions, reason)
        names = ("epoch", "log", "rules", "shape", "partitions", "reason")
        await self._sink.write(Insert.of_rows("stream_epochs", names, [row]))

    async def position(self, log: str, partition: int) -> Position | None:
        """The newest position of a partition; None where nothing of it is durable."""
        rows = await self._rows("position", {"log": log, "partition": partition})
        return Position(partition, *rows[0]) if rows else None

    async def positions(self, log: str) -> list[Position]:
        """The newest position of every partition that has one."""
        return [Position(*row) for row in await self._rows("positions", {"log": log})]

    async def states(self, partition: int) -> AsyncIterator[list[tuple[str, bytes]]]:
        """The newest (monitor, state) of every monitor of a partition, in blocks."""
        stream = await self._client.query_row_block_stream(
            query("states"),
            parameters={"partition": partition},
            settings=self._read | {"max_block_size": STATES_A_BLOCK},
            column_formats=_BYTES,
        )
        async with stream:
            async for block in stream:
                yield list(block)

    async def _rows(self, name: str, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
        async def attempt() -> Sequence[Sequence[Any]]:
            result = await self._client.query(
                query(name), parameters=parameters, settings=self._read, column_formats=_BYTES
            )
            return result.result_rows

        return await until_it_works(name, attempt)

    async def save_states(self, states: Iterable[MonitorState]) -> None:
        """Write them, until it works."""
        rows = ((s.partition, s.monitor, s.version, s.state) for s in states)
        await self._sink.write(Insert.of_rows("stream_state", ("partition", "monitor", "version", "state"), rows))

    async def save_positions(self, log: str, positions: Iterable[Position], reason: str = "") -> None:
        """Write them, until it works; what they stand for must be durable already."""
        rows = ((log, p.partition, p.version, p.revised, p.logged_at, p.state, reason) for p in positions)
        names = ("log", "partition", "version", "revised", "logged_at", "state", "reason")
        await self._sink.write(Insert.of_rows("stream_positions", names, rows))
