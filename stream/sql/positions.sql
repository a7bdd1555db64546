SELECT partition, version, revised, toUnixTimestamp64Milli(logged_at), state
FROM stream_positions FINAL
WHERE log = {log:String}
