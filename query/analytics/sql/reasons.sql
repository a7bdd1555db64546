-- What checks that were not up gave as their reason.
SELECT outcome, reason, count() AS checks, toUnixTimestamp64Milli(max(scheduled_at)) AS newest
FROM check_results FINAL
WHERE monitor = {monitor:String} AND outcome != 'up'
  AND scheduled_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND scheduled_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
GROUP BY outcome, reason
ORDER BY checks DESC, outcome, reason
