"""Secrets of monitors: an event carries a reference, `${NAME}`, and only the probe knows what it stands for.

A secret belongs to a workspace: it is the file `<workspace>/<NAME>` in the probe's folder of secrets, or, for the
workspace `default`, the environment variable `PULSE_SECRET_<NAME>`. Nothing else of the environment is reachable.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from schemas.monitors import DEFAULT_WORKSPACE, SECRET_REFERENCE

ENVIRONMENT_PREFIX: Final = "PULSE_SECRET_"
MAX_SECRET_BYTES: Final = 65_536
KEPT_S: Final = 30.0


class MissingSecret(LookupError):
    """A monitor refers to a secret that this probe was not given; the message says how to give it."""


class Secrets:
    """Looks secrets up; a value is kept for half a minute, so that a rotated one is soon in use."""

    def __init__(self, folder: Path | None, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._environment = os.environ if environment is None else environment
        self._kept: dict[tuple[str, str], tuple[float, str]] = {}

    def value(self, workspace: str, name: str) -> str:
        """Raises MissingSecret."""
        known = self._kept.get((workspace, name))
        now = time.monotonic()
        if known is None or now - known[0] > KEPT_S:
            known = now, self._look_up(workspace, name)
            self._kept[workspace, name] = known
        return known[1]

    def _look_up(self, workspace: str, name: str) -> str:
        file = self._folder / workspace / name if self._folder else None
        try:
            if file is not None and file.is_file():
                return file.read_bytes()[:MAX_SECRET_BYTES].decode().removesuffix("\n")
        except OSError as error:
            raise MissingSecret(f"the secret {name} cannot be read by this probe: {error.strerror}") from None
        except UnicodeDecodeError:
            raise MissingSecret(f"the secret {name} cannot be read by this probe: it is not UTF-8 text") from None
        if workspace == DEFAULT_WORKSPACE and (variable := ENVIRONMENT_PREFIX + name) in self._environment:
            return self._environment[variable]
        place = f"{ENVIRONMENT_PREFIX}{name}" if workspace == DEFAULT_WORKSPACE else f"the file {workspace}/{name}"
        raise MissingSecret(f"the secret {name} is not known to this probe: set {place}")


class Revealer:
    """Puts the secrets of one workspace in place of their references, and remembers which ones."""

    def __init__(self, secrets: Secrets, workspace: str) -> None:
        self._secrets = secrets
        self._workspace = workspace
        self.revealed: set[str] = set()

    def __call__(self, text: str, escape: Callable[[str], str] = str) -> str:
        """The text with its secrets, each passed through `escape`. Raises MissingSecret."""

        def value(match: re.Match[str]) -> str:
            secret = self._secrets.value(self._workspace, match[1])
            self.revealed.add(secret)
            return escape(secret)

        return SECRET_REFERENCE.sub(value, text) if "${" in text else text
