"""What the services stand on: settings, Kafka, ClickHouse, migrations, logs, metrics,
supervisor, the `pulse` command."""
