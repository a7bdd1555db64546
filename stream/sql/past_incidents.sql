-- Incidents of a monitor that lasted beyond {since}, and of the annulled ones those that a person took away.
SELECT monitor, id, version, state, severity, toUnixTimestamp64Milli(opened_at), toUnixTimestamp64Milli(decided_at),
       ifNull(toUnixTimestamp64Milli(resolved_at), 0), reason, message, regions, components, failures, evidence,
       arrayMap(entry -> (entry.kind, toUnixTimestamp64Milli(entry.at), entry.status, entry.message, entry.by), entries)
FROM incidents FINAL
WHERE monitor = {monitor:String}
  AND (state = 'open' OR ifNull(resolved_at, opened_at) >= fromUnixTimestamp64Milli({since:Int64}, 'UTC'))
  AND (state != 'annulled' OR arrayExists(entry -> entry.by != '', entries))
ORDER BY opened_at, id
