-- Milliseconds of each status in every hour since {since}.
SELECT monitor, toUnixTimestamp(bucket), toUnixTimestamp64Milli(known_until),
       up_ms, degraded_ms, down_ms, unknown_ms, maintenance_ms, paused_ms
FROM uptime_hourly FINAL
WHERE bucket >= toDateTime({since:UInt32}, 'UTC')
