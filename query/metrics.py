"""What the query service counts, in one list; `/metrics` tells it."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import REGISTRY, Counter
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

LEFT_OUT: Final = Counter(
    "pulse_query_left_out", "Records, events and rows that could not be read and are not shown.", ["source"]
)
PUBLIC_ANSWERS: Final = {200: 0, 304: 0}
"""Plain numbers, which the event loop alone counts up: a Counter's lock takes as long as finding an answer does."""


class _PublicAnswers(Collector):
    def collect(self) -> Iterator[CounterMetricFamily]:
        told = CounterMetricFamily("pulse_query_public_answers", "Prepared answers given.", labels=["code"])
        for code, count in PUBLIC_ANSWERS.items():
            told.add_metric([str(code)], count)
        yield told


REGISTRY.register(_PublicAnswers())
