-- Milliseconds by status over the hours that {since} to {until} touches.
SELECT sum(up_ms), sum(degraded_ms), sum(down_ms), sum(unknown_ms), sum(maintenance_ms), sum(paused_ms)
FROM uptime_hourly FINAL
WHERE monitor = {monitor:String}
  AND bucket >= toStartOfHour(fromUnixTimestamp64Milli({since:Int64}, 'UTC'))
  AND bucket < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
