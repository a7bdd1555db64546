"""Which log is folded by which rules: what a worker settles before it folds anything.

A log's identity is Kafka's cluster id and the topic. Another log under an existing store, or a log that is shorter
than what is stored, stops the worker: going on would skip results in silence.
"""

from dataclasses import replace

from aiokafka.admin import AIOKafkaAdminClient

from infra.kafka import connection_options
from infra.settings import Settings
from schemas.topics import CHECK_RESULTS
from stream.folds import RULES, SHAPE
from stream.snapshots import Epoch, Position, Snapshots


class LogMismatch(RuntimeError):
    """The store and the log do not belong together; the message says what to do."""


class UnknownLog(LogMismatch):
    """The store was made from another log."""

    def __init__(self, known: str, found: str) -> None:
        super().__init__(
            f"ClickHouse holds what was made of the log {known}, but Kafka's log is {found}. If Kafka's address is "
            "wrong, correct PULSE_KAFKA. If Kafka's data was lost or moved, start a new epoch: pulse epoch new "
            '--reason "...". Statuses and history stay; results that only the old log had are lost.'
        )


class ShorterLog(LogMismatch):
    """The log ends before what is stored of it: the topic was made anew."""

    def __init__(self, position: Position, end: int) -> None:
        super().__init__(
            f"Partition {position.partition} of {CHECK_RESULTS.name} ends at {end}, but ClickHouse holds what was made "
            f"of it up to {position.offset}: the topic was made anew. Start a new epoch: pulse epoch new --reason "
            '"...". Statuses and history stay; results that only the old topic had are lost.'
        )


class LogWentBack(LogMismatch):
    """An event landed where another one stood before."""

    def __init__(self, partition: int, offset: int, folded: int) -> None:
        super().__init__(
            f"Partition {partition} of {CHECK_RESULTS.name} goes on at {offset}, but {folded} is folded already: the "
            "topic was made anew while the worker ran."
        )


class MissingEvents(LogMismatch):
    """The log begins after the position: retention removed what was not folded yet."""

    def __init__(self, partition: int, wanted: int, first: int) -> None:
        super().__init__(
            f"Partition {partition} of {CHECK_RESULTS.name} begins at {first}, but {wanted} comes next: Kafka's "
            "retention removed events before they were folded. To go on without them: pulse epoch accept-gap "
            '--reason "...".'
        )


class OutdatedRules(LogMismatch):
    """A newer version of the product has folded this log already."""

    def __init__(self, rules: int, found: int) -> None:
        super().__init__(
            f"This worker folds by rules {rules}, but rules {found} hold already: install the newer version here too."
        )


class OtherShape(LogMismatch):
    """The states were written by a version of the product that writes them otherwise."""

    def __init__(self, found: int, read: int) -> None:
        super().__init__(
            f"ClickHouse holds states of shape {found}, and this version reads shape {read} only. Nothing is lost, and "
            "nothing was changed: the version that wrote them goes on from where it was. To fold with this one, give "
            "it a new database (PULSE_CLICKHOUSE, then pulse migrate): it folds all that Kafka still keeps, once you "
            "have told it to by pulse epoch accept-gap if the beginning is gone. The old database keeps the history."
        )


class OtherPartitions(LogMismatch):
    """The states are kept by partition, and the count has changed."""

    def __init__(self, known: int, found: int) -> None:
        super().__init__(
            f"PULSE_PARTITIONS is {found}, but ClickHouse holds the states of {known} partitions; the number is fixed "
            f"for good: set it back to {known}."
        )


async def identify_log(settings: Settings) -> str:
    """The log's identity. Raises aiokafka.errors.KafkaError when the brokers cannot be reached."""
    admin = AIOKafkaAdminClient(**connection_options(settings))
    await admin.start()
    try:
        return f"{(await admin.describe_cluster())['cluster_id']}/{CHECK_RESULTS.name}"
    finally:
        await admin.close()


def first_epoch(log: str, partitions: int) -> Epoch:
    """What this version of the product begins in a new store."""
    return Epoch(1, log, RULES, SHAPE, partitions)


async def settle_epoch(snapshots: Snapshots, first: Epoch) -> Epoch:
    """The epoch to write under: the one that holds, `first` in a new store, or the first one of newer rules.

    Raises UnknownLog, OtherPartitions, OtherShape, OutdatedRules.
    """
    newest = await snapshots.newest_epoch()
    if newest is None:
        return await _begin(snapshots, first, "first start")
    if newest.log != first.log:
        raise UnknownLog(newest.log, first.log)
    _refuse_other_states(newest, first)
    if newest.rules > first.rules:
        raise OutdatedRules(first.rules, newest.rules)
    if newest.rules < first.rules:
        # Workers of the old rules may still run: whatever they write loses against the new epoch.
        return await _begin(snapshots, replace(first, number=newest.number + 1), "newer rules")
    return newest


async def begin_epoch(snapshots: Snapshots, first: Epoch, reason: str) -> Epoch:
    """An operator's decision: from now on this log counts, from its beginning unless positions of it are known.

    Raises OtherPartitions, OtherShape.
    """
    newest = await snapshots.newest_epoch()
    if newest is None:
        return await _begin(snapshots, first, reason)
    _refuse_other_states(newest, first)
    return await _begin(snapshots, replace(first, number=newest.number + 1), reason)


def _refuse_other_states(newest: Epoch, first: Epoch) -> None:
    if newest.partitions != first.partitions:
        raise OtherPartitions(newest.partitions, first.partitions)
    if newest.shape != first.shape:
        raise OtherShape(newest.shape, first.shape)


async def _begin(snapshots: Snapshots, epoch: Epoch, reason: str) -> Epoch:
    await snapshots.begin_epoch(epoch, reason)
    return epoch
