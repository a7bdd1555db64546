"""The usual Faust agent, to compare with: a message a result, folded as it comes, inserted every 1,000 or 100 ms."""

import time
from typing import Any, Final

import faust

from infra.clickhouse import open_client
from infra.settings import get_settings
from schemas.events import decode_log
from stream.folds import PartitionFold, Terms
from stream.pending import Pending
from stream.sink import Sink
from tests.benchmarks.ingest import ROWS, SINGLE_TOPIC

WITHIN_S: Final = 0.1
settings = get_settings()
app = faust.App(
    "single",
    broker=f"kafka://{settings.kafka}",
    store="memory://",
    datadir=settings.data,
    value_serializer="raw",
    topic_disable_leader=True,
    topic_allow_declare=False,
    web_enabled=False,
)


@app.agent(app.topic(SINGLE_TOPIC, value_serializer="raw"))  # type: ignore[untyped-decorator]
async def fold_each(stream: Any) -> None:
    """Fold every message by itself."""
    terms = Terms()
    folds: dict[int, PartitionFold] = {}
    async with open_client(settings) as client:
        sink, pending, waiting, written_at = await Sink.open(settings, client), Pending(), 0, 0.0
        async for event in stream.events():
            message = event.message
            fold = folds.setdefault(message.partition, PartitionFold(lambda *_: terms))
            pending.add(fold.fold(1 << 48 | message.offset, decode_log(event.value)), None)
            waiting += 1
            if waiting >= ROWS or time.monotonic() - written_at >= WITHIN_S:
                batch, waiting = pending.take(everything=True), 0
                await sink.write(*batch.urgent, *batch.others)
                written_at = time.monotonic()


if __name__ == "__main__":
    faust.Worker(app, loglevel="error", quiet=True).execute_from_commandline()
