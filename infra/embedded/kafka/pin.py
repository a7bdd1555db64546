"""Resolves Kafka's class path anew, for a release of ours: `python -m infra.embedded.kafka.pin > jars.txt`."""

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from jgo.maven import MavenContext

from infra.embedded.kafka.jars import FETCH_TIMEOUT_S, sha256_of

# The marks `!` keep log4j's bill of materials from choosing Kafka's versions.
ROOTS: Final = ("org.apache.kafka:kafka_2.13:4.4.0!", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5!")


def resolve() -> str:
    """The text of `jars.txt`, from ROOTS and the registry as it is now."""
    with tempfile.TemporaryDirectory() as repository:
        context = MavenContext(repo_cache=Path(repository), timeout=FETCH_TIMEOUT_S)
        direct, transitive = context.resolver.resolve([context.create_dependency(root) for root in ROOTS])
        dependencies = [each for each in (*direct, *transitive) if each.scope in ("compile", "runtime", None)]
        return "".join(f"{_line(dependency.artifact)}\n" for dependency in dependencies)


def _line(artifact: Any) -> str:
    path = Path(artifact.resolve())
    coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
    return f"{sha256_of(path)} {path.stat().st_size} {coordinate}"


if __name__ == "__main__":
    sys.stdout.write(resolve())
