-- Milliseconds of each status of monitors in each bucket between borders, in any order.
SELECT
    monitor,
    toUnixTimestamp(bucket) AS begin,
    toUnixTimestamp64Milli(known_until) AS as_of,
    up_ms AS up, degraded_ms AS degraded, down_ms AS down,
    unknown_ms AS unknown, maintenance_ms AS maintenance, paused_ms AS paused
FROM {source:Identifier} FINAL
PREWHERE {chosen} AND bucket >= toDateTime({since:UInt32}, 'UTC') AND bucket < toDateTime({until:UInt32}, 'UTC')
