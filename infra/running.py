"""What `pulse up` has started, for the `pulse` command in other terminals: `run.json` in the data folder.

It counts only while the folder is locked, so that one left by a crash misleads nobody.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import msgspec

from infra.locks import is_locked, lock

_FILE: Final = "run.json"


class Running(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where everything is. `kafka` to `demo_port` are settings of the same names; `started_at` is in ms."""

    kafka: str
    clickhouse: str
    http: str
    api_key: str
    demo_port: int
    demo_url: str | None = None
    pids: dict[str, int]
    started_at: int


class DataLock:
    """The lock of a data folder, held as long as this process lives. A context manager; removes `run.json`."""

    def __init__(self, folder: Path) -> None:
        """Raises FolderInUse."""
        self._folder = folder
        self._file = lock(folder, "set PULSE_DATA to another folder")

    def publish(self, running: Running) -> None:
        """Tell other terminals; only this user can read it, since there is a key in it."""
        new = self._folder / f"{_FILE}.new"
        with suppress(FileNotFoundError):
            new.unlink()
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(running))
        new.replace(self._folder / _FILE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        (self._folder / _FILE).unlink(missing_ok=True)
        os.close(self._file)


def read_running(folder: Path) -> Running | None:
    """What runs on this folder, or None. Raises PermissionError for another user's folder."""
    try:
        if not is_locked(folder):
            return None
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=Running)
    except (FileNotFoundError, NotADirectoryError):
        return None
