"""Folders in which one process works at a time."""

import fcntl
import os
from pathlib import Path
from typing import Final

_FILE: Final = "lock"


class FolderInUse(RuntimeError):
    """Another process works in this folder; the message says which, and what to do."""


def lock(folder: Path, instead: str) -> int:
    """Make a folder this process's own, as long as it lives or until the file returned is closed.

    `instead` says what a person can do but to stop the other process. Raises FolderInUse, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(file, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(file)
        raise FolderInUse(f"{folder} is in use by process {pid}: stop that one first, or {instead}.") from None
    os.ftruncate(file, 0)
    os.pwrite(file, str(os.getpid()).encode(), 0)
    return file


def is_locked(folder: Path) -> bool:
    """Whether a process works in it. Raises FileNotFoundError where none ever did."""
    with (folder / _FILE).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
