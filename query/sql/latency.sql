-- p50, p95 and p99 in milliseconds over the hours since {since}, read off histograms whose bin i begins at
-- 2 ^ (i / 8) ms: the bin where the rank falls, and the place in it by logarithmic interpolation.
WITH
    sumForEach(histogram) AS bins,
    arrayCumSum(bins)::Array(Float64) AS cumulative,
    arrayMap(share -> share * cumulative[-1], [0.5, 0.95, 0.99]) AS ranks,
    arrayMap(rank -> arrayFirstIndex(count -> count >= rank, cumulative), ranks) AS places
SELECT monitor, sum(checks) AS answered,
       arrayMap((rank, place) -> exp2((place - (cumulative[place] - rank) / bins[place]) / 8), ranks, places)
FROM latency_hourly FINAL
WHERE bucket >= toDateTime({since:UInt32}, 'UTC')
GROUP BY monitor
HAVING answered > 0
