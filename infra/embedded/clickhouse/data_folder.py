"""The gateway's folder: one process at a time, passwords of mode 0600, the engine's configuration."""

import fcntl
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from xml.sax.saxutils import escape

MEMORY_BYTES: Final = 600 * 1024 * 1024
"""What the engine's queries and caches may take together; above it a query fails with code 241."""

_CONFIG: Final = """<clickhouse>
    <logger><level>none</level></logger>
    <timezone>UTC</timezone>
    <max_server_memory_usage>{memory_bytes}</max_server_memory_usage>
    <mark_cache_size>16777216</mark_cache_size>
    <index_mark_cache_size>4194304</index_mark_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>
    <background_pool_size>2</background_pool_size>
    <background_schedule_pool_size>4</background_schedule_pool_size>
    <memory_worker_period_ms>1000</memory_worker_period_ms> <!-- by default it looks 20 times a second -->
    <backups><allowed_path>{backups}</allowed_path></backups>
</clickhouse>
"""


class FolderInUse(RuntimeError):
    """Another process serves this folder."""

    def __init__(self, folder: Path, pid: str) -> None:
        super().__init__(
            f"The ClickHouse data in {folder} are in use by process {pid}: stop it first, or choose another folder."
        )


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A locked folder with what the gateway needs; the lock lasts as long as the process."""

    store: Path
    config_file: Path
    password: str
    reader_password: str
    lock: int

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Lock the folder, and create in it what is missing. Raises FolderInUse, OSError."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = folder.resolve()
        lock = _lock(folder)
        backups = folder / "backups"
        config_file = folder / "config.xml"
        config_file.write_text(_CONFIG.format(memory_bytes=MEMORY_BYTES, backups=escape(str(backups))), "utf-8")
        return cls(
            store=folder / "store",
            config_file=config_file,
            password=_password(folder / "password"),
            reader_password=_password(folder / "reader-password"),
            lock=lock,
        )


def _lock(folder: Path) -> int:
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(file, 32, 0).decode("ascii", "replace").strip() or "(unknown)"
        os.close(file)
        raise FolderInUse(folder, pid) from None
    os.ftruncate(file, 0)
    os.pwrite(file, str(os.getpid()).encode(), 0)
    return file


def _password(path: Path) -> str:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text("ascii").strip()
    password = secrets.token_urlsafe(24)
    with os.fdopen(file, "w") as stream:
        stream.write(password)
    return password
