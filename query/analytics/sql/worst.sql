-- The monitors with the lowest uptime in a window; those that were deleted, or of which nothing is known, are left out.
SELECT
    monitor, max(toUnixTimestamp64Milli(known_until)) AS as_of,
    sum(up_ms) AS up, sum(degraded_ms) AS degraded, sum(down_ms) AS down,
    sum(unknown_ms) AS unknown, sum(maintenance_ms) AS maintenance, sum(paused_ms) AS paused
FROM uptime_daily FINAL
WHERE startsWith(monitor, {prefix:String})
  AND monitor NOT IN (SELECT monitor FROM current_status FINAL WHERE deleted)
  AND bucket >= toDateTime({since:UInt32}, 'UTC') AND bucket < toDateTime({until:UInt32}, 'UTC')
GROUP BY monitor
HAVING up + degraded + down > 0
ORDER BY (up + degraded) / (up + degraded + down), down DESC, monitor
LIMIT {limit:UInt32}
