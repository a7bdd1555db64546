-- What pages ask for, kept ready: hours and days of uptime, incident timelines. Months are partitions, so that a window
-- reads only its own, and no FINAL looks for versions across them. A month to which nothing was written for a day
-- becomes one part, in which FINAL has nothing to look for: years are read as quickly as weeks.

CREATE TABLE IF NOT EXISTS uptime_hourly {sharded by monitor}
(
    monitor        LowCardinality(String),
    bucket         DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    version        UInt64 CODEC(DoubleDelta, ZSTD(1)),
    known_until    DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    up_ms          UInt32 CODEC(ZSTD(1)),
    degraded_ms    UInt32 CODEC(ZSTD(1)),
    down_ms        UInt32 CODEC(ZSTD(1)),
    unknown_ms     UInt32 CODEC(ZSTD(1)),
    maintenance_ms UInt32 CODEC(ZSTD(1)),
    paused_ms      UInt32 CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(bucket)
ORDER BY (monitor, bucket)
SETTINGS index_granularity = 1024, min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1;

-- Few rows, read often and by whole months: what is cheap to unpack, in granules that are not too many.
CREATE TABLE IF NOT EXISTS uptime_daily {sharded by monitor}
(
    monitor        LowCardinality(String),
    bucket         DateTime('UTC'),
    version        UInt64,
    known_until    DateTime64(3, 'UTC'),
    up_ms          UInt32,
    degraded_ms    UInt32,
    down_ms        UInt32,
    unknown_ms     UInt32,
    maintenance_ms UInt32,
    paused_ms      UInt32
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(bucket)
ORDER BY (monitor, bucket)
SETTINGS index_granularity = 4096, min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS uptime_hourly_mv {on_cluster} TO uptime_hourly{local} AS
SELECT * EXCEPT step FROM uptime_buckets{local} WHERE step = 'hour';

CREATE MATERIALIZED VIEW IF NOT EXISTS uptime_daily_mv {on_cluster} TO uptime_daily{local} AS
SELECT * EXCEPT step FROM uptime_buckets{local} WHERE step = 'day';

-- All entries of an incident carry its newest version; a lower one is of a timeline that was corrected since.
CREATE TABLE IF NOT EXISTS incident_timeline {sharded by monitor}
(
    monitor  String,
    incident String,
    position UInt16,
    version  UInt64,
    kind     LowCardinality(String),
    at       DateTime64(3, 'UTC'),
    status   LowCardinality(String),
    message  String,
    by       String
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (monitor, incident, position);

CREATE MATERIALIZED VIEW IF NOT EXISTS incident_timeline_mv {on_cluster} TO incident_timeline{local} AS
SELECT monitor, id AS incident, toUInt16(position) AS position, version,
       entry.kind AS kind, entry.at AS at, entry.status AS status, entry.message AS message, entry.by AS by
FROM incidents{local} ARRAY JOIN entries AS entry, arrayEnumerate(entries) AS position;

-- Months of uptime, from the days.
CREATE VIEW IF NOT EXISTS uptime_monthly {on_cluster} AS
SELECT
    monitor,
    toDateTime(toStartOfMonth(days.bucket), 'UTC') AS month,
    max(days.known_until) AS known_until,
    sum(days.up_ms) AS up_ms,
    sum(days.degraded_ms) AS degraded_ms,
    sum(days.down_ms) AS down_ms,
    sum(days.unknown_ms) AS unknown_ms,
    sum(days.maintenance_ms) AS maintenance_ms,
    sum(days.paused_ms) AS paused_ms
FROM uptime_daily AS days FINAL
GROUP BY monitor, month;

-- From when until when a monitor had which status; `until` is NULL while it lasts.
CREATE VIEW IF NOT EXISTS status_history {on_cluster} AS
SELECT
    monitor,
    status,
    at,
    leadInFrame(toNullable(at)) OVER (
        PARTITION BY monitor ORDER BY at ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ) AS until,
    reason,
    message,
    incident
FROM status_changes FINAL
WHERE NOT withdrawn;
