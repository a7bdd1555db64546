-- Incidents of a workspace, the newest first, after the place ({after_opened_at}, {after_id}).
SELECT
    id, monitor, state, severity, reason, message, regions, components,
    toUnixTimestamp64Milli(opened_at) AS opened,
    toUnixTimestamp64Milli(decided_at) AS decided,
    toUnixTimestamp64Milli(resolved_at) AS resolved
FROM incidents FINAL
WHERE startsWith(monitor, {prefix:String})
  AND ({monitor:String} = '' OR monitor = {monitor:String})
  AND ({state:String} = '' OR state = {state:String})
  AND opened_at < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
  AND if(state = 'open', now64(3, 'UTC'), ifNull(resolved_at, opened_at))
      >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
  AND (toUnixTimestamp64Milli(opened_at), id) < ({after_opened_at:Int64}, {after_id:String})
ORDER BY opened_at DESC, id DESC
LIMIT {limit:UInt32}
