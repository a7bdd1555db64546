-- Results of some monitors, one after the other in the order of their names, in a part of the window.
SELECT
    substring(results.monitor, length({prefix:String}) + 1) AS monitor, toString(region) AS region,
    results.scheduled_at AS scheduled_at, toString(outcome) AS outcome, toString(reason) AS reason, status_code,
    started_delay_ms, dns_us, connect_us, tls_us, ttfb_us, transfer_us, total_us, overloaded, late, annulled,
    message, monitor_version
FROM results_with_annulments AS results
WHERE results.monitor >= {first:String} AND results.monitor <= {last:String}
  AND startsWith(results.monitor, {prefix:String})
  AND (empty({monitors:Array(String)}) OR results.monitor IN {monitors:Array(String)})
  AND results.scheduled_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND results.scheduled_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
ORDER BY results.monitor, results.scheduled_at, results.region
