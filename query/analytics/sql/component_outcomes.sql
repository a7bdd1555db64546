-- What each component of a monitor is now: the worst that any region says, unknown where none knows.
SELECT component, argMax(outcome, indexOf(['unknown', 'up', 'degraded', 'down'], outcome)) AS worst
FROM components FINAL
WHERE monitor = {monitor:String} AND NOT gone
GROUP BY component
