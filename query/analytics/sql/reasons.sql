-- What checks that were not up gave as their reason; annulled results count nowhere.
SELECT outcome, reason, count() AS checks, toUnixTimestamp64Milli(max(scheduled_at)) AS newest
FROM results_with_annulments
WHERE monitor = {monitor:String} AND NOT annulled AND outcome != 'up'
  AND scheduled_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND scheduled_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
GROUP BY outcome, reason
ORDER BY checks DESC, outcome, reason
