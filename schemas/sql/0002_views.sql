-- What pages ask for, kept ready: hours and days of uptime, incident timelines.

CREATE TABLE IF NOT EXISTS uptime_hourly {on_cluster}
(
    monitor LowCardinality(String),
    bucket  DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    version UInt64 CODEC(DoubleDelta, ZSTD(1)),
    known_until    DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    up_ms          UInt32 CODEC(T64('bit'), ZSTD(1)),
    degraded_ms    UInt32 CODEC(T64('bit'), ZSTD(1)),
    down_ms        UInt32 CODEC(T64('bit'), ZSTD(1)),
    unknown_ms     UInt32 CODEC(T64('bit'), ZSTD(1)),
    maintenance_ms UInt32 CODEC(T64('bit'), ZSTD(1)),
    paused_ms      UInt32 CODEC(T64('bit'), ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (monitor, bucket)
SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS uptime_daily {on_cluster} AS uptime_hourly
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (monitor, bucket)
SETTINGS index_granularity = 256;

CREATE MATERIALIZED VIEW IF NOT EXISTS uptime_hourly_mv {on_cluster} TO uptime_hourly AS
SELECT * EXCEPT step FROM uptime_buckets WHERE step = 'hour';

CREATE MATERIALIZED VIEW IF NOT EXISTS uptime_daily_mv {on_cluster} TO uptime_daily AS
SELECT * EXCEPT step FROM uptime_buckets WHERE step = 'day';

-- All entries of an incident carry its newest version; a lower one is of a timeline that was corrected since.
CREATE TABLE IF NOT EXISTS incident_timeline {on_cluster}
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

CREATE MATERIALIZED VIEW IF NOT EXISTS incident_timeline_mv {on_cluster} TO incident_timeline AS
SELECT monitor, id AS incident, toUInt16(position) AS position, version,
       entry.kind AS kind, entry.at AS at, entry.status AS status, entry.message AS message, entry.by AS by
FROM incidents ARRAY JOIN entries AS entry, arrayEnumerate(entries) AS position;
