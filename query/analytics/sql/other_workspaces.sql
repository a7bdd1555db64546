-- How many workspaces but this one ever had a monitor.
SELECT uniqExact(substringIndex(monitor, '/', 1)) AS others
FROM monitor_versions
WHERE NOT startsWith(monitor, {prefix:String})
