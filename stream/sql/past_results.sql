-- The results of a monitor in the order of their times; late ones where a replay takes them in: those of its span
-- that the log had before it (a late row's version falls with its offset).
SELECT region, toUnixTimestamp64Milli(scheduled_at) AS scheduled, started_delay_ms, monitor_version, outcome, reason,
       status_code, dns_us, connect_us, tls_us, ttfb_us, transfer_us, total_us, overloaded, message, detail
FROM check_results FINAL
WHERE monitor = {monitor:String}
  AND scheduled_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND scheduled_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
  AND (NOT late OR (version > {too_late:UInt64}
       AND arrayExists(span -> scheduled >= span.1 AND scheduled < span.2, {spans:Array(Tuple(Int64, Int64))})))
ORDER BY scheduled_at, region
