-- The corrections of a monitor that were carried out before {version}, oldest first; {id} itself may have broken off.
SELECT id, monitor, kind, toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(since), toUnixTimestamp64Milli(until),
       by, reason, policy, region, undoes
FROM corrections FINAL
WHERE monitor = {monitor:String} AND version < {version:UInt64} AND id != {id:String}
ORDER BY version
