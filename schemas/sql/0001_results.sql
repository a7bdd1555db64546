-- Raw results, and the facts that the stream makes of them. Every row is absolute and carries a version
-- (epoch << 48 | offset of the event that made it): writing it again changes nothing, the highest one counts.
-- The marks are filled in by `pulse migrate`. On one node they are empty. On a cluster every table is a replicated
-- one on each shard, called {name}_local, under a Distributed one that shards by the column that the mark names;
-- views work shard by shard, from local table to local table.

CREATE TABLE IF NOT EXISTS check_results {sharded by monitor}
(
    monitor          LowCardinality(String),
    region           LowCardinality(String),
    scheduled_at     DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    version          UInt64 CODEC(DoubleDelta, ZSTD(1)),
    started_delay_ms UInt32 CODEC(T64('bit'), ZSTD(1)),
    monitor_version  UInt64 CODEC(Delta, ZSTD(1)),
    outcome          Enum8('up' = 1, 'degraded' = 2, 'down' = 3, 'unknown' = 4) CODEC(ZSTD(1)),
    reason           LowCardinality(String),
    status_code      UInt16 CODEC(ZSTD(1)),
    dns_us           UInt32 CODEC(T64('bit'), ZSTD(1)),
    connect_us       UInt32 CODEC(T64('bit'), ZSTD(1)),
    tls_us           UInt32 CODEC(T64('bit'), ZSTD(1)),
    ttfb_us          UInt32 CODEC(T64('bit'), ZSTD(1)),
    transfer_us      UInt32 CODEC(T64('bit'), ZSTD(1)),
    total_us         UInt32 CODEC(T64('bit'), ZSTD(1)),
    overloaded       Bool CODEC(ZSTD(1)),
    late             Bool CODEC(ZSTD(1)),
    message          String CODEC(ZSTD(3)),
    detail           String CODEC(ZSTD(3)) COMMENT 'JSON of failures, components and evidence; empty when up'
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(scheduled_at)
ORDER BY (monitor, region, scheduled_at)
TTL toDateTime(scheduled_at) + toIntervalDay({retention_days})
SETTINGS ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS status_changes {sharded by monitor}
(
    monitor    String,
    at         DateTime64(3, 'UTC'),
    version    UInt64,
    decided_at DateTime64(3, 'UTC'),
    previous   LowCardinality(String),
    status     LowCardinality(String),
    reason     LowCardinality(String),
    message    String,
    incident   String,
    withdrawn  Bool
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (monitor, at);

-- What each monitor is now. A row of its own, since a withdrawn change must give way to the one before it.
CREATE TABLE IF NOT EXISTS current_status {sharded by monitor}
(
    monitor      String,
    version      UInt64,
    status       LowCardinality(String),
    since        DateTime64(3, 'UTC'),
    known_until  DateTime64(3, 'UTC') COMMENT 'the newest result or tick that says so',
    reason       LowCardinality(String),
    message      String,
    incident     String COMMENT 'the open one, or empty',
    deleted      Bool
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY monitor;

CREATE TABLE IF NOT EXISTS incidents {sharded by monitor}
(
    monitor     String,
    id          String,
    version     UInt64,
    state       LowCardinality(String),
    severity    LowCardinality(String),
    opened_at   DateTime64(3, 'UTC'),
    decided_at  DateTime64(3, 'UTC'),
    resolved_at Nullable(DateTime64(3, 'UTC')),
    reason      LowCardinality(String),
    message     String,
    regions     Array(String),
    components  Array(String),
    failures    String COMMENT 'JSON',
    evidence    String COMMENT 'JSON; empty when there is none',
    entries     Array(Tuple(kind String, at DateTime64(3, 'UTC'), status String, message String, by String))
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (monitor, id);

-- What each component of a monitor's health document last was, by region.
CREATE TABLE IF NOT EXISTS components {sharded by monitor}
(
    monitor   String,
    region    LowCardinality(String),
    component String,
    version   UInt64,
    at        DateTime64(3, 'UTC'),
    outcome   LowCardinality(String),
    message   String,
    gone      Bool
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (monitor, region, component);

-- Absolute milliseconds of each status in an hour or a day, up to `known_until`.
CREATE TABLE IF NOT EXISTS uptime_buckets {sharded by monitor}
(
    monitor        LowCardinality(String),
    step           Enum8('hour' = 1, 'day' = 2),
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
ENGINE = Null;

-- Absolute latency of an hour by region: a histogram of up to 128 bins, bin = floor(log2(total_us / 1000) * 8) from 0.
-- It ends with the last that has any. Months become one part once nothing is written to them, as those of uptime do.
CREATE TABLE IF NOT EXISTS latency_hourly {sharded by monitor}
(
    monitor     LowCardinality(String),
    region      LowCardinality(String),
    bucket      DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    version     UInt64 CODEC(DoubleDelta, ZSTD(1)),
    checks      UInt32 CODEC(T64('bit'), ZSTD(1)),
    dns_us      UInt64 CODEC(T64('bit'), ZSTD(1)) COMMENT 'sums over the checks',
    connect_us  UInt64 CODEC(T64('bit'), ZSTD(1)),
    tls_us      UInt64 CODEC(T64('bit'), ZSTD(1)),
    ttfb_us     UInt64 CODEC(T64('bit'), ZSTD(1)),
    transfer_us UInt64 CODEC(T64('bit'), ZSTD(1)),
    total_us    UInt64 CODEC(T64('bit'), ZSTD(1)),
    histogram   Array(UInt32) CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(bucket)
ORDER BY (monitor, bucket, region)
SETTINGS index_granularity = 256, min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1;

-- Every version of every monitor: the audit, and the policies of versions that compaction has removed.
CREATE TABLE IF NOT EXISTS monitor_versions {sharded by monitor}
(
    monitor  String,
    version  UInt64 COMMENT 'the offset of its record in the topic monitors',
    at       DateTime64(3, 'UTC'),
    by       String,
    document String COMMENT 'JSON; empty where the monitor was deleted'
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (monitor, version);
