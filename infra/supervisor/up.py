"""`pulse up`: start everything in parallel where the order allows, keep it running, stop it in order."""

import asyncio
import signal
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from infra.clickhouse import migrate
from infra.embedded.kafka import prepare
from infra.kafka import provision_topics
from infra.ports import check_free
from infra.running import DataLock, Running
from infra.settings import Settings
from infra.supervisor.admin_key import admin_key
from infra.supervisor.child import Child, Service
from infra.supervisor.gauges import Gauges
from infra.supervisor.leash import Leash
from infra.supervisor.screen import Screen, notes
from infra.supervisor.topology import OWN_NETWORKS, ApplyFailed, Topology, with_metrics_ports

STOP_WITHIN_S: Final = 14.5
STOP_ORDER: Final = (("probe", "query", "demo"), ("stream",), ("kafka", "clickhouse"))
"""Who produces first, who consumes then, what they stand on last."""
STAGE_ENDS_S: Final = (7.5, 11.0, STOP_WITHIN_S)
"""How long after the beginning each stage has at most; what a stage does not need is for the next one."""
LOOK_EVERY_S: Final = 2.0


@dataclass(slots=True)
class Supervisor:
    """One `pulse up`. `run` returns after a signal, when all is stopped."""

    settings: Settings
    demo: bool
    screen: Screen
    lock: DataLock
    leash: Leash
    children: dict[str, Child] = field(default_factory=dict)
    _topology: Topology = field(init=False)
    _started_at: int = field(default_factory=lambda: int(time.time() * 1000))
    _live: bool = False

    async def run(self) -> None:
        """Raises what keeps it from starting, after everything that was started is stopped again."""
        stop = asyncio.Event()
        for number in _stop_signals():
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        starting = asyncio.create_task(self._start())
        watching = asyncio.create_task(self._watch())
        stopping = asyncio.create_task(stop.wait())
        try:
            await _first(starting, stopping, watching)
            await _first(stopping, watching)
        finally:
            await _cancel(starting, stopping)
            await self._stop()
            await _cancel(watching)

    async def _start(self) -> None:
        began = time.monotonic()
        settings = with_metrics_ports(self.settings)
        folder = settings.data.absolute()
        key = settings.admin_key.get_secret_value() if settings.admin_key else admin_key(folder)
        self._topology = Topology(settings, folder, key)
        self._topology.logs.mkdir(exist_ok=True)
        self._check_ports()
        kafka, clickhouse = await _together(self._start_kafka(), self._start_clickhouse())
        engines = settings.model_copy(update={"kafka": kafka, "clickhouse": clickhouse})
        self._topology = Topology(engines, folder, key)
        await _together(provision_topics(engines), migrate(engines))
        self._live = True
        services = [self._topology.query(), self._topology.stream(), self._topology.probe()]
        if self.demo:
            services.append(self._topology.demo())
        await _together(*map(self._start_child, services))
        if self.demo:
            await self._apply_demo()
        self.screen.say(f"{self._page} is live after {time.monotonic() - began:.1f} s")
        self.screen.say_unless_shown(self._notes())

    def _check_ports(self) -> None:
        settings = self._topology.settings
        check_free(settings.http_host, settings.http_port, "PULSE_HTTP")
        if settings.clickhouse is None:
            check_free("127.0.0.1", settings.embedded_clickhouse_port, "PULSE_EMBEDDED_CLICKHOUSE_PORT")
        if self.demo:
            check_free("127.0.0.1", settings.demo_port, "PULSE_DEMO_PORT")

    async def _start_kafka(self) -> str:
        if self.settings.kafka is not None:
            return self.settings.kafka
        topology = self._topology
        broker = await asyncio.to_thread(prepare, topology.settings, topology.folder / "kafka", topology.logs)
        await self._start_child(topology.kafka(broker))
        return broker.address

    async def _start_clickhouse(self) -> Any:
        if self.settings.clickhouse is not None:
            return self.settings.clickhouse
        await self._start_child(self._topology.clickhouse())
        return self._topology.clickhouse_url()

    async def _apply_demo(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._topology.apply_demo(),
            env=self._topology.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self.leash.hold(process.pid)
        output, _ = await process.communicate()
        self.leash.release(process.pid)
        if process.returncode != 0:
            raise ApplyFailed(output.decode("utf-8", "replace"))

    async def _start_child(self, service: Service) -> None:
        child = self.children[service.name] = Child(service, self.leash, self.screen.say, self._publish)
        await child.start()

    def _publish(self) -> None:
        """Tell other terminals, as soon as there is something to talk to."""
        if not self._live:
            return
        try:
            self.lock.publish(self._running())
        except OSError as error:
            self.screen.say(f"other terminals cannot find this one: {error}")

    def _running(self) -> Running:
        environment = self._topology.environment()
        return Running(
            kafka=environment["PULSE_KAFKA"],
            clickhouse=environment["PULSE_CLICKHOUSE"],
            http=self._topology.settings.http,
            api_key=self._topology.key,
            demo_port=self._topology.settings.demo_port,
            demo_url=self._topology.demo_url if self.demo else None,
            pids={name: child.pid for name, child in self.children.items() if child.pid is not None},
            started_at=self._started_at,
        )

    @property
    def _page(self) -> str:
        return f"{self.settings.base_url}/p/demo" if self.demo else f"{self.settings.base_url}/docs"

    def _notes(self) -> list[str]:
        own_networks = self._live and self._topology.environment()["PULSE_PROBE_ALLOW"] == OWN_NETWORKS
        return notes(self._page, self.demo, self.settings.data, own_networks)

    async def _watch(self) -> None:
        gauges = Gauges()
        try:
            while True:
                for child in self.children.values():
                    child.bound_log()
                if self.screen.is_shown:
                    if self._live:
                        await gauges.read(self._topology.settings)
                    self._show(gauges.doing)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await gauges.close()
            self._show({})

    def _show(self, doing: dict[str, str]) -> None:
        self.screen.show(list(self.children.values()), doing, self._notes())

    async def _stop(self) -> None:
        self.screen.say("stopping")
        began = time.monotonic()
        for child in self.children.values():
            child.let_end()
        for names, ends_s in zip(STOP_ORDER, STAGE_ENDS_S, strict=True):
            left_s = began + ends_s - time.monotonic()
            await asyncio.gather(*(self.children[name].stop(left_s) for name in names if name in self.children))
        self.screen.say("stopped")


def _stop_signals() -> tuple[signal.Signals, ...]:
    """Those that stop everything; a terminal that closes does not where it was started with `nohup`."""
    closed = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGINT, signal.SIGTERM, *closed)


async def _together(*works: Coroutine[Any, Any, Any]) -> Sequence[Any]:
    """The results of all; the first failure ends the others and comes through."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await _cancel(*tasks)


async def _first(*tasks: "asyncio.Task[Any]") -> None:
    """Return when one of them has ended. Raises what it raised."""
    ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in ended:
        task.result()


async def _cancel(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
