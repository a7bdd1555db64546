"""The processes of an installation, each of which may be killed, stopped and started again."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from infra.clickhouse import migrate
from infra.embedded.kafka import Broker, prepare
from infra.kafka import open_producer, provision_topics
from infra.settings import Settings
from infra.supervisor.leash import Leash
from schemas.events import CorrectionOrdered
from tests.engines import answers, free_ports
from tests.faults.history import correct_records, revise_monitors, write_monitors

READY_WITHIN_S: Final = 60
STOP_WITHIN_S: Final = 20
WORKER: Final = "from infra.settings import get_settings; from stream.app import run_worker; run_worker(get_settings())"


class Installation:
    """Engines, workers and a producer over one folder; leaves nothing behind."""

    def __init__(self, folder: Path, monitors: int) -> None:
        self.folder = folder
        self._monitors = monitors
        self._corrections: list[CorrectionOrdered] = []
        self._leash = Leash()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.acknowledged = folder / "acknowledged"
        self.versions: dict[str, int] = {}
        kafka_port, controller_port, self._clickhouse_port = free_ports(3)
        self.settings = Settings(embedded_kafka_port=kafka_port, embedded_kafka_controller_port=controller_port)
        self._broker: Broker | None = None

    def __enter__(self) -> "Installation":
        self._leash.__enter__()
        self.start_clickhouse()
        self.start_kafka()
        password = (self.folder / "clickhouse" / "password").read_text("ascii").strip()
        url = f"http://default:{password}@127.0.0.1:{self._clickhouse_port}/faults"
        self.settings = self.settings.model_copy(
            update={"kafka": f"127.0.0.1:{self.settings.embedded_kafka_port}", "clickhouse": SecretStr(url)}
        )
        asyncio.run(self._prepare())
        return self

    def __exit__(self, *error: object) -> None:
        for name in reversed([*self._processes]):
            self.kill(name)
        self._leash.__exit__(*error)

    async def _prepare(self) -> None:
        await provision_topics(self.settings)
        await migrate(self.settings)
        async with open_producer(self.settings) as producer:
            self.versions = await write_monitors(producer, self.settings, self._monitors)
        self._write_versions()

    def revise_monitors(self) -> None:
        """New versions of some monitors; the producer names them from its next start on."""

        async def revise() -> dict[str, int]:
            async with open_producer(self.settings) as producer:
                return await revise_monitors(producer, self.settings, self.versions)

        self.versions |= asyncio.run(revise())
        self._write_versions()

    def correct_records(self) -> None:
        """Orders to replay or annul what some monitors' results of the last minutes led to, or to undo that."""

        async def correct() -> list[CorrectionOrdered]:
            async with open_producer(self.settings) as producer:
                return await correct_records(producer, self.settings, self.versions, self._corrections)

        self._corrections += asyncio.run(correct())

    def _write_versions(self) -> None:
        (self.folder / "versions.json").write_text(json.dumps(self.versions), "utf-8")

    def start_kafka(self) -> None:
        """Start the broker and wait until it is ready."""
        broker = prepare(self.settings, self.folder / "kafka", self.folder / "logs")
        process = self.start("kafka", broker.command)
        asyncio.run(broker.wait_until_ready(process.poll, READY_WITHIN_S))

    def start_clickhouse(self) -> None:
        """Start the store and wait until it is ready."""
        data, port = self.folder / "clickhouse", self._clickhouse_port
        self.start(
            "clickhouse",
            [sys.executable, "-m", "infra.embedded.clickhouse", "--data", str(data), "--port", str(port)],
        )
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/ping"), "ClickHouse answers")

    def start_worker(self, slot: int) -> None:
        """A stream worker of a slot of its own."""
        self.start(worker_name(slot), [sys.executable, "-c", WORKER], {"PULSE_STREAM": f"stream-{slot}"})

    def start_producer(self) -> None:
        """The probes' part: results of every monitor, a slot a second."""
        files = ["--versions", str(self.folder / "versions.json"), "--acknowledged", str(self.acknowledged)]
        self.start("producer", [sys.executable, "-m", "tests.faults.producer", *files])

    def start_probe(self) -> None:
        """A probe that may reach this machine."""
        self.start("probe", [sys.executable, "-m", "infra.cli", "probe"], {"PULSE_PROBE_ALLOW": "127.0.0.0/8"})

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process that runs."""
        self._processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """SIGKILL, and gone."""
        self._processes[name].kill()
        self._processes[name].wait()
        self._leash.release(self._processes.pop(name).pid)

    def stop(self, name: str) -> int:
        """SIGTERM; returns the exit code."""
        process = self._processes[name]
        process.terminate()
        code = process.wait(STOP_WITHIN_S)
        self._leash.release(self._processes.pop(name).pid)
        return code

    def revive(self) -> list[str]:
        """Start again what has ended by itself, as a supervisor would; returns `process, exit code` of each."""
        ended = [(name, code) for name, p in self._processes.items() if (code := p.poll()) is not None]
        for name, _ in ended:
            assert name == "producer" or name.startswith("worker-"), f"{name} ended by itself"
            self.kill(name)
            if name == "producer":
                self.start_producer()
            else:
                self.start_worker(int(name.removeprefix("worker-")))
        return [f"{name.split('-')[0]}, exit {code}" for name, code in ended]

    def runs(self, name: str) -> bool:
        """Whether the process was started and has not ended."""
        process = self._processes.get(name)
        return process is not None and process.poll() is None

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time of each process so far."""
        tick = os.sysconf("SC_CLK_TCK")
        seconds = {}
        for name, process in self._processes.items():
            fields = Path(f"/proc/{process.pid}/stat").read_text("ascii").rsplit(") ", 1)[1].split()
            seconds[name] = (int(fields[11]) + int(fields[12])) / tick
        return seconds

    def output(self, name: str) -> str:
        """What a process has written."""
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    def start(self, name: str, command: list[str], more: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """A process of ours under a name; its output goes to a file of that name."""
        with (self.folder / f"{name}.log").open("ab") as file:
            process = subprocess.Popen(
                command,
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=os.environ | self.environment() | (more or {}),
            )
        self._leash.hold(process.pid)
        self._processes[name] = process
        return process

    def environment(self) -> dict[str, str]:
        """What tells our processes where the engines are."""
        if self.settings.kafka is None or self.settings.clickhouse is None:
            return {}
        return {"PULSE_KAFKA": self.settings.kafka, "PULSE_CLICKHOUSE": self.settings.clickhouse.get_secret_value()}


def worker_name(slot: int) -> str:
    """The name of a worker's process."""
    return f"worker-{slot}"


def wait_until(true: Callable[[], bool], what: str, within_s: float = READY_WITHIN_S) -> None:
    """Poll; an AssertionError says what did not come true."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.1)
