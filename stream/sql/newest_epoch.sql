SELECT epoch, log, rules, shape, partitions FROM stream_epochs FINAL ORDER BY epoch DESC LIMIT 1
