-- Quantiles of one phase of answered checks between borders, from the raw results: rollups keep its sum only.
-- Annulled results count nowhere.
WITH arraySort(groupArray({phase:Identifier})) AS ordered
SELECT
    monitor,
    roundDown(toUnixTimestamp(toDateTime(scheduled_at)), {borders:Array(UInt32)}) AS begin,
    if({by_region:Bool}, region, '') AS of_region,
    count() AS answered,
    toUnixTimestamp64Milli(max(scheduled_at)) AS as_of,
    arrayMap(share -> ordered[toUInt32(ceil(share * answered))] / 1000, {shares:Array(Float64)}) AS quantiles_ms,
    [sum(dns_us), sum(connect_us), sum(tls_us), sum(ttfb_us), sum(transfer_us), sum(total_us)] AS phases_us
FROM results_with_annulments
WHERE {chosen}
  AND ({region:String} = '' OR region = {region:String})
  AND scheduled_at >= toDateTime({since:UInt32}, 'UTC') AND scheduled_at < toDateTime({until:UInt32}, 'UTC')
  AND outcome IN ('up', 'degraded') AND NOT overloaded AND NOT annulled AND total_us > 0
GROUP BY monitor, begin, of_region
