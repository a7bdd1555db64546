-- What each component of a monitor is now: the worst that any region says.
SELECT component, argMax(outcome, indexOf(['up', 'unknown', 'degraded', 'down'], outcome)) AS worst
FROM components FINAL
WHERE monitor = {monitor:String} AND NOT gone
GROUP BY component
