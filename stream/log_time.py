"""Bounds what an event says of now by when the log got it: one clock that is ahead must not make all others late."""

from typing import Final

from msgspec.structs import replace

from schemas.events import CheckBatch, LogEvent
from stream import metrics

AHEAD_MS: Final = 60_000
"""So much the clock of a sender may be ahead of the broker's."""


def bounded(event: LogEvent, logged_at: int) -> LogEvent:
    """The event, not later than its record's own time and a little: a function of the log, as the folds are."""
    latest = logged_at + AHEAD_MS
    said = event.sent_at if isinstance(event, CheckBatch) else event.at
    if said <= latest:
        return event
    metrics.CLOCKS_AHEAD.inc()
    return replace(event, sent_at=latest) if isinstance(event, CheckBatch) else replace(event, at=latest)
