-- Quantiles of latency of monitors between borders, read off histograms whose bin i begins at 2 ^ (i / 8) ms: the bin
-- where the rank falls, and the place in it by logarithmic interpolation; and the sums of the phases; in any order.
WITH
    sumForEach(histogram) AS bins,
    arrayCumSum(bins)::Array(Float64) AS cumulative,
    arrayMap(share -> share * cumulative[-1], {shares:Array(Float64)}) AS ranks,
    arrayMap(rank -> arrayFirstIndex(count -> count >= rank, cumulative), ranks) AS places
SELECT
    monitor,
    {begin} AS begin,
    if({by_region:Bool}, region, '') AS of_region,
    sum(checks) AS answered,
    1000 * (toUnixTimestamp(max(bucket)) + 3600) AS as_of,
    arrayMap((rank, place) -> exp2((place - (cumulative[place] - rank) / bins[place]) / 8), ranks, places) AS quantiles_ms,
    [sum(dns_us), sum(connect_us), sum(tls_us), sum(ttfb_us), sum(transfer_us), sum(total_us)] AS phases_us
FROM latency_hourly FINAL
PREWHERE {chosen}
  AND ({region:String} = '' OR region = {region:String})
  AND bucket >= toDateTime({since:UInt32}, 'UTC') AND bucket < toDateTime({until:UInt32}, 'UTC')
GROUP BY monitor, begin, of_region
HAVING answered > 0
