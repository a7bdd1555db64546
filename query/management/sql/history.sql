-- A monitor's status changes before {before}, the newest first, back to the one that lasted into {since}.
SELECT status, previous, reason, message, incident, toUnixTimestamp64Milli(at) AS began,
       toUnixTimestamp64Milli(decided_at) AS decided
FROM status_changes FINAL
WHERE monitor = {monitor:String} AND NOT withdrawn
  AND at < fromUnixTimestamp64Milli({before:Int64}, 'UTC')
  AND at >= (
      SELECT max(at)
      FROM status_changes FINAL
      WHERE monitor = {monitor:String} AND NOT withdrawn AND at <= fromUnixTimestamp64Milli({since:Int64}, 'UTC'))
ORDER BY at DESC
LIMIT {limit:UInt32}
