-- Quantiles of latency of monitors between borders, read off histograms whose bin i begins at 2 ^ (i / 8) ms: the bin
-- where the rank falls, and the place in it by logarithmic interpolation; and the means of the phases.
WITH
    sumForEach(histogram) AS bins,
    arrayCumSum(bins)::Array(Float64) AS cumulative,
    arrayMap(share -> share * cumulative[-1], {shares:Array(Float64)}) AS ranks,
    arrayMap(rank -> arrayFirstIndex(count -> count >= rank, cumulative), ranks) AS places
SELECT
    monitor,
    roundDown(toUnixTimestamp(bucket), {borders:Array(UInt32)}) AS begin,
    if({by_region:Bool}, region, '') AS of_region,
    sum(checks) AS answered,
    toUnixTimestamp64Milli(toDateTime64(max(bucket), 3, 'UTC')) + 3600000 AS as_of,
    arrayMap((rank, place) -> exp2((place - (cumulative[place] - rank) / bins[place]) / 8), ranks, places) AS quantiles_ms,
    arrayMap(
        us -> us / answered / 1000, sumForEach([dns_us, connect_us, tls_us, ttfb_us, transfer_us, total_us])
    ) AS phases_ms
FROM latency_hourly FINAL
WHERE startsWith(monitor, {prefix:String}) AND (empty({monitors:Array(String)}) OR monitor IN {monitors:Array(String)})
  AND ({region:String} = '' OR region = {region:String})
  AND bucket >= toDateTime({since:UInt32}, 'UTC') AND bucket < toDateTime({until:UInt32}, 'UTC')
GROUP BY monitor, begin, of_region
HAVING answered > 0
ORDER BY monitor, begin, of_region
