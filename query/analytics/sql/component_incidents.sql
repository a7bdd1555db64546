-- How many incidents of a monitor, of those that touch a window, named each component, and how long they took in it.
WITH
    fromUnixTimestamp64Milli({since:Int64}, 'UTC') AS since,
    fromUnixTimestamp64Milli({until:Int64}, 'UTC') AS until
SELECT
    component, count() AS incidents,
    sum(dateDiff('millisecond', greatest(opened_at, since), least(ifNull(resolved_at, until), until))) AS affected_ms
FROM incidents FINAL
ARRAY JOIN arrayDistinct(components) AS component
WHERE monitor = {monitor:String} AND state != 'annulled' AND opened_at < until AND ifNull(resolved_at, until) > since
GROUP BY component
