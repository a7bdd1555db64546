"""`pulse up --demo` as a person runs it: how soon, how big, and how it ends.

The last module of this folder: its tests end the product.
"""

import json
import os
import signal
import time
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
    sizes = {name_of(process): own_bytes(process) for process in family(product)}
    ARTIFACT.parent.mkdir(exist_ok=True)
    memory_mib = {name: size >> 20 for name, size in sizes.items()}
    ARTIFACT.write_text(
        json.dumps({"seconds_to_all_monitors_up": round(product.up_after_s, 1), "memory_mib": memory_mib}, indent=2)
    )

    assert sum(sizes.values()) <= MEMORY_LIMIT_BYTES


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


def test_kill_9_leaves_no_orphan_and_the_next_start_goes_on_until_sigterm_stops_all_in_order(product: Product) -> None:
    processes = family(product)
    product.process.kill()
    product.process.wait()
    wait_until(lambda: alive(processes) == [], "all are gone", 20)

    with Product(product.data) as again:
        assert set(again.monitors()) == {"shop-api", "shop-orders", "shop-report", "shop-payments", "shop-worker"}
        processes, began = family(again), time.monotonic()

        again.process.send_signal(signal.SIGTERM)
        assert again.process.wait(STOP_WITHIN_S + 5) == 0

        assert time.monotonic() - began <= STOP_WITHIN_S
        assert alive(processes) == []
        assert "is killed" not in again.log.read_text()
