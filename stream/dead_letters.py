"""Reads events of the log; what cannot be used goes to `dead-letters` and never takes its neighbours with it."""

from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.events import UNREADABLE, CheckBatch, CheckResult, DeadLetter, LogEvent, decode_log, encode
from schemas.topics import CHECK_RESULTS, DEAD_LETTERS
from stream import metrics
from stream.folds import FoldedEvent
from stream.log_time import bounded
from stream.outbox import Message

MAX_BYTES: Final = 500_000
"""Of a value; as base64 in a record it is less than a broker takes by default."""
MAX_ERROR: Final = 500
"""Letters: what decoding says may repeat what it was given."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record of `check-results`; `logged_at` is Kafka's timestamp in milliseconds."""

    partition: int
    offset: int
    logged_at: int
    value: bytes


class _LooseBatch(msgspec.Struct, frozen=True, tag_field="type", tag="check-batch"):
    """A batch whose results are not decoded yet."""

    probe: str
    region: str
    sent_at: int
    results: tuple[msgspec.Raw, ...]


_loose_decoder: Final = msgspec.json.Decoder(_LooseBatch)
_result_decoder: Final = msgspec.json.Decoder(CheckResult)


def read_event(record: LogRecord) -> tuple[LogEvent | None, list[DeadLetter]]:
    """The event in the log's time, without the results that cannot be decoded, and dead letters of what is missing."""
    try:
        return bounded(decode_log(record.value), record.logged_at), []
    except UNREADABLE as error:
        whole = [dead_letter(record, record.value, f"not an event: {error}", "undecodable")]
    try:
        batch = _loose_decoder.decode(record.value)
    except UNREADABLE:
        return None, whole
    return _read_results(record, batch)


def _read_results(record: LogRecord, batch: _LooseBatch) -> tuple[LogEvent, list[DeadLetter]]:
    results, letters = [], []
    for index, raw in enumerate(batch.results):
        try:
            results.append(_result_decoder.decode(raw))
        except UNREADABLE as error:
            letters.append(dead_letter(record, bytes(raw), f"result {index}: {error}", "undecodable"))
    event = CheckBatch(batch.probe, batch.region, batch.sent_at, tuple(results))
    return bounded(event, record.logged_at), letters


def without_unknown_monitors(
    record: LogRecord, event: FoldedEvent, unknown: set[str]
) -> tuple[FoldedEvent, list[DeadLetter]]:
    """The batch without results of monitors that exist nowhere, and their dead letters."""
    if not unknown or not isinstance(event, CheckBatch):
        return event, []
    known = tuple(result for result in event.results if result.monitor not in unknown)
    letters = [
        dead_letter(record, msgspec.json.encode(result), f"there is no monitor {result.monitor}", "unknown_monitor")
        for result in event.results
        if result.monitor in unknown
    ]
    return CheckBatch(event.probe, event.region, event.sent_at, known), letters


def dead_letter(record: LogRecord, value: bytes, error: str, reason: str) -> DeadLetter:
    """A dead letter, counted under `reason`; of a value that no record could hold only the beginning."""
    metrics.DEAD_LETTERS.labels(reason).inc()
    error = error[:MAX_ERROR]
    if len(value) > MAX_BYTES:
        error, value = f"{error} (here are the first {MAX_BYTES} of {len(value)} bytes)", value[:MAX_BYTES]
    return DeadLetter(CHECK_RESULTS.name, record.partition, record.offset, error, value, record.logged_at)


def messages_of(letters: list[DeadLetter]) -> list[Message]:
    """The dead letters as records."""
    return [Message(DEAD_LETTERS.name, letter.topic, encode(letter)) for letter in letters]
