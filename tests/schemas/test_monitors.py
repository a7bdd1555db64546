"""The monitor model: what may be written, what equals what, and that the log gives back what it was given."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.durations import format_duration
from schemas.monitors import Assertion, Maintenance, Monitor, Page, Record

API: dict[str, Any] = {"slug": "api", "url": "https://api.example.com/health"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"slug": ""},
        {"slug": "-a"},
        {"slug": "a_b"},
        {"slug": "a" * 65},
        {"slug": "api\n"},
        {"url": "https://user:pass@example.com/"},
        {"url": "https://example.com:22/"},
        {"interval": "999ms"},
        {"interval": "25h"},
        {"timeout": "61s"},
        {"method": "get"},
        {"regions": ["Europe"]},
        {"assertions": [{}]},
        {"assertions": [{"jsonpath": "$.a"}]},
        {"assertions": [{"jsonpath": "$.a", "equals": 1, "lt": 2}]},
        {"assertions": [{"jsonpath": "$.a", "status": "200", "equals": 1}]},
        {"assertions": [{"status": "2xx", "equals": 1}]},
        {"assertions": [{"status": "600"}]},
        {"assertions": [{"body": "text", "matches": "("}]},
        {"assertions": [{"jsonpath": "$..a..b", "exists": True}]},
        {"assertions": [{"jsonpath": "$.a", "equals": float("inf")}]},
        {"assertions": [{"jsonpath": "$.a", "equals": {"a": [float("nan")]}}]},
        {"assertions": [{"jsonpath": "$.a", "in": ["\ud800"]}]},
        {"assertions": [{"jsonpath": "$.a", "equals": "x" * 10_000}]},
        {"assertions": [{"jsonpath": "$.a", "lt": float("nan")}]},
        {"assertions": [{"jsonpath": "$.a", "lt": "\ud800"}]},
        {"headers": {"\ud800": ""}},
        {"policy": {"confirmations": 0}},
        {"unknown": 1},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Monitor.model_validate(API | wrong)


@pytest.mark.parametrize(
    ("written", "subject", "operator"),
    [
        ({"status": "2xx, 404"}, "status", None),
        ({"latency": "800ms"}, "latency", None),
        ({"certificate_days": 0}, "certificate_days", None),
        ({"jsonpath": "$.a", "equals": None}, "jsonpath", "equals"),
        ({"jsonpath": "$.a", "in": [1, 2]}, "jsonpath", "one_of"),
        ({"header": "X-A", "exists": True}, "header", "exists"),
        ({"body": "text", "not_contains": "error"}, "body", "not_contains"),
        ({"jsonpath": "$.a", "length": 0}, "jsonpath", "length"),
    ],
)
def test_an_assertion_knows_its_subject_and_operator(
    written: dict[str, Any], subject: str, operator: str | None
) -> None:
    assertion = Assertion.model_validate(written)
    assert assertion.subject == subject
    assert assertion.operator == operator


def test_equals_null_and_not_equals_null_are_different_tests() -> None:
    equals = Assertion.model_validate({"jsonpath": "$.a", "equals": None})
    not_equals = Assertion.model_validate({"jsonpath": "$.a", "not_equals": None})
    assert equals != not_equals
    assert equals == Assertion.model_validate({"jsonpath": "$.a", "equals": None, "severity": "down"})


def test_a_default_that_is_written_out_changes_nothing() -> None:
    assert Monitor.model_validate(API) == Monitor.model_validate(API | {"interval": "60s", "method": "GET"})


scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(scalars | st.text(max_size=20), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
assertions = st.fixed_dictionaries({"jsonpath": st.sampled_from(["$", "$.a", "$[*].b"])}).flatmap(
    lambda subject: st.one_of(
        values.map(lambda value: subject | {"equals": value}),
        values.map(lambda value: subject | {"not_equals": value}),
        st.lists(values, max_size=3).map(lambda value: subject | {"in": value}),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda value: subject | {"lt": value}),
    )
)
monitors = st.fixed_dictionaries(
    {
        "slug": st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True),
        "url": st.just("https://example.com/ä?b=ß"),
    },
    optional={
        "name": st.text(max_size=200),
        "interval": st.integers(1_000, 86_400_000).map(format_duration),
        "latency_threshold": st.integers(0, 366 * 86_400_000).map(format_duration),
        "timeout": st.sampled_from(["100ms", "30s"]),
        "headers": st.dictionaries(st.text(max_size=10), st.text(max_size=10), max_size=3),
        "assertions": st.lists(assertions, max_size=3),
        "paused": st.booleans(),
    },
)


@given(monitors, st.integers(0, 2**53))
def test_the_log_gives_back_what_it_was_given(written: dict[str, Any], at: int) -> None:
    monitor = Monitor.model_validate(written)
    record = Record[Monitor](workspace="default", by="key:x", at=at, document=monitor)
    read = Record[Monitor].from_log(record.to_log())
    assert read.document == monitor
    assert read.to_log() == record.to_log()


@given(monitors)
def test_what_the_api_tells_can_be_sent_back(written: dict[str, Any]) -> None:
    monitor = Monitor.model_validate(written)
    assert Monitor.model_validate(monitor.model_dump(mode="json", exclude_unset=True)) == monitor


def test_a_reader_ignores_what_a_newer_writer_added() -> None:
    value = (
        b'{"workspace":"default","by":"x","at":1,"shade":2,'
        b'"document":{"slug":"acme","colour":"red","groups":[{"name":"A","monitors":[],"icon":"x"}]}}'
    )
    document = Record[Page].from_log(value).document
    assert document is not None
    assert document.groups[0].name == "A"


UPGRADE: dict[str, Any] = {
    "slug": "upgrade",
    "title": "Upgrade",
    "monitors": ["api"],
    "starts_at": "2026-12-01T02:00:00Z",
    "ends_at": "2026-12-01T03:00:00Z",
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"monitors": []},
        {"starts_at": "2026-12-01T03:00:00Z"},
        {"starts_at": "2026-12-01T04:00:00Z"},
        {"ends_at": "2027-01-01T02:00:00.001Z"},
        {"starts_at": "2100-01-01T00:00:01Z", "ends_at": "2100-01-01T00:00:02Z"},
    ],
)
def test_a_maintenance_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Maintenance.model_validate(UPGRADE | wrong)


def test_a_cancelled_maintenance_holds_for_no_time() -> None:
    planned = Maintenance.model_validate(UPGRADE)
    cancelled = Maintenance.model_validate(UPGRADE | {"cancelled": True})
    assert planned.holds_until == planned.ends_at
    assert cancelled.holds_until == cancelled.starts_at


def test_the_log_gives_back_a_maintenance() -> None:
    maintenance = Maintenance.model_validate(UPGRADE)
    record = Record[Maintenance](workspace="default", by="key:x", at=1, document=maintenance)
    assert b'"starts_at":"2026-12-01T02:00:00.000Z"' in record.to_log()
    assert Record[Maintenance].from_log(record.to_log()) == record
