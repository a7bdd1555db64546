-- One incident with its evidence and its timeline.
SELECT
    id, monitor, state, severity, reason, message, regions, components, failures, evidence,
    toUnixTimestamp64Milli(opened_at) AS opened,
    toUnixTimestamp64Milli(decided_at) AS decided,
    toUnixTimestamp64Milli(resolved_at) AS resolved,
    arrayMap(e -> (e.kind, toUnixTimestamp64Milli(e.at), e.status, e.message, e.by), entries) AS timeline
FROM incidents FINAL
WHERE id = {id:String} AND startsWith(monitor, {prefix:String})
