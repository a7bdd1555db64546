"""The one JSON line that every benchmark prints."""

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure and its reference, each the median of rounds that alternated."""

    value: float
    reference: float


def alternate(measure: Callable[[], float], reference: Callable[[], float], rounds: int = 5) -> Measured:
    """Run both in turn, so that a machine whose speed drifts drifts for both."""
    values, references = [], []
    for _ in range(rounds):
        references.append(reference())
        values.append(measure())
    return Measured(median(values), median(references))


def report(
    name: str, value: float, unit: str, reference_name: str, reference: float, started: float, **more: object
) -> None:
    """Print the line; `started` is time.monotonic() at the benchmark's beginning."""
    line = {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "reference": {"name": reference_name, "value": round(reference, 3)},
        "ratio": round(value / reference, 2) if reference else None,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(line | more), flush=True)


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `values` lie; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
