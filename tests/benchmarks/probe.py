"""Whole checks a second on one core over HTTP, next to stock httpx's bare fetches and to bare sockets."""

import time
from statistics import median

from tests.benchmarks._checks import bare_sockets, latency_ms, log, stock_fetches, target, whole_checks
from tests.benchmarks.report import report

ROUNDS = 5


def main() -> None:
    """Print the line."""
    started = time.monotonic()
    with log() as settings, target() as url:
        rounds = [(stock_fetches(url), whole_checks(url, settings), bare_sockets(url)) for _ in range(ROUNDS)]
        stock, ours, floor = zip(*rounds, strict=True)
        report(
            "probe",
            median(rate.per_second for rate in ours),
            "checks/s",
            "httpx 0.28, a fetch over a fresh connection, fetches/s",
            median(rate.per_second for rate in stock),
            started,
            cpu_us_per_check=round(median(rate.cpu_us for rate in ours), 1),
            reference_cpu_us=round(median(rate.cpu_us for rate in stock), 1),
            floor={
                "name": "bare sockets",
                "value": round(median(rate.per_second for rate in floor)),
                "cpu_us": round(median(rate.cpu_us for rate in floor), 1),
            },
            latency_ms={f"{rate}/s": latency_ms(url, rate) for rate in (100, 1_000)},
        )
