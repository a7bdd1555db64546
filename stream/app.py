"""The Faust app: one agent takes what the consumer group brings, and hands it to the worker.

The process is the unit of failure: what cannot go on leaves with an exit code, and the supervisor starts it again.
"""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from enum import IntEnum
from typing import Any, Final, NoReturn, TypeVar

import faust
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError
from faust.types import TP

from infra.clickhouse import open_client
from infra.kafka import connection_options, open_consumer
from infra.logs import configure_logs, get_logger
from infra.metrics import serve_metrics
from infra.quiet import quieten
from infra.settings import Settings
from schemas.topics import CHECK_RESULTS
from stream.audit import Audit
from stream.dead_letters import LogRecord
from stream.epochs import LogMismatch, first_epoch, identify_log, settle_epoch
from stream.maintenances import Maintenances
from stream.outbox import Outbox
from stream.partition import Delivery
from stream.pasts import Pasts
from stream.patience import until_it_works
from stream.revisions import Forwarder
from stream.sink import Sink
from stream.snapshots import Epoch, Snapshots
from stream.terms import MonitorTerms
from stream.ticks import Ticker
from stream.worker import Worker

GROUP: Final = "pulse-stream"
TAKE: Final = 200
TAKE_WITHIN_S: Final = 0.1
STOP_WITHIN_S: Final = 8.0
LAST_WRITE_WITHIN_S: Final = 5.0
CRASH_POLL_S: Final = 1.0
COLLECT_GARBAGE_AFTER: Final = 20_000
"""Objects. States live long and have no rings of references; by default Python looks for them every 700 objects."""
T = TypeVar("T")
_log = get_logger(__name__)


class ExitCode(IntEnum):
    """Why the process left."""

    CANNOT_GO_ON = 70
    LOG_MISMATCH = 71
    STOP_HUNG = 75


def leave(code: ExitCode, message: str) -> NoReturn:
    """Leave at once; everything that is not acknowledged comes again."""
    _log.error(message, exit_code=int(code))
    os._exit(code)


def build_app(settings: Settings) -> faust.App:
    """The app with its one agent; nothing is connected yet."""
    folder = settings.data / "stream"  # Faust makes one, although it keeps nothing there
    folder.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        GROUP,
        broker=[f"kafka://{server}" for server in str(connection_options(settings)["bootstrap_servers"]).split(",")],
        broker_credentials=_credentials(settings),
        consumer_group_instance_id=settings.stream,
        store="memory://",
        datadir=folder,
        key_serializer="raw",
        value_serializer="raw",
        stream_wait_empty=False,
        stream_buffer_maxsize=1_024,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        worker_redirect_stdouts=False,
        producer_threaded=False,
        broker_commit_interval=1.0,
        broker_max_poll_interval=30 * 86_400.0,
        broker_session_timeout=10,
        broker_heartbeat_interval=1,
        broker_rebalance_timeout=10,
        broker_request_timeout=20,
        broker_commit_livelock_soft_timeout=30 * 86_400.0,
        consumer_metadata_max_age_ms=5_000,
        autodiscover=False,
    )
    topic = app.topic(CHECK_RESULTS.name, key_serializer="raw", value_serializer="raw")

    @app.agent(topic, concurrency=1)  # type: ignore[untyped-decorator]
    async def fold_results(stream: Any) -> None:
        try:
            await _process(settings, app, stream)
        except LogMismatch as error:
            leave(ExitCode.LOG_MISMATCH, str(error))
        except Exception as error:
            _log.exception("the worker failed")
            leave(ExitCode.CANNOT_GO_ON, f"the worker failed: {error!r}")

    return app


async def _process(settings: Settings, app: faust.App, stream: Any) -> None:
    async with _open_worker(settings, app, stream) as worker:
        async for events in stream.noack_take(TAKE, within=TAKE_WITHIN_S):
            # A buffer outlives a rebalance: what was fetched before it comes again, to whom it belongs now.
            assigned, generation = _assigned(app), app.consumer_generation_id
            await worker.take(
                [
                    delivery_of(event)
                    for event in events
                    if event.message.generation_id == generation and event.message.partition in assigned
                ]
            )


def delivery_of(event: Any) -> Delivery:
    """What Faust hands over, as the worker takes it; a record without a value is one of no bytes."""
    message = event.message
    record = LogRecord(message.partition, message.offset, round(message.timestamp * 1000), event.value or b"")
    return Delivery(record, event)


