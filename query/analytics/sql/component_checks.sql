-- What the checks of a monitor that were not up said of its components; annulled results count nowhere.
SELECT
    said.1 AS component, countIf(said.2 = 'degraded') AS degraded, countIf(said.2 = 'down') AS down,
    countIf(said.2 = 'unknown') AS unknown, toUnixTimestamp64Milli(max(scheduled_at)) AS newest
FROM results_with_annulments
ARRAY JOIN JSONExtract(detail, 'components', 'Array(Tuple(name String, outcome String))') AS said
WHERE monitor = {monitor:String} AND NOT annulled AND detail != '' AND said.2 != 'up'
  AND scheduled_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND scheduled_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
GROUP BY component
