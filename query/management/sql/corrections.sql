-- The corrections of a monitor, the newest first; one of them where {id} is given.
SELECT
    id, kind, by, reason, region, policy, undoes, before, after,
    stage = 1 AS done,
    toUnixTimestamp64Milli(at) AS ordered,
    toUnixTimestamp64Milli(since) AS begin,
    toUnixTimestamp64Milli(until) AS end
FROM corrections FINAL
WHERE monitor = {monitor:String} AND ({id:String} = '' OR id = {id:String})
ORDER BY at DESC, id
LIMIT {limit:UInt32}
