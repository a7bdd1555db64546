-- Results of a monitor, the newest first, before the place ({before}, {before_region}).
SELECT
    toUnixTimestamp64Milli(scheduled_at) AS scheduled, region, outcome, reason, status_code, started_delay_ms,
    dns_us, connect_us, tls_us, ttfb_us, transfer_us, total_us, overloaded, late, annulled, message, monitor_version
FROM results_with_annulments
WHERE monitor = {monitor:String}
  AND ({region:String} = '' OR region = {region:String})
  AND ({outcome:String} = '' OR outcome = {outcome:String})
  AND ({reason:String} = '' OR reason = {reason:String})
  AND total_us >= {slower_us:UInt32}
  AND scheduled_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND scheduled_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
  AND (toUnixTimestamp64Milli(scheduled_at), region) < ({before:Int64}, {before_region:String})
ORDER BY scheduled_at DESC, region DESC
LIMIT {limit:UInt32}
