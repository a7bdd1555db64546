"""Analytics: uptime, latency, incidents and results over any window, from rollups where there are some."""
