-- What a monitor's versions made of it, up to version {revised}, oldest first.
SELECT monitor, version, toUnixTimestamp64Milli(at),
       multiIf(document = '', 'deleted', JSONExtractBool(document, 'paused'), 'paused', 'active')
FROM monitor_versions FINAL
WHERE monitor = {monitor:String} AND version <= {revised:Int64}
ORDER BY version
