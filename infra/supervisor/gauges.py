"""Figures of the running services: memory from the system, rates and lag from their /metrics."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from infra.settings import Settings

CHECKS: Final = "pulse_probe_checks_total"
RESULTS: Final = "pulse_stream_results_total"
LAG: Final = "pulse_stream_lag_events"
ANSWERS: Final = "pulse_query_public_answers_total"


def memory_bytes(pid: int | None) -> int:
    """The memory of a process and its children that is their own share (PSS where the system tells, else RSS)."""
    if pid is None:
        return 0
    try:
        process = psutil.Process(pid)
        return sum(_own_bytes(each) for each in (process, *process.children(recursive=True)))
    except psutil.Error:  # it has just ended
        return 0


def _own_bytes(process: psutil.Process) -> int:
    memory = process.memory_full_info()
    return int(getattr(memory, "pss", memory.rss))


@dataclass(slots=True)
class Gauges:
    """What each service does now, as a few words; refreshed by `read`."""

    doing: dict[str, str] = field(default_factory=dict)
    _client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False, timeout=1))
    _counts: dict[str, tuple[float, float]] = field(default_factory=dict)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def read(self, settings: Settings) -> None:
        """Ask every service for its metrics; one that does not answer has nothing to show."""
        probe, stream, query = await asyncio.gather(
            _sums(self._client, f"http://127.0.0.1:{settings.probe_metrics_port}/metrics"),
            _sums(self._client, f"http://127.0.0.1:{settings.stream_metrics_port}/metrics"),
            _sums(self._client, f"http://{settings.http}/metrics"),
        )
        self.doing = {
            "probe": self._rate(CHECKS, probe, "checks/s"),
            "stream": " ".join(filter(None, (self._rate(RESULTS, stream, "results/s"), _lag(stream)))),
            "query": self._rate(ANSWERS, query, "answers/s"),
        }

    def _rate(self, name: str, sums: dict[str, float], unit: str) -> str:
        if name not in sums:
            return ""
        now, count = time.monotonic(), sums[name]
        before, counted = self._counts.get(name, (now, count))
        self._counts[name] = now, count
        rate = (count - counted) / (now - before) if now > before and count >= counted else 0.0
        return f"{rate:,.1f} {unit}"


def _lag(sums: dict[str, float]) -> str:
    return f"{sums[LAG]:,.0f} behind" if LAG in sums else ""


async def _sums(client: httpx.AsyncClient, url: str) -> dict[str, float]:
    """The sum of every metric over its labels."""
    try:
        answer = await client.get(url)
    except httpx.TransportError:
        return {}
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.text if answer.status_code == 200 else ""):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums
