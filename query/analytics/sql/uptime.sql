-- Milliseconds of each status of monitors, between borders, in any order.
SELECT
    monitor,
    {begin} AS begin,
    max(toUnixTimestamp64Milli(known_until)) AS as_of,
    sum(up_ms) AS up, sum(degraded_ms) AS degraded, sum(down_ms) AS down,
    sum(unknown_ms) AS unknown, sum(maintenance_ms) AS maintenance, sum(paused_ms) AS paused
FROM {source:Identifier} FINAL
WHERE {chosen}
  AND bucket >= toDateTime({since:UInt32}, 'UTC') AND bucket < toDateTime({until:UInt32}, 'UTC')
GROUP BY monitor, begin
