"""The topics, in one table; the admin step provisions from it."""

from dataclasses import dataclass
from typing import Final

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's name, its record key, its event types, and how it is kept.

    `partitions` is None where the installation's count holds (the setting `partitions`):
    `check-results` and `monitors` are co-partitioned by murmur2 of the monitor id. `broker_time`: a record's time is
    when the broker got it, whatever its sender's clock says.
    """

    name: str
    key: str
    events: tuple[str, ...]
    partitions: int | None = None
    compacted: bool = False
    retention_ms: int | None = None
    broker_time: bool = False

    @property
    def config(self) -> dict[str, str]:
        """Kafka's own settings for this topic."""
        if self.compacted:
            return {
                "cleanup.policy": "compact",
                "min.cleanable.dirty.ratio": "0.1",
                "segment.ms": "3600000",
            }
        kept = {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}
        return kept | {"message.timestamp.type": "LogAppendTime"} if self.broker_time else kept


MONITORS: Final = Topic("monitors", "monitor id", ("monitor",), compacted=True)
CHECK_RESULTS: Final = Topic(
    "check-results",
    "monitor id",
    ("check-batch", "tick", "monitor-revised", "maintenance-revised", "correction-ordered"),
    retention_ms=7 * DAY_MS,
    broker_time=True,
)
STATUS_CHANGES: Final = Topic("status-changes", "monitor id", ("status-change",), retention_ms=30 * DAY_MS)
INCIDENTS: Final = Topic("incidents", "monitor id", ("incident",), retention_ms=30 * DAY_MS)
PAGES: Final = Topic("pages", "page slug", ("page",), partitions=1, compacted=True)
MAINTENANCES: Final = Topic("maintenances", "maintenance id", ("maintenance",), partitions=1, compacted=True)
KEYS: Final = Topic("keys", "key id", ("key",), partitions=1, compacted=True)
DEAD_LETTERS: Final = Topic("dead-letters", "topic", ("dead-letter",), partitions=1, retention_ms=30 * DAY_MS)

TOPICS: Final = (MONITORS, CHECK_RESULTS, STATUS_CHANGES, INCIDENTS, PAGES, MAINTENANCES, KEYS, DEAD_LETTERS)
