-- What a stream worker needs to go on where another one stopped: epochs, positions, the monitors' states.

-- A log's identity (Kafka's cluster id and topic), the folds' rules and the shape of their states, from one moment on.
-- Versions of a later epoch count above all versions of an earlier one; the shape is that of every state in the store.
CREATE TABLE IF NOT EXISTS stream_epochs {sharded by epoch}
(
    epoch      UInt16,
    log        String,
    rules      UInt32 COMMENT 'the version of the folds',
    shape      UInt32 COMMENT 'how their states are written',
    partitions UInt16,
    started_at DateTime64(3, 'UTC') DEFAULT now64(3),
    reason     String
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY epoch;

-- Everything up to `version` of a partition is durable: facts, states, events told to Kafka.
CREATE TABLE IF NOT EXISTS stream_positions {sharded by log}
(
    log        String,
    partition  UInt16,
    version    UInt64 COMMENT 'epoch << 48 | offset',
    revised    Int64 COMMENT 'the newest version of a monitor that the partition was told of, -1: none',
    state      String COMMENT 'what the fold knows of the partition itself',
    logged_at  DateTime64(3, 'UTC') COMMENT 'when Kafka got the event at this position',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3),
    reason     String COMMENT 'why an operator moved it; empty where a worker did'
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (log, partition);

-- A monitor's state after the event at `version`; a state newer than the partition's position skips what it knows.
CREATE TABLE IF NOT EXISTS stream_state {sharded by partition}
(
    partition UInt16,
    monitor   String,
    version   UInt64,
    state     String CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
ORDER BY (partition, monitor)
SETTINGS index_granularity = 256;
