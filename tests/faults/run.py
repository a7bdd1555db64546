"""A run: results flow, faults happen, and at the end everything equals the log."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from stream.lag import measure_lag
from tests.faults.history import INTERVAL_MS, REGIONS
from tests.faults.oracle import Verdict, compare
from tests.faults.processes import Installation, wait_until, worker_name

STANDS_STILL_S: Final = 90


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, and what came of it. `exits`: how often a process left by itself, and its exit code."""

    faults: Counter[str]
    exits: Counter[str]
    verdict: Verdict
    acknowledged: int
    lost: int

    def check(self) -> None:
        """AssertionError where anything was lost, doubled or different."""
        assert not self.verdict.differences, self.verdict.differences
        assert self.lost == 0, f"{self.lost} acknowledged results are not in the log"
        assert self.verdict.stored == len(self.verdict.identities) == self.verdict.rows["check_results"]


def run_faults(installation: Installation, faults: Sequence[str], pause_s: float) -> Report:
    """Let results flow, do the faults one after the other, and compare."""
    done: Counter[str] = Counter()
    exits: Counter[str] = Counter()
    installation.start_worker(0)
    installation.start_producer()
    wait_until(lambda: installation.acknowledged.exists(), "results flow")
    for fault in faults:
        _let_flow(installation, pause_s, exits)
        FAULTS[fault](installation)
        done[fault] += 1
    _let_flow(installation, pause_s, exits)
    installation.kill("producer")
    _settle(installation, exits)
    for slot in (0, 1):
        if installation.runs(worker_name(slot)):
            installation.stop(worker_name(slot))
    verdict = asyncio.run(compare(installation.settings))
    acknowledged = _acknowledged(installation)
    lost = len(acknowledged - verdict.identities)
    return Report(done, exits, verdict, len(acknowledged), lost)


def _let_flow(installation: Installation, seconds: float, exits: Counter[str]) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        exits.update(installation.revive())
        time.sleep(0.1)


def _settle(installation: Installation, exits: Counter[str]) -> None:
    """Wait until all that was in the log when the producer ended is durable; however long that takes, it goes on."""
    ends = {lag.partition: lag.end for lag in asyncio.run(measure_lag(installation.settings))}
    durable: dict[int, int] = {}
    moved_at = time.monotonic()
    while any(durable.get(partition, -1) < end - 1 for partition, end in ends.items()):
        exits.update(installation.revive())
        lags = asyncio.run(measure_lag(installation.settings))
        if (now := {lag.partition: lag.durable for lag in lags}) != durable:
            durable, moved_at = now, time.monotonic()
        assert time.monotonic() - moved_at < STANDS_STILL_S, f"the stream stands still: {lags}"
        time.sleep(0.1)


def _acknowledged(installation: Installation) -> set[tuple[str, str, int]]:
    slots = {int(line) for line in installation.acknowledged.read_text("ascii").split()}
    return {
        (monitor, region, slot * INTERVAL_MS)
        for slot in slots
        for monitor in installation.versions
        for region in REGIONS
    }


def _kill_worker(installation: Installation) -> None:
    slot = random.choice([slot for slot in (0, 1) if installation.runs(worker_name(slot))])
    installation.kill(worker_name(slot))
    installation.start_worker(slot)


def _freeze_worker(installation: Installation) -> None:
    """Longer than its session: it wakes up as a zombie, while another one has its partitions, if there is one."""
    name = worker_name(random.choice([slot for slot in (0, 1) if installation.runs(worker_name(slot))]))
    installation.signal(name, signal.SIGSTOP)
    time.sleep(random.choice([0.5, 3, 12]))
    installation.signal(name, signal.SIGCONT)


def _rebalance(installation: Installation) -> None:
    """A second worker comes, or goes."""
    if installation.runs(worker_name(1)):
        installation.stop(worker_name(1))
    else:
        installation.start_worker(1)


def _kill_kafka(installation: Installation) -> None:
    installation.kill("kafka")
    installation.start_kafka()


def _kill_clickhouse(installation: Installation) -> None:
    installation.kill("clickhouse")
    installation.start_clickhouse()


def _kill_producer(installation: Installation) -> None:
    installation.kill("producer")
    installation.start_producer()


FAULTS: Final[dict[str, Callable[[Installation], None]]] = {
    "kill producer": _kill_producer,
    "kill worker": _kill_worker,
    "kill kafka": _kill_kafka,
    "kill clickhouse": _kill_clickhouse,
    "freeze worker": _freeze_worker,
    "rebalance": _rebalance,
    "revise monitors": Installation.revise_monitors,
    "correct records": Installation.correct_records,
}
