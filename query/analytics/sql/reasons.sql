-- What checks that were not up gave as their reason; annulled results count nowhere.
SELECT outcome, reason, count() AS checks, toUnixTimestamp64Milli(max(scheduled_at)) AS newest
FROM check_results FINAL
WHERE monitor = {monitor:String} AND outcome != 'up'
  AND scheduled_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND scheduled_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
  AND NOT arrayExists(
      span -> (span.1 = '' OR span.1 = region) AND scheduled_at >= span.2 AND scheduled_at < span.3,
      (SELECT groupArray((region, since, until)) FROM annulments WHERE monitor = {monitor:String}))
GROUP BY outcome, reason
ORDER BY checks DESC, outcome, reason
