"""Every shape of health document that services send, read as components."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.health_documents import MAX_COMPONENTS, read_bare_word, read_health_document
from schemas.enums import Outcome

UP, DEGRADED, DOWN, UNKNOWN = Outcome.UP, Outcome.DEGRADED, Outcome.DOWN, Outcome.UNKNOWN

SHAPES: dict[str, tuple[Any, Outcome | None, dict[str, Outcome]]] = {
    "the README's recipe": (
        {"status": "degraded", "database": "ok", "cache": "fail"},
        DEGRADED,
        {"database": UP, "cache": DOWN},
    ),
    "health+json": (
        {
            "status": "warn",
            "version": "1",
            "releaseId": "1.2.2",
            "notes": [""],
            "output": "",
            "serviceId": "f03e522f",
            "description": "health of authz service",
            "checks": {
                "cassandra:responseTime": [{"status": "pass"}, {"status": "WARN", "output": "slow"}],
                "uptime": [{"status": "pass", "observedValue": 1209600.245}],
                "cpu:utilization": [{"status": "fail", "output": "cores burn"}],
            },
            "links": {"about": "https://api.example.com/about"},
        },
        DEGRADED,
        {"cassandra:responseTime": DEGRADED, "uptime": UP, "cpu:utilization": DOWN},
    ),
    "fastapi-health": ({"database": "online", "cache": "offline"}, None, {"database": UP, "cache": DOWN}),
    "fastapi-healthz": (
        {"status": "unhealthy", "entities": [{"service": "db", "status": "unhealthy", "time_taken": "1"}]},
        DOWN,
        {"db": DOWN},
    ),
    "fastapi-healthcheck": (
        {"status": "Unhealthy", "totalTimeTaken": "0:1", "entities": [{"alias": "postgres db", "status": "Healthy"}]},
        DOWN,
        {"postgres db": UP},
    ),
    "fastapi-healthchecks": (
        {
            "healthy": False,
            "checks": [{"name": "pg", "passed": False, "details": "gone"}, {"name": "s3", "passed": True}],
        },
        DOWN,
        {"pg": DOWN, "s3": UP},
    ),
    "django-health-check": (
        {"Cache(alias='default')": "OK", "Database(alias='default')": "unavailable: timed out"},
        None,
        {"Cache(alias='default')": UP, "Database(alias='default')": UNKNOWN},
    ),
    "django-health-check before 4": (
        {"Cache backend: default": "working", "DatabaseBackend": "unavailable: timed out"},
        None,
        {"Cache backend: default": UP, "DatabaseBackend": UNKNOWN},
    ),
    "parts that are objects": (
        {
            "status": "ok",
            "database": {"status": "connected", "latency_ms": 3},
            "queue": {"healthy": False, "error": "gone"},
            "data": {"id": 1, "status": "failed"},
            "limits": {"memory": 5},
        },
        UP,
        {"database": UP, "queue": DOWN},
    ),
    "services": (
        {"status": "degraded", "services": {"database": "connected", "cache": "disconnected", "mail": True}},
        DEGRADED,
        {"database": UP, "cache": DOWN, "mail": UP},
    ),
    "Spring Actuator": (
        {
            "status": "DOWN",
            "components": {
                "db": {"status": "DOWN", "details": {"error": "refused"}},
                "diskSpace": {"status": "UP", "details": {"total": 1, "exists": True}},
                "shards": {"status": "UP", "components": {"a": {"status": "UP"}, "b": {"status": "OUT_OF_SERVICE"}}},
                "odd": {"status": "PURPLE"},
            },
        },
        DOWN,
        {"db": DOWN, "diskSpace": UP, "shards": UP, "shards.a": UP, "shards.b": DOWN, "odd": UNKNOWN},
    ),
    "ASP.NET": (
        {
            "status": "Degraded",
            "totalDuration": "00:00:00.05",
            "entries": {
                "redis": {"data": {}, "description": "slow", "duration": "00:00", "status": "Degraded", "tags": []}
            },
        },
        DEGRADED,
        {"redis": DEGRADED},
    ),
    "MicroProfile": (
        {"status": "UP", "checks": [{"name": "ready", "status": "UP", "data": {}}]},
        UP,
        {"ready": UP},
    ),
    "NestJS Terminus": (
        {
            "status": "error",
            "info": {"a": {"status": "up"}},
            "error": {"b": {"status": "down", "message": "boom"}},
            "details": {"a": {"status": "up"}, "b": {"status": "down", "message": "boom"}},
        },
        DOWN,
        {"a": UP, "b": DOWN},
    ),
    "Terminus shutting down": ({"status": "shutting_down", "details": {}}, DEGRADED, {}),
    "a bare status": ({"status": "ok"}, UP, {}),
    "a status and what tells about the service": ({"status": "ok", "version": "1.2", "environment": "live"}, UP, {}),
    "an unknown word": ({"status": "ok", "database": "purple"}, UP, {"database": UNKNOWN}),
}


@pytest.mark.parametrize(("document", "own", "components"), SHAPES.values(), ids=SHAPES.keys())
def test_it_is_read(document: Any, own: Outcome | None, components: dict[str, Outcome]) -> None:
    read = read_health_document(document)

    assert read is not None
    assert read.own is own
    assert {part.name: part.outcome for part in read.components} == components


@pytest.mark.parametrize(
    "document",
    [
        [],
        "ok",
        None,
        {},
        {"id": 5, "status": "shipped"},
        {"status": 200},
        {"name": "ok"},
        {"items": [{"status": "ok"}]},
        {"title": "Up", "text": "a film"},
        {"active": True},
        {"order": {"status": "failed"}},
        {"code": "unavailable", "message": "upstream connect error"},
        {"error": "unavailable"},
    ],
    ids=repr,
)
def test_an_ordinary_answer_is_no_health_document(document: Any) -> None:
    assert read_health_document(document) is None


def test_what_a_failing_part_says_is_kept_short_and_printable() -> None:
    read = read_health_document(
        {"status": "fail", "checks": {"db": [{"status": "fail", "output": "no\x1b[31m" + "x" * 999}]}}
    )

    assert read is not None
    (part,) = read.components
    assert len(part.message) == 300
    assert part.message.isprintable()


def test_components_are_capped() -> None:
    read = read_health_document({"status": "ok", "components": {f"c{i}": {"status": "UP"} for i in range(1_000)}})

    assert read is not None
    assert len(read.components) == MAX_COMPONENTS


@pytest.mark.parametrize(("text", "own"), [("Healthy", UP), ("Degraded\n", DEGRADED), ("Unhealthy", DOWN)])
def test_the_bare_word_is_read(text: str, own: Outcome) -> None:
    read = read_bare_word(text)

    assert read is not None
    assert read.own is own


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["ok", "fail", "UP"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["status", "checks", "components", "entities", "details", "name", "healthy", "x"]),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_nothing_makes_it_raise(document: Any) -> None:
    read = read_health_document(document)

    assert read is None or json.dumps([part.name for part in read.components])
