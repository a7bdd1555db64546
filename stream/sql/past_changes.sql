-- The status changes of a monitor that stand, from the one on that lasted into {since}.
SELECT monitor, toUnixTimestamp64Milli(at), version, toUnixTimestamp64Milli(decided_at), previous, status, reason,
       message, incident
FROM status_changes FINAL
WHERE monitor = {monitor:String} AND NOT withdrawn
  AND at >= (
      SELECT max(at)
      FROM status_changes FINAL
      WHERE monitor = {monitor:String} AND NOT withdrawn AND at <= fromUnixTimestamp64Milli({since:Int64}, 'UTC'))
ORDER BY at
