-- How many incidents each monitor had in a window, how long they took, and how long until they were noticed.
SELECT
    monitor,
    count() AS incidents,
    countIf(state = 'open') AS open,
    countIf(severity = 'down') AS down,
    sumIf(ifNull(dateDiff('millisecond', opened_at, resolved_at), 0), state = 'resolved') AS repair_ms,
    sum(dateDiff('millisecond', opened_at, decided_at)) AS detect_ms,
    max(dateDiff('millisecond', opened_at, ifNull(resolved_at, now64(3, 'UTC')))) AS longest_ms
FROM incidents FINAL
WHERE {chosen}
  AND state != 'annulled'
  AND opened_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND opened_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
GROUP BY monitor
ORDER BY incidents DESC, monitor
