"""One broker in a folder: formatted once, configured at every start, ready when it leads its own metadata."""

import asyncio
import base64
import errno
import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from infra.embedded.kafka.errors import BrokerFailed, DiskFull
from infra.embedded.kafka.jars import class_path
from infra.embedded.kafka.java import Java, find_java
from infra.logs import last_line
from infra.ports import check_free
from infra.settings import Settings

HOST: Final = "127.0.0.1"
NEEDED_BYTES: Final = 512 << 20
READY_WITHIN_S: Final = 60  # after a kill -9 on a busy machine; else 1-3 s
FORMAT_WITHIN_S: Final = 60
LEFT_AFTER_S: Final = 600
CLEAN_EXITS: Final = (0, 143)  # 143: a JVM that SIGTERM has stopped in order
_JVM: Final = (
    "-Xms128m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # C1 alone: half the time to start
    "-XX:-UsePerfData",  # samples for tools, taken 20 times a second
    "-Xlog:disable",  # writing the class archive warns of each class that it leaves out
    "-Xlog:all=error:stderr",
)


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that is ready to be started with `command`; its log is a rolling file, its output goes to `output`."""

    command: list[str]
    address: str
    log: Path
    output: Path
    new_archive: Path | None

    async def wait_until_ready(self, exit_code: Callable[[], int | None], within_s: float = READY_WITHIN_S) -> None:
        """Return once the broker takes part in its cluster, so that topics can be made and records produced.

        `exit_code` tells whether the process has ended. Raises BrokerFailed.
        """
        deadline = time.monotonic() + within_s
        while not await _is_registered(self.address):
            code = exit_code()
            if code is not None:
                raise BrokerFailed(
                    f"ended with exit code {code}", self.log, last_line(self.log) or last_line(self.output)
                )
            if time.monotonic() > deadline:
                raise BrokerFailed(
                    f"is not ready after {within_s:.0f} s", self.log, last_line(self.log) or last_line(self.output)
                )
            await asyncio.sleep(0.05)

    def keep_archive(self, exit_code: int | None) -> None:
        """After its end: keep the class archive that this run wrote, so that later starts take half the time."""
        if self.new_archive is None or not self.new_archive.exists():
            return
        if exit_code in CLEAN_EXITS:
            self.new_archive.replace(self.new_archive.with_suffix(""))
        else:
            self.new_archive.unlink()


def prepare(settings: Settings, folder: Path, logs: Path) -> Broker:
    """Everything that must be there before the JVM starts. Takes 0.1 s, at the first start 1 s more and the download.

    Raises EmbeddedKafkaError, PortTaken.
    """
    java = find_java()
    check_free(HOST, settings.embedded_kafka_port, "PULSE_EMBEDDED_KAFKA_PORT")
    check_free(HOST, settings.embedded_kafka_controller_port, "PULSE_EMBEDDED_KAFKA_CONTROLLER_PORT")
    jars = ":".join(map(str, class_path(settings)))
    try:
        return _prepare(settings, folder.absolute(), logs.absolute(), java, jars)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(folder, NEEDED_BYTES) from error
        raise


def _prepare(settings: Settings, folder: Path, logs: Path, java: Java, jars: str) -> Broker:
    folder.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < NEEDED_BYTES:
        raise DiskFull(folder, NEEDED_BYTES)
    properties = _write("server.properties", folder, settings)
    log4j2 = _write("log4j2.properties", folder, settings)
    jvm = [str(java.executable), f"-Dkafka.logs.dir={logs}", f"-Dlog4j2.configurationFile={log4j2}", "-cp", jars]
    output = logs / "kafka.out"
    _format(folder, properties, jvm, output)
    flags, new_archive = _class_archive(settings.cache.expanduser(), java, jars)
    return Broker(
        command=[jvm[0], *_JVM, *flags, *jvm[1:], "kafka.Kafka", str(properties)],
        address=f"{HOST}:{settings.embedded_kafka_port}",
        log=logs / "kafka.log",
        output=output,
        new_archive=new_archive,
    )


def _write(name: str, folder: Path, settings: Settings) -> Path:
    text = files("infra.embedded.kafka").joinpath(name).read_text("ascii")
    for mark, value in (
        ("{data}", _in_properties(folder / "data")),
        ("{port}", str(settings.embedded_kafka_port)),
        ("{controller_port}", str(settings.embedded_kafka_controller_port)),
    ):
        text = text.replace(mark, value)
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def _in_properties(path: Path) -> str:
    """Java reads a file of properties as Latin-1 with JSON's escapes."""
    return json.dumps(str(path))[1:-1]


def _cluster_id() -> str:
    """A random id as Kafka writes it; never with a leading hyphen, which its own tools take for an option."""
    while (name := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return name


def _format(folder: Path, properties: Path, jvm: list[str], output: Path) -> None:
    """Give the data folder its cluster id, once. Kafka writes meta.properties last: half a format starts again."""
    if (folder / "data" / "meta.properties").exists():
        return
    command = [*jvm, "kafka.tools.StorageTool", "format", "--standalone", "-t", _cluster_id(), "-c", str(properties)]
    with output.open("wb") as file:
        done = subprocess.run(
            command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, timeout=FORMAT_WITHIN_S, check=False
        )
    if done.returncode != 0:
        raise BrokerFailed("could not format its data folder", output, last_line(output))


def _class_archive(cache: Path, java: Java, jars: str) -> tuple[list[str], Path | None]:
    """Flags that use the archive of loaded classes (AOT cache from Java 25, CDS before), or that write one.

    It belongs to one Java build, class path and set of flags; the JVM writes it at its first clean stop.
    """
    key = hashlib.sha256("\n".join((java.build, jars, *_JVM)).encode()).hexdigest()[:16]
    archive = cache / "kafka-archives" / f"{key}.jsa"
    use, write = (
        ("-XX:AOTCache", "-XX:AOTCacheOutput")
        if java.release >= 25
        else ("-XX:SharedArchiveFile", "-XX:ArchiveClassesAtExit")
    )
    if archive.exists():
        return [f"{use}={archive}"], None
    archive.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_archives(archive.parent)
    new_archive = archive.with_suffix(f".jsa.{os.getpid()}")
    return [f"{write}={new_archive}"], new_archive


def _remove_left_archives(folder: Path) -> None:
    """Those of a JVM that has outlived whoever would have kept its archive."""
    for left in folder.glob("*.jsa.*"):
        if time.time() - left.stat().st_mtime > LEFT_AFTER_S:
            left.unlink(missing_ok=True)


async def _is_registered(address: str) -> bool:
    if not _listens(address):
        return False
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=2_000)
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
        return bool(cluster["brokers"]) and cluster["controller_id"] >= 0
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()


def _listens(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
