"""What a probe says of itself in /metrics: read from its parts when asked, so that a check pays nothing for it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from probes.service import ProbeService


class ProbeMetrics(Collector):
    """The figures of one probe."""

    def __init__(self, service: "ProbeService") -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Every figure, now."""
        service, schedule, emitted = self._service, self._service.schedule.counters, self._service.emitter.counters
        results = CounterMetricFamily(
            "pulse_probe_checks", "Checks that ended, by what they found.", labels=("outcome", "reason")
        )
        for (outcome, reason), count in service.results.items():
            results.add_metric((outcome, reason), count)
        yield results
        for name, help_text, value in (
            ("slots_missed", "Slots that could not start within their interval; told as unknown.", schedule.missed),
            ("slots_forgotten", "Slots missed too long ago to be told: the machine slept.", schedule.forgotten),
            ("results_delivered", "Results that Kafka acknowledged.", emitted.delivered),
            ("results_spooled", "Results that had to wait on disk.", emitted.spooled),
            ("results_lost", "Results that neither Kafka nor the disk took.", service.emitter.lost_results),
            ("monitors_unreadable", "Records of monitors that could not be read.", service.table.undecodable),
        ):
            yield CounterMetricFamily(f"pulse_probe_{name}", help_text, value=value)
        for name, help_text, gauge in (
            ("monitors", "Monitors that this probe checks.", len(service.schedule)),
            ("checks_in_flight", "Checks that have started and not ended.", service.schedule.in_flight),
            ("spool_results", "Results that wait on disk.", service.emitter.spool.results),
            ("spool_bytes", "Disk that they take.", service.emitter.spool.size_bytes),
            ("offline", "1 while the probe has lost its own network.", int(service.network.offline)),
            ("loop_lag_seconds", "The worst lag of the event loop since the last look.", service.lag.take_worst_s()),
        ):
            yield GaugeMetricFamily(f"pulse_probe_{name}", help_text, value=gauge)