@asynccontextmanager
async def _open_worker(settings: Settings, app: faust.App, stream: Any) -> AsyncIterator[Worker]:
    async with (
        serve_metrics(settings.metrics_host, settings.stream_metrics_port, "PULSE_STREAM_METRICS_PORT"),
        AsyncExitStack() as engines,
    ):
        client = await _enter(engines, "connect to ClickHouse", lambda: open_client(settings))
        outbox = await _enter(engines, "connect to Kafka", lambda: Outbox.open(settings))
        bounds = await _enter(engines, "connect to Kafka", lambda: open_consumer(settings))
        sink = await Sink.open(settings, client)
        snapshots = Snapshots(settings, client, sink)
        terms = MonitorTerms(settings, client)
        maintenances = Maintenances(settings, terms.changed)
        log = FaustLog(settings, app, stream, snapshots, bounds)
        worker = Worker(log, snapshots, sink, outbox, terms, Pasts(settings, client, sink))
        ticker = Ticker(outbox, worker, lambda: _assigned(app))
        forwarder = Forwarder(worker, terms, maintenances, sink, outbox, settings.partitions)
        audit = Audit(settings, sink)
        _forget_on_rebalance(app, worker, ticker)
        writing = _guarded(worker.write_forever())
        following = (terms.run(), maintenances.run(), audit.run())
        tasks = [_guarded(work) for work in (*following, ticker.run(), forwarder.run(), _watch(app))]
        try:
            yield worker
        finally:
            for task in tasks:
                task.cancel()
            with suppress(TimeoutError):  # then nothing is lost, only folded again
                await asyncio.wait_for(worker.close(writing), LAST_WRITE_WITHIN_S)


async def _enter(stack: AsyncExitStack, what: str, opened: Callable[[], AbstractAsyncContextManager[T]]) -> T:
    return await until_it_works(what, lambda: stack.enter_async_context(opened()))


def _forget_on_rebalance(app: faust.App, worker: Worker, ticker: Ticker) -> None:
    @app.on_partitions_revoked.connect(weak=False)  # type: ignore[untyped-decorator]
    async def revoked(*_: Any, **__: Any) -> None:
        worker.forget()

    @app.on_partitions_assigned.connect(weak=False)  # type: ignore[untyped-decorator]
    async def assigned(*_: Any, **__: Any) -> None:
        worker.forget()
        ticker.now()


def _guarded(work: Any) -> "asyncio.Task[None]":
    async def run() -> None:
        try:
            await work
        except LogMismatch as error:
            leave(ExitCode.LOG_MISMATCH, str(error))
        except Exception as error:
            _log.exception("the worker failed")
            leave(ExitCode.CANNOT_GO_ON, f"the worker failed: {error!r}")

    return asyncio.create_task(run())


async def _watch(app: faust.App) -> None:
    """Faust's own services fail beside the agent; a crashed app would go on looking alive."""
    while not app.crashed:  # noqa: ASYNC110 - Faust has no event for it
        await asyncio.sleep(CRASH_POLL_S)
    leave(ExitCode.CANNOT_GO_ON, f"Faust failed: {app.crash_reason!r}")


def _assigned(app: faust.App) -> set[int]:
    return {tp.partition for tp in app.consumer.assignment() if tp.topic == CHECK_RESULTS.name}


class FaustLog:
    """The log as Faust's consumer brings it."""

    def __init__(
        self, settings: Settings, app: faust.App, stream: Any, snapshots: Snapshots, bounds: AIOKafkaConsumer
    ) -> None:
        """`bounds` has a connection of its own: questions on Faust's would wait behind its long polls."""
        self._settings = settings
        self._bounds = bounds
        self._app = app
        self._stream = stream
        self._snapshots = snapshots

    async def epoch(self) -> Epoch:
        """Asked of Kafka and ClickHouse each time: both may have been replaced while the worker ran."""
        log = await identify_log(self._settings)
        return await settle_epoch(self._snapshots, first_epoch(log, self._settings.partitions))

    async def bounds(self, partition: int) -> tuple[int, int]:
        """The first offset of the partition's log, and the one that comes next."""
        tp = TopicPartition(CHECK_RESULTS.name, partition)
        first = await self._bounds.beginning_offsets([tp])
        after = await self._bounds.end_offsets([tp])
        return first[tp], after[tp]

    async def rewind(self, partition: int, offset: int) -> None:
        """Deliver from `offset` on; nothing to do for a partition that was taken away meanwhile."""
        try:
            await self._app.consumer.seek(TP(CHECK_RESULTS.name, partition), offset)
        except IllegalStateError:
            _log.info("the partition was taken away", partition=partition)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Faust commits what is acknowledged without a gap, once a second."""
        for delivery in deliveries:
            await self._stream.ack(delivery.event)


class StreamWorker(faust.Worker):  # type: ignore[misc]
    """Stops on SIGTERM, and never hangs while it does."""

    def _schedule_shutdown(self, signal: Any) -> None:
        timer = threading.Timer(STOP_WITHIN_S, os._exit, (int(ExitCode.STOP_HUNG),))
        timer.daemon = True
        timer.start()
        super()._schedule_shutdown(signal)


def run_worker(settings: Settings) -> None:
    """Run a stream worker in this process until it is told to stop."""
    configure_logs("stream", settings.log_level)
    quieten("aiokafka")
    gc.set_threshold(COLLECT_GARBAGE_AFTER)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # Faust's consumer has a loop and a thread of its own
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = StreamWorker(build_app(settings), loglevel="warning", quiet=True, override_logging=False, loop=loop)
    worker.spinner = None  # it writes to the terminal, even where there is none
    worker.execute_from_commandline()


def _credentials(settings: Settings) -> Any:
    options = connection_options(settings)
    if settings.kafka_security == "SSL":
        return faust.SSLCredentials(options["ssl_context"])
    if settings.kafka_security.startswith("SASL"):
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=options.get("ssl_context"),
        )
    return None
