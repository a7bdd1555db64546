-- What people have decided about the record: maintenances, and what they changed of it afterwards.

-- Every version of every maintenance, as each of its monitors was told of it. One that ends where it starts is none.
CREATE TABLE IF NOT EXISTS maintenance_windows {sharded by monitor}
(
    monitor     String,
    maintenance String,
    version     UInt64 COMMENT 'the offset of its record in the topic maintenances',
    at          DateTime64(3, 'UTC'),
    starts_at   DateTime64(3, 'UTC'),
    ends_at     DateTime64(3, 'UTC'),
    by          String,
    document    String COMMENT 'JSON; empty where the maintenance was deleted'
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (monitor, maintenance, version);

-- Two rows of a correction: `stage` 0 stands before anything of it is written, 1 when all of it is. A worker that
-- carries a correction out again finds in stage 0 what held before, although it may have been overwritten since.
CREATE TABLE IF NOT EXISTS corrections {sharded by monitor}
(
    monitor String,
    id      String,
    stage   UInt8,
    version UInt64 COMMENT 'epoch << 48 | offset of the event that ordered it',
    kind    LowCardinality(String),
    at      DateTime64(3, 'UTC'),
    since   DateTime64(3, 'UTC'),
    until   DateTime64(3, 'UTC'),
    region  String COMMENT 'of the annulled results; empty: all',
    policy  String COMMENT 'JSON: what a replay sets in place of the policy',
    undoes  String COMMENT 'the correction that an undo takes back',
    by      String,
    reason  String,
    before  String COMMENT 'JSON: incidents, status changes, milliseconds by status',
    after   String COMMENT 'JSON, the same; empty in stage 0'
)
ENGINE = {replicated}ReplacingMergeTree(stage)
ORDER BY (monitor, id);

-- Spans whose results count nowhere, although they are kept: annulled, and not undone since.
CREATE VIEW IF NOT EXISTS annulments {on_cluster} AS
SELECT monitor, region, since, until, id, by, reason
FROM corrections FINAL
WHERE kind = 'annul' AND NOT has((SELECT groupArray(undoes) FROM corrections FINAL WHERE kind = 'undo'), id);

-- Results, each once, and whether it is in such a span.
CREATE VIEW IF NOT EXISTS results_with_annulments {on_cluster} AS
WITH (
    SELECT mapFromArrays(groupArray(monitor), groupArray(spans))
    FROM (SELECT monitor, groupArray((region, since, until)) AS spans FROM annulments GROUP BY monitor)
) AS spans_of
SELECT
    *,
    arrayExists(
        span -> (span.1 = '' OR span.1 = region) AND scheduled_at >= span.2 AND scheduled_at < span.3,
        spans_of[toString(monitor)]
    )::Bool AS annulled
FROM check_results FINAL;

-- Minutes of the last seven days, by region, without annulled results: as few make a minute, they themselves are read.
CREATE VIEW IF NOT EXISTS results_minutely {on_cluster} AS
SELECT
    monitor,
    region,
    toStartOfMinute(toDateTime(scheduled_at)) AS minute,
    count() AS checks,
    countIf(outcome = 'up') AS up,
    countIf(outcome = 'degraded') AS degraded,
    countIf(outcome = 'down') AS down,
    countIf(outcome = 'unknown') AS unknown,
    avgOrNullIf(total_us, outcome IN ('up', 'degraded') AND NOT overloaded AND total_us > 0) AS mean_total_us,
    maxOrNullIf(total_us, outcome IN ('up', 'degraded') AND NOT overloaded AND total_us > 0) AS max_total_us
FROM results_with_annulments
WHERE NOT annulled AND scheduled_at >= now() - toIntervalDay(7)
GROUP BY monitor, region, minute;
