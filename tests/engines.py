"""The embedded engines for tests: started on free ports with data of their own, stopped even if pytest is killed."""

import asyncio
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from aiokafka.admin import AIOKafkaAdminClient
from pydantic import SecretStr

from infra.clickhouse import migrate
from infra.embedded.kafka import prepare
from infra.kafka import provision_topics
from infra.settings import Settings
from infra.supervisor.leash import Leash
from schemas.topics import TOPICS

START_LIMIT_S = 60
STOP_LIMIT_S = 20


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on; all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextmanager
def running(command: list[str], output: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a session of its own, stopped by SIGTERM at the end; its output goes to a file."""
    with Leash() as leash, output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True)
        leash.hold(process.pid)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_LIMIT_S)
            finally:
                process.kill()
                process.wait()
                leash.release(process.pid)


@contextmanager
def running_kafka(folder: Path, ports: tuple[int, int] | None = None) -> Iterator[str]:
    """An embedded broker, at these ports or at free ones; gives its address."""
    port, controller_port = ports or free_ports(2)
    settings = Settings(embedded_kafka_port=port, embedded_kafka_controller_port=controller_port)
    broker = prepare(settings, folder, folder / "logs")
    with running(broker.command, broker.output) as process:
        asyncio.run(broker.wait_until_ready(process.poll))
        yield broker.address
    broker.keep_archive(process.returncode)


@contextmanager
def running_clickhouse(folder: Path) -> Iterator[str]:
    """An embedded ClickHouse; gives its URL with user and password, without a database."""
    (port,) = free_ports(1)
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / "output.log"
    command = [sys.executable, "-m", "infra.embedded.clickhouse", "--data", str(folder), "--port", str(port)]
    with running(command, output) as process:
        deadline = time.monotonic() + START_LIMIT_S
        while not answers(f"http://127.0.0.1:{port}/ping"):
            assert process.poll() is None, f"ClickHouse ended: {output.read_text()}"
            assert time.monotonic() < deadline, f"ClickHouse is not ready: {output.read_text()}"
            time.sleep(0.05)
        password = (folder / "password").read_text("ascii").strip()
        yield f"http://default:{password}@127.0.0.1:{port}"


def answers(url: str) -> bool:
    """Whether 200 is answered over plain HTTP. Without `verify=False` each look would load all authorities first."""
    try:
        return httpx.get(url, trust_env=False, verify=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def fresh_settings(kafka: str, clickhouse: str) -> Settings:
    """Settings of an installation that has nothing in it: empty topics, a new database with all tables."""
    settings = Settings(
        kafka=kafka,
        clickhouse=SecretStr(f"{clickhouse}/test_{secrets.token_hex(6)}"),
        http=f"127.0.0.1:{free_ports(1)[0]}",
    )
    asyncio.run(_prepare(settings))
    return settings


async def _prepare(settings: Settings) -> None:
    await forget_topics(settings)
    await provision_topics(settings)
    await migrate(settings)


async def forget_topics(settings: Settings) -> None:
    """Delete our topics; with them the broker forgets the positions that groups had in them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        ours = {topic.name for topic in TOPICS}
        await admin.delete_topics(sorted(ours & set(await admin.list_topics())))
        while ours & set(await admin.list_topics()):  # a deletion reaches the broker's own view a little later
            await asyncio.sleep(0.01)
    finally:
        await admin.close()
