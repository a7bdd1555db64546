"""What the stream says about itself in /metrics."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

RESULTS: Final = Counter("pulse_stream_results", "Check results folded.")
EVENTS: Final = Counter("pulse_stream_events", "Events of the log folded.")
LATE: Final = Counter("pulse_stream_late_results", "Results older than the lateness window.")
CLOCKS_AHEAD: Final = Counter("pulse_stream_clocks_ahead", "Events whose sender's clock was ahead of the log's.")
DEAD_LETTERS: Final = Counter("pulse_stream_dead_letters", "Events and results that could not be used.", ["reason"])
LOST_VERSIONS: Final = Counter("pulse_stream_lost_versions", "Times a version was gone and default terms had to do.")
STATUS_CHANGES: Final = Counter("pulse_stream_status_changes", "Status changes told, corrections included.")
FOLD_SECONDS: Final = Counter("pulse_stream_fold_seconds", "Time spent decoding and folding.")
INSERT_SECONDS: Final = Histogram("pulse_stream_insert_seconds", "Time of an insert.", ["table"], buckets=_BUCKETS)
INSERTED: Final = Counter("pulse_stream_inserted_rows", "Rows that ClickHouse acknowledged.", ["table"])
RETRIES: Final = Counter("pulse_stream_retries", "What an engine failed to do and was asked again.", ["what"])
VISIBLE_SECONDS: Final = Histogram(
    "pulse_stream_visible_seconds", "From a batch's sent_at until its status is in ClickHouse.", buckets=_BUCKETS
)
LAG: Final = Gauge("pulse_stream_lag_events", "Events in the broker that are not folded yet.", ["partition"])
SECONDS_BEHIND: Final = Gauge("pulse_stream_behind_seconds", "Age of the newest folded event.", ["partition"])
SNAPSHOT_AGE: Final = Gauge("pulse_stream_snapshot_age_seconds", "Since the partition's last snapshot.", ["partition"])
MONITORS: Final = Gauge("pulse_stream_monitors", "Monitors whose state this worker holds.", ["partition"])
OF_PARTITIONS: Final = (LAG, SECONDS_BEHIND, SNAPSHOT_AGE, MONITORS)
"""Those of a partition that is taken away mean nothing any more."""
SEND_RETRIES: Final = Counter("pulse_stream_send_retries", "Sends to Kafka that failed and were tried again.")
