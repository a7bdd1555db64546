"""`pulse up --demo` as a person runs it: how soon, how big, and how it ends."""

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psutil
import pytest

from infra.running import Running
from tests.end_to_end.product import START_LIMIT_S, Product, wait_until

pytestmark = pytest.mark.engines
STOP_WITHIN_S = 15
ARTIFACT = Path(__file__).parents[2] / "artifacts" / "up.json"
MEMORY_LIMIT_BYTES = 1_200_000_000


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product of this module's own: its tests end it."""
    began = time.monotonic()
    with Product(tmp_path_factory.mktemp("up")) as running:
        seconds = time.monotonic() - began
        sizes = {name_of(process): own_bytes(process) >> 20 for process in family(running)}
        ARTIFACT.parent.mkdir(exist_ok=True)
        ARTIFACT.write_text(
            json.dumps({"seconds_to_all_monitors_up": round(seconds, 1), "memory_mib": sizes}, indent=2)
        )
        yield running


def family(product: Product) -> list[psutil.Process]:
    """The supervisor and all its descendants."""
    supervisor = psutil.Process(product.process.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def newest_result(product: Product) -> datetime:
    """When the newest stored result of the monitor `shop-api` was due; the beginning of time while nothing answers."""
    results = product.results("shop-api", 1)
    return max(
        (datetime.fromisoformat(one["scheduled_at"]) for one in results), default=datetime.min.replace(tzinfo=UTC)
    )


def name_of(process: psutil.Process) -> str:
    """Its program, in a word or two."""
    return " ".join(Path(part).name for part in process.cmdline()[-2:])


def own_bytes(process: psutil.Process) -> int:
    """Its memory, shared pages counted once over all processes."""
    memory = process.memory_full_info()
    return int(getattr(memory, "pss", memory.rss))


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run."""
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_all_processes_together_take_at_most_1200_mb(product: Product) -> None:
    assert sum(map(own_bytes, family(product))) <= MEMORY_LIMIT_BYTES


def test_other_terminals_find_it_by_its_data_folder(product: Product) -> None:
    running = msgspec.json.decode((product.data / "run.json").read_bytes(), type=Running)

    assert running.http == product.environment["PULSE_HTTP"]
    assert set(running.pids) == {"kafka", "clickhouse", "probe", "stream", "query", "demo"}
    assert all(map(psutil.pid_exists, running.pids.values()))


def test_a_second_one_on_the_same_folder_is_refused(product: Product) -> None:
    ended = product.run("up", "--headless")

    assert ended.returncode == 1
    assert f"process {product.process.pid}" in ended.stderr


@pytest.mark.parametrize("name", ["probe", "stream", "query", "clickhouse", "kafka"])
def test_what_is_killed_comes_back_and_results_flow_on(product: Product, name: str) -> None:
    running = msgspec.json.decode((product.data / "run.json").read_bytes(), type=Running)
    killed_at = datetime.now(UTC)
    os.kill(running.pids[name], signal.SIGKILL)

    wait_until(lambda: f"{name} ended with signal 9, restarting" in product.log.read_text(), "the restart is told")
    wait_until(lambda: newest_result(product) > killed_at + timedelta(seconds=1), "results flow", START_LIMIT_S, 0.5)


def test_sigterm_stops_all_in_time_and_in_order(product: Product) -> None:
    processes = family(product)
    began = time.monotonic()

    product.process.send_signal(signal.SIGTERM)
    assert product.process.wait(STOP_WITHIN_S + 5) == 0

    assert time.monotonic() - began <= STOP_WITHIN_S
    assert alive(processes) == []
    assert "is killed" not in product.log.read_text()


def test_kill_9_leaves_no_orphan_and_the_next_start_goes_on(tmp_path: Path) -> None:
    with Product(tmp_path) as product:
        processes = family(product)
        product.process.kill()
        product.process.wait()
        wait_until(lambda: alive(processes) == [], "all are gone", 20)

    with Product(tmp_path) as again:
        assert set(again.monitors()) == {"shop-api", "shop-orders", "shop-report", "shop-payments", "shop-worker"}
