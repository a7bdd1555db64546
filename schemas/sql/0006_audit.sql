-- Every version of every page and key, so that it stays known who changed what, also where versions count from 0 again
-- after a loss of Kafka's data; `monitor_versions` and `maintenance_windows` keep those of the others.
CREATE TABLE IF NOT EXISTS configuration_versions {sharded by id}
(
    topic    LowCardinality(String) COMMENT 'pages or keys',
    id       String,
    version  UInt64 COMMENT 'the offset of its record in the topic',
    at       DateTime64(3, 'UTC'),
    by       String,
    document String COMMENT 'JSON; empty where it was deleted'
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (topic, id, version, at);
