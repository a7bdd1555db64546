"""Generated requests to every operation of the document, and what of their answers the document does not tell."""

from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from typing import Any, Final

import requests  # noqa: TID251 - schemathesis speaks by it
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.query.story import SLUG, SLUGS

WORKERS: Final = 4
METHODS: Final = ("POST", "GET", "PUT", "PATCH", "DELETE")
"""What makes is asked first, what deletes last: each finds what the ones before it have left."""
NOW: Final = datetime.now(UTC).replace(microsecond=0)
KNOWN: Final[dict[str, tuple[Any, ...]]] = {
    "monitor": SLUGS,
    "incident": ("c-2", "s-9"),
    "badge": ("status", "uptime", "latency"),
    "form": ("csv", "arrow", "parquet"),
    "extension": ("svg", "json"),
    "file": ("summary.json", "incidents.json", "scheduled-maintenances/active.json"),
    "feed": ("history.atom", "history.rss", "maintenance.ics"),
    "query": ("SELECT monitor, day, up_ms FROM pulse_uptime_daily LIMIT 10", "SELECT count() FROM pulse_incidents"),
    "scheduled_at": (int(NOW.timestamp() * 1000),),
    "from": ((NOW - timedelta(hours=2)).isoformat(),),
    "to": ((NOW - timedelta(hours=1)).isoformat(),),
    "starts_at": ((NOW + timedelta(days=1)).isoformat(),),
    "ends_at": ((NOW + timedelta(days=2)).isoformat(),),
    "monitors": (["api"], ["docs", "mail"]),
}
"""What there is, by the name of a parameter or of a body's field: a generated one finds nothing, again and again."""
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

schemathesis.openapi.format(
    "uri", strategies.sampled_from(["https://a.example/", "http://b.example:8000/x?y=1", "ftp://c"])
)


@dataclass
class Findings:
    """What was asked, what was answered, and what was wrong with it."""

    answers: defaultdict[str, Counter[int]] = field(default_factory=partial(defaultdict, Counter))
    """Of each operation, how many had which status."""
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    """The first of a kind, by operation and title: how to make it again."""

    @property
    def requests(self) -> int:
        """How many were made."""
        return sum(told.total() for told in self.answers.values())

    def add(self, other: "Findings") -> None:
        """Count another's too."""
        for label, told in other.answers.items():
            self.answers[label].update(told)
        self.failures = other.failures | self.failures

    def __str__(self) -> str:
        lines = [
            f"{told.total():7} {label}: {', '.join(f'{status} x {count}' for status, count in sorted(told.items()))}"
            for label, told in self.answers.items()
        ]
        failures = [f"{label}: {title}\n{told}" for (label, title), told in self.failures.items()]
        return "\n\n".join(["\n".join(lines), *failures])


def fuzz(base_url: str, key: str, wanted: int, *, derandomize: bool = False) -> Findings:
    """At least `wanted` requests with an admin key, evenly over all operations whose inputs are not used up."""
    findings = Findings()
    with ProcessPoolExecutor(WORKERS, get_context("spawn"), _load, (base_url, key)) as pool:
        left = sorted(pool.submit(_labels).result(), key=lambda label: METHODS.index(label.split()[0]))
        while left and findings.requests < wanted:
            share = -(-(wanted - findings.requests) // len(left))
            asked = list(pool.map(_ask, left, repeat(share), repeat(derandomize)))
            for part in asked:
                findings.add(part)
            left = [label for label, part in zip(left, asked, strict=True) if part.requests >= share]
    return findings


# Of a worker's process: the document's operations by label, and its connection.
_operations: Final[dict[str, Any]] = {}
_session: Final = requests.Session()


def _load(base_url: str, key: str) -> None:
    document = schemathesis.openapi.from_url(f"{base_url}/openapi.json")
    _operations.update((found.ok().label, found.ok()) for found in document.get_all_operations())
    _session.trust_env = False
    _session.headers["Authorization"] = f"Bearer {key}"


def _labels() -> list[str]:
    return list(_operations)


def _ask(label: str, count: int, derandomize: bool) -> Findings:
    """Up to so many requests of one operation."""
    operation, findings = _operations[label], Findings()
    modes = operation.as_strategy(GenerationMode.POSITIVE) | operation.as_strategy(GenerationMode.NEGATIVE)

    @given(case=modes, pick=strategies.randoms(use_true_random=False), sensible=strategies.booleans())
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        derandomize=derandomize,
        suppress_health_check=list(HealthCheck),
    )
    def run(case: Any, pick: Any, sensible: bool) -> None:
        if sensible:
            _make_sensible(case, pick.choice)
        answer = case.call(session=_session)
        findings.answers[label][answer.status_code] += 1
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as group:
            for failure in group.exceptions:
                told = f"{failure}\n{case.as_curl_command()}\n{answer.status_code} {answer.text[:500]}"
                findings.failures.setdefault((label, failure.title), told)

    with suppress(Unsatisfiable):
        run()
    return findings


def _make_sensible(case: Any, choice: Callable[[tuple[Any, ...]], Any]) -> None:
    """Ask for what there is, with the good key; what else was generated stays."""
    known = KNOWN | {"slug": SLUGS if case.path.startswith("/v1/monitors") else (SLUG,)}
    chosen = {name: choice(values) for name, values in known.items()}
    case.path_parameters = _named(case.path_parameters, chosen)
    case.query = _named(case.query, chosen)
    case.body = _named(case.body, chosen)
    for header in ("Authorization", "Content-Encoding"):
        case.headers.pop(header, None)


def _named(part: Any, chosen: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_named(each, chosen) for each in part]
    if not isinstance(part, dict):
        return part
    return {name: chosen[name] if name in chosen else _named(value, chosen) for name, value in part.items()}
