-- The maintenances that a monitor was told of, up to version {maintained}, oldest first.
SELECT maintenance, monitor, toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(starts_at),
       toUnixTimestamp64Milli(ends_at), version
FROM maintenance_windows FINAL
WHERE monitor = {monitor:String} AND version <= {maintained:Int64}
ORDER BY version
