"""The whole product as a person starts it: `pulse up --demo`, on free ports and a data folder of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from tests.engines import free_ports

START_LIMIT_S = 120
STOP_LIMIT_S = 30


def wait_until(condition: Callable[[], bool], what: str, within_s: float = 60, every_s: float = 0.1) -> None:
    """Look again and again until `condition` holds; fail with `what` was awaited."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {within_s} s still not: {what}")
        time.sleep(every_s)


@dataclass
class Product:
    """One running `pulse up --demo`; a context manager that starts and stops it."""

    data: Path
    log: Path = field(init=False)
    environment: dict[str, str] = field(init=False)
    client: httpx.Client = field(init=False)
    demo: httpx.Client = field(init=False)
    up_after_s: float = field(init=False)

    def __post_init__(self) -> None:
        http, kafka, controller, clickhouse, demo = free_ports(5)
        self.log = self.data / "up.log"
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("PULSE_")} | {
            "PULSE_DATA": str(self.data),
            "PULSE_HTTP": f"127.0.0.1:{http}",
            "PULSE_EMBEDDED_KAFKA_PORT": str(kafka),
            "PULSE_EMBEDDED_KAFKA_CONTROLLER_PORT": str(controller),
            "PULSE_EMBEDDED_CLICKHOUSE_PORT": str(clickhouse),
            "PULSE_DEMO_PORT": str(demo),
        }
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=20, trust_env=False)
        self.demo = httpx.Client(base_url=f"http://127.0.0.1:{demo}", timeout=20, trust_env=False)

    def __enter__(self) -> Self:
        self.data.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command("up", "--demo", "--headless"), env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            wait_until(self.everything_is_up, "every monitor of the demo page is up", START_LIMIT_S)
        except BaseException:
            self.__exit__()
            raise
        self.up_after_s = time.monotonic() - began
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_LIMIT_S)
        finally:
            self.process.kill()

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """The `pulse` command with these arguments."""
        return [sys.executable, "-m", "infra.cli", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `pulse` in another terminal, so to speak."""
        return subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def status(self) -> dict[str, Any]:
        """What GET /status/demo answers; empty while there is no such page yet."""
        assert self.process.poll() is None, f"`pulse up` ended: {self.log.read_text()[-2000:]}"
        try:
            answer = self.client.get("/status/demo")
        except httpx.TransportError:
            return {}
        return dict(answer.json()) if answer.status_code == 200 else {}

    def monitors(self) -> dict[str, dict[str, Any]]:
        """The monitors of the demo page, by slug."""
        groups = self.status().get("groups", [])
        return {monitor["slug"]: monitor for group in groups for monitor in group["monitors"]}

    def results(self, monitor: str, limit: int) -> list[dict[str, Any]]:
        """The newest stored results of a monitor; none while nothing answers."""
        key = (self.data / "admin-key").read_text().strip()
        try:
            answer = self.client.get(
                "/v1/analytics/results",
                params={"monitor": monitor, "limit": limit},
                headers={"Authorization": f"Bearer {key}"},
            )
        except httpx.TransportError:
            return []
        return list(answer.json()["results"]) if answer.status_code == 200 else []

    def everything_is_up(self) -> bool:
        """Every monitor of the demo page is up."""
        monitors = self.monitors()
        return bool(monitors) and all(monitor["status"] == "up" for monitor in monitors.values())
