"""How far the stream is behind: the broker's end of the log against what is durable."""

import time
from dataclasses import asdict, dataclass

from infra.clickhouse import open_client
from infra.settings import Settings
from stream.epochs import identify_log
from stream.offsets import log_bounds
from stream.sink import Sink
from stream.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class Lag:
    """A partition: the offset that comes next, the newest durable one (-1: none), and the age of that event."""

    partition: int
    end: int
    durable: int
    seconds_behind: float | None

    @property
    def events_behind(self) -> int:
        """Events in the log that a restart would fold again; a snapshot every few seconds takes them away."""
        return self.end - 1 - self.durable

    def to_json(self) -> dict[str, object]:
        """As `pulse lag --json` prints it."""
        return asdict(self) | {"events_behind": self.events_behind}


async def measure_lag(settings: Settings) -> list[Lag]:
    """The lag of every partition. Raises KafkaError and clickhouse-connect's errors."""
    log, bounds = await identify_log(settings), await log_bounds(settings)
    async with open_client(settings) as client:
        snapshots = Snapshots(settings, client, await Sink.open(settings, client))
        known = {position.partition: position for position in await snapshots.positions(log)}
    now = time.time()
    lags = []
    for partition, (_, end) in bounds.items():
        position = known.get(partition)
        durable = position.offset if position else -1
        age = now - position.logged_at / 1000 if position else None
        lags.append(Lag(partition, end, durable, age if end - 1 > durable else 0.0))
    return lags
