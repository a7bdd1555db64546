"""Embedded Kafka: Apache Kafka (KRaft, one node) as a child JVM, its jars fetched once and then used offline.

`prepare(settings, folder)` gives a `Broker`: the command to start, and how to see that it is ready.
"""

from infra.embedded.kafka.broker import Broker, prepare
from infra.embedded.kafka.errors import EmbeddedKafkaError

__all__ = ["Broker", "EmbeddedKafkaError", "prepare"]
