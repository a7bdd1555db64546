-- p50, p95 and p99 in milliseconds over the hours since {since}, read off histograms whose bin i begins at
-- 2 ^ (i / 8) ms: the bin where the rank falls, and the place in it by logarithmic interpolation.
WITH
    sumForEach(histogram) AS bins,
    arrayCumSum(bins) AS cumulative,
    cumulative[-1] AS total,
    arrayMap(share -> total * share, [0.5, 0.95, 0.99]) AS ranks,
    arrayMap(rank -> arrayFirstIndex(count -> count >= rank, cumulative), ranks) AS places
SELECT monitor, sum(checks),
       arrayMap((rank, place) -> exp2((place - 1 + (rank - cumulative[place] + bins[place]) / bins[place]) / 8), ranks, places)
FROM latency_hourly FINAL
WHERE bucket >= toDateTime({since:UInt32}, 'UTC')
GROUP BY monitor
HAVING total > 0
