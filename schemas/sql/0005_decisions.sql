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
WHERE kind = 'annul' AND id NOT IN (SELECT undoes FROM corrections FINAL WHERE kind = 'undo');
