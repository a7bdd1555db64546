"""Kafka's jars: fetched once, checked always, from a mirror where one is set."""

import errno
import hashlib
import multiprocessing
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from infra.embedded.kafka import jars
from infra.embedded.kafka.errors import CorruptJar, DiskFull, RegistryUnreachable
from infra.embedded.kafka.jars import Jar, class_path, listed_jars
from infra.settings import Settings
from tests.engines import free_ports

CONTENTS = {f"org.example:part-{number}:1.{number}": f"jar {number}".encode() * 5_000 for number in range(6)}
JARS = [Jar(hashlib.sha256(body).hexdigest(), len(body), name) for name, body in CONTENTS.items()]


@dataclass
class Registry:
    """A Maven repository of this machine; counts what is asked for, and may change what it gives."""

    url: str
    asked: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, bytes] = field(default_factory=dict)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setattr(jars, "listed_jars", lambda: JARS)
    with _serve() as running:
        yield running


@contextmanager
def _serve() -> Iterator[Registry]:
    bodies = {_path(name): body for name, body in CONTENTS.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.asked[self.path] += 1
            body = running.bodies.get(self.path)
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = Registry(f"http://127.0.0.1:{server.server_port}", bodies=bodies)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _path(coordinate: str) -> str:
    group, artifact, version = coordinate.split(":")
    return f"/{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.jar"


def _settings(tmp_path: Path, mirror: str) -> Settings:
    return Settings(cache=tmp_path / "cache", maven_mirror=SecretStr(mirror))


def test_the_class_path_is_complete_and_in_the_listed_order(tmp_path: Path, registry: Registry) -> None:
    paths = class_path(_settings(tmp_path, registry.url))

    assert [path.read_bytes() for path in paths] == list(CONTENTS.values())


def test_what_is_in_the_cache_needs_no_network(tmp_path: Path, registry: Registry) -> None:
    class_path(_settings(tmp_path, registry.url))
    asked = registry.asked.total()

    class_path(_settings(tmp_path, registry.url))

    assert registry.asked.total() == asked


def test_a_damaged_jar_is_fetched_again(tmp_path: Path, registry: Registry) -> None:
    settings = _settings(tmp_path, registry.url)
    damaged, truncated, *_ = class_path(settings)
    damaged.write_bytes(bytes(len(CONTENTS[JARS[0].coordinate])))
    truncated.write_bytes(truncated.read_bytes()[:100])

    paths = class_path(settings)

    assert [path.read_bytes() for path in paths] == list(CONTENTS.values())
    assert [registry.asked[_path(jar.coordinate)] for jar in JARS] == [2, 2, 1, 1, 1, 1]


def test_another_file_than_the_listed_one_is_refused_and_not_kept(tmp_path: Path, registry: Registry) -> None:
    settings = _settings(tmp_path, registry.url)
    registry.bodies[_path(JARS[2].coordinate)] = b"something else"

    with pytest.raises(CorruptJar, match=r"part-2:1\.2 was fetched twice"):
        class_path(settings)

    assert not (settings.cache / "kafka-jars" / JARS[2].filename).exists()


def test_an_unreachable_mirror_is_named_with_what_to_do(tmp_path: Path, registry: Registry) -> None:
    settings = _settings(tmp_path, f"http://user:hush@127.0.0.1:{free_ports(1)[0]}")

    with pytest.raises(RegistryUnreachable, match=r"the mirror 127\.0\.0\.1 \(PULSE_MAVEN_MIRROR\)") as raised:
        class_path(settings)

    assert "hush" not in str(raised.value)


def test_a_jar_that_the_mirror_lacks_is_named(tmp_path: Path, registry: Registry) -> None:
    del registry.bodies[_path(JARS[4].coordinate)]

    with pytest.raises(RegistryUnreachable, match=r"part-4:1\.4"):
        class_path(_settings(tmp_path, registry.url))


def test_a_full_disk_says_where_and_how_much(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)

    with pytest.raises(DiskFull, match="PULSE_CACHE"):
        class_path(_settings(tmp_path, registry.url))


def test_several_processes_fetch_each_jar_once(tmp_path: Path, registry: Registry) -> None:
    settings = _settings(tmp_path, registry.url)
    processes = [multiprocessing.get_context("fork").Process(target=class_path, args=(settings,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert {registry.asked[_path(jar.coordinate)] for jar in JARS} == {1}


def test_what_a_killed_fetch_has_left_is_removed(tmp_path: Path, registry: Registry) -> None:
    settings = _settings(tmp_path, registry.url)
    left = settings.cache / "kafka-jars" / "fetch-killed"
    left.mkdir(parents=True)

    class_path(settings)

    assert not left.exists()


def test_the_shipped_list_is_whole() -> None:
    listed = listed_jars()

    assert {jar.coordinate for jar in listed} >= {"org.apache.kafka:kafka_2.13:4.4.0"}
    assert len({jar.filename for jar in listed}) == len(listed) == 45
    assert all(len(jar.sha256) == 64 and jar.size_bytes > 0 for jar in listed)
