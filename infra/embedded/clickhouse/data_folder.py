"""The gateway's folder: one process at a time, passwords of mode 0600, the engine's configuration."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from xml.sax.saxutils import escape

from infra.locks import lock

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
        locked = lock(folder, "choose another folder")
        folder = folder.resolve()
        backups = folder / "backups"
        config_file = folder / "config.xml"
        config_file.write_text(_CONFIG.format(memory_bytes=MEMORY_BYTES, backups=escape(str(backups))), "utf-8")
        return cls(
            store=folder / "store",
            config_file=config_file,
            password=_password(folder / "password"),
            reader_password=_password(folder / "reader-password"),
            lock=locked,
        )


def _password(path: Path) -> str:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text("ascii").strip()
    password = secrets.token_urlsafe(24)
    with os.fdopen(file, "w") as stream:
        stream.write(password)
    return password
