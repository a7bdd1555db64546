-- Results of monitors in a window, in the order of the table, for a stream of any length.
SELECT
    substring(results.monitor, length({prefix:String}) + 1) AS monitor, region,
    concat(replaceOne(toString(results.scheduled_at), ' ', 'T'), 'Z') AS scheduled_at,
    outcome, reason, status_code, started_delay_ms,
    dns_us, connect_us, tls_us, ttfb_us, transfer_us, total_us, overloaded, late, message
FROM check_results AS results FINAL
WHERE startsWith(results.monitor, {prefix:String})
  AND (empty({monitors:Array(String)}) OR results.monitor IN {monitors:Array(String)})
  AND results.scheduled_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND results.scheduled_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
ORDER BY results.monitor, region, results.scheduled_at
