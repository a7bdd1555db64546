-- Quantiles of latency of monitors between borders, read off histograms whose bin i begins at 2 ^ (i / 8) ms: the bin
-- where the rank falls, and the place in it by logarithmic interpolation; and the means of the phases.
WITH
    sumForEach(histogram) AS bins,
    arrayCumSum(bins) AS cumulative,
    cumulative[-1] AS total,
    arrayMap(share -> total * share, {shares:Array(Float64)}) AS ranks,
    arrayMap(rank -> arrayFirstIndex(count -> count >= rank, cumulative), ranks) AS places
SELECT
    monitor,
    roundDown(toUnixTimestamp(bucket), {borders:Array(UInt32)}) AS begin,
    if({by_region:Bool}, region, '') AS of_region,
    sum(checks) AS answered,
    toUnixTimestamp64Milli(toDateTime64(max(bucket), 3, 'UTC')) + 3600000 AS as_of,
    arrayMap(
        (rank, place) -> exp2((place - 1 + (rank - cumulative[place] + bins[place]) / bins[place]) / 8), ranks, places
    ) AS quantiles_ms,
    arrayMap(
        us -> us / answered / 1000, [sum(dns_us), sum(connect_us), sum(tls_us), sum(ttfb_us), sum(transfer_us), sum(total_us)]
    ) AS phases_ms
FROM latency_hourly FINAL
WHERE startsWith(monitor, {prefix:String}) AND (empty({monitors:Array(String)}) OR monitor IN {monitors:Array(String)})
  AND ({region:String} = '' OR region = {region:String})
  AND bucket >= toDateTime({since:UInt32}, 'UTC') AND bucket < toDateTime({until:UInt32}, 'UTC')
GROUP BY monitor, begin, of_region
HAVING total > 0
ORDER BY monitor, begin, of_region
