SELECT epoch, log, rules, partitions FROM stream_epochs FINAL ORDER BY epoch DESC LIMIT 1
