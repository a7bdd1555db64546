-- How many results each monitor has in each day of a window, for an export in pieces.
SELECT
    monitor, toUnixTimestamp64Milli(toDateTime64(toStartOfDay(scheduled_at), 3, 'UTC')) AS day, count() AS results
FROM check_results
WHERE startsWith(monitor, {prefix:String}) AND (empty({monitors:Array(String)}) OR monitor IN {monitors:Array(String)})
  AND scheduled_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND scheduled_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
GROUP BY monitor, day
ORDER BY monitor, day
