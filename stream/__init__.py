"""Turns check results into statuses, incidents and uptime: the Faust app, snapshots, sink."""
