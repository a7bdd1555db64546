-- What each monitor is now.
SELECT monitor, version, status, toUnixTimestamp64Milli(since), toUnixTimestamp64Milli(known_until), reason, message
FROM current_status FINAL
WHERE NOT deleted
