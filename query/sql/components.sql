-- What each component is now: the worst that any region says, unknown where none knows.
SELECT monitor, component, argMax(outcome, badness) AS worst, argMax(message, badness), toUnixTimestamp64Milli(argMax(at, badness))
FROM (SELECT *, indexOf(['unknown', 'up', 'degraded', 'down'], outcome) AS badness FROM components FINAL WHERE NOT gone)
GROUP BY monitor, component
ORDER BY monitor, component
