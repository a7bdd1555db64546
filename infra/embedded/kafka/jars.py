"""Kafka's jars: fetched once into the cache by Maven coordinate, checked by SHA-256 at every start.

`jars.txt` is the class path in order, each line `sha256 bytes group:artifact:version`, so that a user's machine
resolves nothing and runs what was tested. `pin.py` writes it.
"""

import errno
import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from infra.embedded.kafka.errors import CorruptJar, DiskFull, RegistryUnreachable
from infra.settings import Settings

FETCHES_AT_ONCE: Final = 4
FETCH_TIMEOUT_S: Final = 60
TRIES: Final = 2


@dataclass(frozen=True, slots=True)
class Jar:
    """One file of the class path."""

    sha256: str
    size_bytes: int
    coordinate: str

    @property
    def filename(self) -> str:
        """Its name in the cache."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def listed_jars() -> list[Jar]:
    """The class path that this release was tested with."""
    lines = files("infra.embedded.kafka").joinpath("jars.txt").read_text("ascii").splitlines()
    return [Jar(sha256, int(size), coordinate) for sha256, size, coordinate in map(str.split, lines)]


def class_path(settings: Settings) -> list[Path]:
    """The jars in the cache, fetched where they are missing or damaged. Safe to call from several processes.

    Raises RegistryUnreachable, CorruptJar, DiskFull.
    """
    folder = settings.cache.expanduser() / "kafka-jars"
    jars = listed_jars()
    if not all(_is_intact(folder, jar) for jar in jars):
        mirror = settings.maven_mirror.get_secret_value() if settings.maven_mirror else None
        try:
            _fetch_missing(folder, jars, mirror)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(folder, sum(jar.size_bytes for jar in jars)) from error
            raise
    return [folder / jar.filename for jar in jars]


def _is_intact(folder: Path, jar: Jar) -> bool:
    path = folder / jar.filename
    try:
        return path.stat().st_size == jar.size_bytes and sha256_of(path) == jar.sha256
    except FileNotFoundError:
        return False


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_missing(folder: Path, jars: list[Jar], mirror: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (
        _locked(folder / "lock"),
        _emptied(folder),
        tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as staging,
        ThreadPoolExecutor(FETCHES_AT_ONCE) as pool,
    ):
        missing = [jar for jar in jars if not _is_intact(folder, jar)]
        with _progress(sum(jar.size_bytes for jar in missing)) as advance:
            fetch = _Fetch(folder, Path(staging), mirror, advance)
            futures = [pool.submit(fetch, jar) for jar in missing]
            try:
                for future in futures:
                    future.result()
            finally:
                pool.shutdown(cancel_futures=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Waits for another process that fetches into the same cache."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _emptied(folder: Path) -> Iterator[None]:
    """Removes what fetches that were killed have left."""
    for left in folder.glob("fetch-*"):
        shutil.rmtree(left)
    yield


@contextmanager
def _progress(total_bytes: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("Fetching Kafka, once"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    if total_bytes and not console.is_terminal:
        console.print(f"Fetching Kafka, once: {total_bytes / 1e6:.0f} MB", highlight=False)
    with Progress(*columns, console=console, disable=not total_bytes or not console.is_terminal) as progress:
        task = progress.add_task("jars", total=total_bytes)
        yield lambda count: progress.advance(task, count)


@dataclass(frozen=True, slots=True)
class _Fetch:
    """Fetches a jar beside the cache, and moves it in only when it is the right one."""

    folder: Path
    staging: Path
    mirror: str | None
    advance: Callable[[int], None]

    def __call__(self, jar: Jar) -> None:
        found = ""
        for number in range(TRIES):
            path = self._download(jar, self.staging / f"try-{number}")
            found = sha256_of(path)
            if found == jar.sha256:
                path.replace(self.folder / jar.filename)
                return
        raise CorruptJar(jar.coordinate, jar.sha256, found)

    def _download(self, jar: Jar, repository: Path) -> Path:
        from jgo.maven import MavenContext, PythonResolver  # 0.2 s that a warm cache need not spend

        remotes = {"mirror": self.mirror.rstrip("/")} if self.mirror else None
        context = MavenContext(
            resolver=PythonResolver(progress_callback=self._progress_callback),
            repo_cache=repository,
            remote_repos=remotes,
            timeout=FETCH_TIMEOUT_S,
        )
        try:
            return Path(context.create_dependency(jar.coordinate).artifact.resolve())
        except (OSError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise RegistryUnreachable(jar.coordinate, self.mirror and urlsplit(self.mirror).hostname, error) from error

    @contextmanager
    def _progress_callback(self, _filename: str, _total_bytes: int) -> Iterator[Callable[[int], None]]:
        yield self.advance
