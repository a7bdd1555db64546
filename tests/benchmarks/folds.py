"""Results a second that one core decodes and folds: batches, beside one message for each result."""

import gc
import resource
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Final

from msgspec.structs import replace

from schemas.enums import Outcome
from schemas.events import CheckBatch, CheckResult, LogEvent, Tick, decode_log, encode
from stream.folds import PartitionFold, Terms
from tests.benchmarks.report import alternate, report

MONITORS: Final = 1_000
INTERVAL_MS: Final = 10_000
ROUNDS: Final = 180
"""Half an hour of the log: results are kept, leave, and settle, several times over."""
BATCH: Final = 50
BATCHES_A_TICK: Final = 10
HELD: Final = 3_000
"""Monitors, whose memory is measured."""
HELD_MS: Final = 25 * 60_000
"""Until as many results leave as come."""
BEGIN: Final = 1_767_225_600_000
TERMS: Final = Terms(interval_ms=INTERVAL_MS, silence_ms=90_000)
MEDIANS_US: Final = (300, 4_000, 9_000, 12_000, 60)
SPREADS: Final = (0.5, 0.1, 0.15, 0.5, 0.6)
"""Of the phases' logarithms: they vary from result to result, as real ones do."""


def _phases() -> list[tuple[int, ...]]:
    random, shapes = Random(1), tuple(zip(MEDIANS_US, SPREADS, strict=True))
    return [tuple(round(median * random.lognormvariate(0, spread)) for median, spread in shapes) for _ in range(10_007)]


PHASES_US: Final = _phases()
"""A prime number of them, so that neither two monitors nor two rounds are alike."""


def _results() -> list[CheckResult]:
    """In the order of time; one in 200 fails, for two rounds."""
    return [_result(number, turn) for turn in range(ROUNDS) for number in range(MONITORS)]


def _result(number: int, turn: int) -> CheckResult:
    at = BEGIN + turn * INTERVAL_MS + number * INTERVAL_MS // MONITORS
    fails = (number + turn // 2) % 200 == 0
    place = number * 31 + turn * 97
    dns_us, connect_us, tls_us, ttfb_us, transfer_us = PHASES_US[place % len(PHASES_US)]
    return CheckResult(
        monitor=f"default/monitor-{number}",
        scheduled_at=at,
        started_at=at + place % 3,
        monitor_version=number,
        outcome=Outcome.DOWN if fails else Outcome.UP,
        status_code=500 if fails else 200,
        dns_us=dns_us,
        connect_us=connect_us,
        tls_us=tls_us,
        ttfb_us=ttfb_us,
        transfer_us=transfer_us,
        total_us=dns_us + connect_us + tls_us + ttfb_us + transfer_us,
        message="500 Internal Server Error" if fails else "",
    )


def _log(results: Sequence[CheckResult], size: int) -> list[bytes]:
    log: list[LogEvent] = []
    for begin in range(0, len(results), size):
        part = tuple(results[begin : begin + size])
        log.append(CheckBatch("probe", "local", part[-1].scheduled_at + 20, part))
        if begin % (BATCH * BATCHES_A_TICK) == 0:
            log.append(Tick(part[-1].scheduled_at + 20))
    return [encode(event) for event in log]


def _fold(log: Iterable[bytes]) -> float:
    """Results a second of this process's time."""
    fold = PartitionFold(lambda monitor, version: TERMS)
    started = time.process_time()
    for offset, value in enumerate(log):
        fold.fold(offset, decode_log(value))
    return ROUNDS * MONITORS / (time.process_time() - started)


def _state_bytes(log: Iterable[bytes]) -> float:
    fold = PartitionFold(lambda monitor, version: TERMS)
    for offset, value in enumerate(log):
        fold.fold(offset, decode_log(value))
    return sum(len(row.state) for row in fold.changed()) / MONITORS


def _bytes_a_monitor(interval_ms: int) -> float:
    """By how much this process grows as it folds HELD_MS of a fleet without an incident."""
    terms = Terms(interval_ms=interval_ms, silence_ms=max(90_000, 2 * interval_ms))
    fold = PartitionFold(lambda monitor, version: terms)
    offsets = count()
    before = _resident_bytes()
    for turn in range(HELD_MS // interval_ms):
        for first in range(0, HELD, BATCH * BATCHES_A_TICK):
            for event in _events_of(turn, first, interval_ms):
                fold.fold(next(offsets), decode_log(encode(event)))
    gc.collect()
    return (_resident_bytes() - before) / HELD


def _events_of(turn: int, first: int, interval_ms: int) -> Iterator[LogEvent]:
    for number in range(first, first + BATCH * BATCHES_A_TICK, BATCH):
        at = BEGIN + turn * interval_ms + number * interval_ms // HELD
        results = [_result(each, turn) for each in range(number, number + BATCH)]
        yield CheckBatch("probe", "local", at + 20, tuple(_healthy(result, at) for result in results))
    yield Tick(at + 20)


def _healthy(result: CheckResult, at: int) -> CheckResult:
    return replace(
        result,
        scheduled_at=at,
        started_at=at + result.started_at - result.scheduled_at,
        outcome=Outcome.UP,
        status_code=200,
        message="",
        certificate_expires_at=1_800_000_000_000,
    )


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def main() -> None:
    """Print the line."""
    started = time.monotonic()
    batches, messages = _log(_results(), BATCH), _log(_results(), 1)
    measured = alternate(lambda: _fold(batches), lambda: _fold(messages), rounds=3)
    report(
        "folds",
        measured.value,
        "results/s on one core",
        "one message for each result",
        measured.reference,
        started,
        state_bytes_a_monitor=round(_state_bytes(batches)),
        interval_ms=INTERVAL_MS,
        **_held(),
    )


def _held() -> dict[str, int]:
    """Memory, in processes that do nothing else."""
    found = {}
    for interval_ms in (10_000, 60_000):
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            grown = pool.submit(_bytes_a_monitor, interval_ms).result()
        found[f"rss_bytes_a_monitor_at_{interval_ms // 1_000}_s"] = round(grown)
    return found
