"""The embedded engines of a laptop: Apache Kafka as a child JVM, ClickHouse as chDB behind its HTTP interface."""
