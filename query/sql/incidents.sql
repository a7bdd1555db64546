-- Incidents that are open, or were not resolved before {since}; of each monitor the newest 50.
SELECT monitor, id, version, state, severity, toUnixTimestamp64Milli(opened_at), toUnixTimestamp64Milli(decided_at),
       ifNull(toUnixTimestamp64Milli(resolved_at), 0), reason, message, regions, components, failures, evidence,
       arrayMap(entry -> (entry.kind, toUnixTimestamp64Milli(entry.at), entry.status, entry.message, entry.by), entries)
FROM incidents FINAL
WHERE state = 'open' OR greatest(decided_at, ifNull(resolved_at, opened_at)) >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
ORDER BY monitor, opened_at DESC
LIMIT 50 BY monitor
