"""What `pulse up` runs, and with which environment. Nothing is started here."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import httpx
from pydantic import SecretStr

from infra.embedded.kafka import Broker
from infra.logs import last_line
from infra.ports import free_port
from infra.settings import Settings
from infra.supervisor.child import ExitCode, Service

ANSWER_WITHIN_S: Final = 60.0
DEMO_PORT_IN_FILE: Final = 18000
OWN_NETWORKS: Final = "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
"""What the probe of `pulse up` may check besides public addresses; metadata addresses stay denied."""
OUR_MODULE: Final = (sys.executable, "-P", "-m")
"""Runs a module of ours, whatever lies in the folder where we are: a FastAPI app has its own `schemas`, too."""


class NotReady(RuntimeError):
    """A service was started and ended, or does not answer."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        super().__init__(f"{name} {what}. The last line of {log}: {last_line(log) or '(empty)'}")


class ApplyFailed(RuntimeError):
    """The demo's monitors could not be created."""

    def __init__(self, output: str) -> None:
        super().__init__(f"The demo's monitors and page could not be created: {output.strip() or 'no word why'}")


@dataclass(frozen=True, slots=True)
class Topology:
    """The services of one installation in `folder`; `settings` has the addresses of both engines."""

    settings: Settings
    folder: Path
    key: str

    @property
    def logs(self) -> Path:
        """Where every service writes its log."""
        return self.folder / "logs"

    @property
    def demo_url(self) -> str:
        """Where the sample app answers."""
        return f"http://127.0.0.1:{self.settings.demo_port}"

    def kafka(self, broker: Broker) -> Service:
        """The embedded broker."""
        return Service(
            name="kafka",
            command=broker.command,
            log=broker.output,
            own_log=broker.log,
            where=broker.address,
            environment=dict(os.environ),
            ready=broker.wait_until_ready,
            ended=broker.keep_archive,
        )

    def clickhouse(self) -> Service:
        """The embedded ClickHouse."""
        port = self.settings.embedded_clickhouse_port
        arguments = ["--data", str(self.folder / "clickhouse"), "--port", str(port)]
        log = self.logs / "clickhouse.log"
        return Service(
            name="clickhouse",
            command=[*OUR_MODULE, "infra.embedded.clickhouse", *arguments],
            log=log,
            where=f"127.0.0.1:{port}",
            environment=dict(os.environ),
            ready=_answers("clickhouse", f"http://127.0.0.1:{port}/ping", log),
        )

    def clickhouse_url(self) -> SecretStr:
        """The embedded ClickHouse for clients; there once it has answered."""
        password = (self.folder / "clickhouse" / "password").read_text("ascii").strip()
        return SecretStr(f"http://default:{password}@127.0.0.1:{self.settings.embedded_clickhouse_port}/pulse")

    def probe(self) -> Service:
        """One probe of the region."""
        return self._own("probe", f"127.0.0.1:{self.settings.probe_metrics_port}/metrics")

    def stream(self) -> Service:
        """One stream worker."""
        return self._own("stream", f"127.0.0.1:{self.settings.stream_metrics_port}/metrics")

    def query(self) -> Service:
        """The query service."""
        log = self.logs / "query.log"
        return self._own("query", self.settings.http, _answers("query", f"http://{self.settings.http}/readyz", log))

    def demo(self) -> Service:
        """The sample app."""
        log = self.logs / "demo.log"
        return Service(
            name="demo",
            command=[*OUR_MODULE, "infra.demo"],
            log=log,
            where=self.demo_url,
            environment=self.environment(),
            ready=_answers("demo", f"{self.demo_url}/_demo", log),
        )

    def apply_demo(self) -> list[str]:
        """The command that creates the monitors and the page of the sample app, at the port where it is."""
        text = files("infra.demo").joinpath("pulse.yaml").read_text("utf-8")
        path = self.folder / "demo" / "pulse.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace(f":{DEMO_PORT_IN_FILE}", f":{self.settings.demo_port}"), "utf-8")
        return [*OUR_MODULE, "infra.cli", "apply", "-f", str(path), "--yes"]

    def environment(self) -> dict[str, str]:
        """This process's environment, with the settings that make our services one installation."""
        settings = self.settings
        assert settings.kafka is not None
        assert settings.clickhouse is not None
        return (
            {"PULSE_PROBE_ALLOW": OWN_NETWORKS}
            | os.environ
            | {
                "PULSE_DATA": str(self.folder),
                "PULSE_KAFKA": settings.kafka,
                "PULSE_CLICKHOUSE": settings.clickhouse.get_secret_value(),
                "PULSE_HTTP": settings.http,
                "PULSE_ADMIN_KEY": self.key,
                "PULSE_API_KEY": self.key,
                "PULSE_DEMO_PORT": str(settings.demo_port),
                "PULSE_PROBE_METRICS_PORT": str(settings.probe_metrics_port),
                "PULSE_STREAM_METRICS_PORT": str(settings.stream_metrics_port),
            }
        )

    def _own(self, name: str, where: str, ready: Callable[[ExitCode], Awaitable[None]] | None = None) -> Service:
        return Service(
            name=name,
            command=[*OUR_MODULE, "infra.cli", name],
            log=self.logs / f"{name}.log",
            where=where,
            environment=self.environment(),
            ready=ready,
        )


def with_metrics_ports(settings: Settings) -> Settings:
    """The settings, with free ports for metrics where none are set: the screen reads them."""
    return settings.model_copy(
        update={
            "probe_metrics_port": settings.probe_metrics_port or free_port(),
            "stream_metrics_port": settings.stream_metrics_port or free_port(),
        }
    )


def _answers(name: str, url: str, log: Path) -> Callable[[ExitCode], Awaitable[None]]:
    """Waits until a GET answers 200. Raises NotReady."""

    async def wait(exit_code: ExitCode) -> None:
        deadline = time.monotonic() + ANSWER_WITHIN_S
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            while not await _is_200(client, url):
                if (code := exit_code()) is not None:
                    raise NotReady(name, f"ended with exit code {code}", log)
                if time.monotonic() > deadline:
                    raise NotReady(name, f"does not answer at {url} after {ANSWER_WITHIN_S:.0f} s", log)
                await asyncio.sleep(0.05)

    return wait


async def _is_200(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.TransportError:
        return False
