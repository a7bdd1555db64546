-- What people have changed of the record: who, when, why, and how it was before and after.

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
