"""A gateway of one's own: a process on a free port with a folder that the test throws away."""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.engines import answers, free_ports

START_S = 30.0
STOP_S = 20.0
CLIENT = httpx.Client(timeout=60, trust_env=False, verify=False)


@dataclass(slots=True)
class Gateway:
    """A running gateway."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its HTTP interface."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def password(self) -> str:
        """Of the user `default`."""
        return (self.folder / "password").read_text()

    @property
    def reader_password(self) -> str:
        """Of the user `reader`."""
        return (self.folder / "reader-password").read_text()

    def settings_url(self, database: str = "pulse") -> str:
        """PULSE_CLICKHOUSE for it."""
        return f"http://default:{self.password}@127.0.0.1:{self.port}/{database}"

    def post(
        self, sql: str | bytes, user: str = "default", headers: dict[str, str] | None = None, **params: str | int
    ) -> httpx.Response:
        """The answer to a statement in the body."""
        password = self.reader_password if user == "reader" else self.password
        return CLIENT.post(
            self.url,
            content=sql,
            params=params,
            auth=(user, password),
            headers={"Accept-Encoding": "identity"} | (headers or {}),
        )

    def rows(self, sql: str, **params: str | int) -> list[list[str]]:
        """The rows of a statement, as text."""
        response = self.post(sql, **params)
        assert response.status_code == 200, response.text
        return [line.split("\t") for line in response.text.splitlines()]

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


def launch(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """The process, not yet ready."""
    command = [sys.executable, "-m", "infra.embedded.clickhouse", "--data", str(folder), "--port", str(port)]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with log_of(folder).open("ab") as log:
        return subprocess.Popen(command, stderr=log, start_new_session=True)


def log_of(folder: Path) -> Path:
    """What the gateway of that folder said on stderr."""
    return folder.with_name(f"{folder.name}.log")


def start(folder: Path) -> Gateway:
    """A gateway that answers."""
    (port,) = free_ports(1)
    gateway = Gateway(folder, port, launch(folder, port))
    give_up_at = time.monotonic() + START_S
    while time.monotonic() < give_up_at:
        if gateway.process.poll() is not None:
            raise AssertionError(f"the gateway ended: {log_of(folder).read_text()}")
        if answers(f"{gateway.url}/ping"):
            return gateway
        time.sleep(0.02)
    gateway.kill()
    raise AssertionError(f"the gateway did not answer within {START_S} s")
