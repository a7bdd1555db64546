"""What an assertion holds of an answer, and what it says when it does not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.assertions import Answer, BadJson, compile_assertion, parse_json
from probes.finding import json_equal
from schemas.enums import Reason
from schemas.events import Failure
from schemas.monitors import Assertion

DOCUMENT = {
    "database": "ok",
    "queue": {"depth": 12, "names": ["mail", "pdf"]},
    "flag": True,
    "one": 1,
    "nothing": None,
    "at": "2026-11-23",
    "orders": [{"currency": "EUR"}, {"currency": "USD"}],
}


def failure_of(assertion: dict[str, Any], answer: Answer) -> Failure | None:
    return compile_assertion(Assertion.model_validate(assertion)).test(answer)


def answering(
    body: Any = DOCUMENT, *, status: int = 200, headers: tuple[tuple[str, str], ...] = (), total_us: int = 1_000
) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, list(headers), data, total_us, certificate_ms=None)


@pytest.mark.parametrize(
    "assertion",
    [
        {"jsonpath": "$.database", "equals": "ok"},
        {"jsonpath": "$.queue.names[1]", "equals": "pdf"},
        {"jsonpath": "$.queue.names[-1]", "equals": "pdf"},
        {"jsonpath": "$.one", "equals": 1.0},
        {"jsonpath": "$.nothing", "exists": True},
        {"jsonpath": "$.nothing", "equals": None},
        {"jsonpath": "$.queue", "equals": {"names": ["mail", "pdf"], "depth": 12}},
        {"jsonpath": "$.one", "not_equals": True},
        {"jsonpath": "$.gone", "absent": True},
        {"jsonpath": "$.database", "in": ["ok", "fine"]},
        {"jsonpath": "$.orders[*].currency", "matches": "^[A-Z]{3}$"},
        {"jsonpath": "$..currency", "not_matches": "x"},
        {"jsonpath": "$.orders[?(@.currency == 'EUR')].currency", "equals": "EUR"},
        {"jsonpath": "$.queue.names", "contains": "mail"},
        {"jsonpath": "$.database", "contains": "o"},
        {"jsonpath": "$.database", "not_contains": "x"},
        {"jsonpath": "$.queue.depth", "lt": 13},
        {"jsonpath": "$.queue.depth", "le": 12},
        {"jsonpath": "$.queue.depth", "gt": 11},
        {"jsonpath": "$.queue.depth", "ge": 12},
        {"jsonpath": "$.at", "ge": "2026-01-01"},
        {"jsonpath": "$.queue.names", "length": 2},
        {"jsonpath": "$.flag", "type": "boolean"},
        {"jsonpath": "$", "type": "object"},
        {"body": "text", "contains": "database"},
        {"body": "text", "matches": '"depth": \\d+'},
        {"header": "Content-Type", "equals": "application/json"},
        {"header": "X-Depth", "lt": 13},
        {"header": "X-Depth", "equals": 12},
        {"header": "X-Gone", "absent": True},
        {"status": "2xx, 304"},
        {"status": "200-204"},
        {"latency": "2ms"},
    ],
    ids=str,
)
def test_it_holds(assertion: dict[str, Any]) -> None:
    answer = answering(headers=(("content-type", "application/json"), ("x-depth", "12")))

    assert failure_of(assertion, answer) is None


@pytest.mark.parametrize(
    ("assertion", "expected", "seen", "message"),
    [
        ({"jsonpath": "$.database", "equals": "fail"}, 'equals "fail"', '"ok"', '$.database is "ok"'),
        ({"jsonpath": "$.flag", "equals": 1}, "equals 1", "true", "$.flag is true; expected: equals 1"),
        ({"jsonpath": "$.one", "equals": True}, "equals true", "1", "$.one is 1"),
        ({"jsonpath": "$.queue.gone.deep", "equals": 1}, "equals 1", "nothing", "$.queue.gone is missing"),
        ({"jsonpath": "$.orders[2].currency", "exists": True}, "exists", "nothing", "$.orders[2] is missing"),
        ({"jsonpath": "$.gone", "not_equals": 1}, "does not equal 1", "nothing", "$.gone is missing"),
        ({"jsonpath": "$..gone", "exists": True}, "exists", "nothing", "nothing matches $..gone"),
        ({"jsonpath": "$.database", "absent": True}, "is absent", '"ok"', '$.database is "ok"'),
        ({"jsonpath": "$..currency", "equals": "EUR"}, 'equals "EUR"', '"USD"', "USD"),
        ({"jsonpath": "$.database", "lt": 5}, "< 5", '"ok"', "$.database"),
        ({"jsonpath": "$.flag", "ge": 0}, ">= 0", "true", "$.flag"),
        ({"jsonpath": "$.one", "matches": "1"}, 'matches "1"', "1", "$.one"),
        ({"jsonpath": "$.one", "not_matches": "2"}, 'does not match "2"', "1", "$.one"),
        ({"jsonpath": "$.queue.names", "length": 3}, "has length 3", '["mail","pdf"]', "has length 3"),
        ({"jsonpath": "$.one", "type": "boolean"}, 'is of type "boolean"', "1", "$.one"),
        ({"header": "X-Gone", "exists": True}, "exists", "nothing", "there is no header X-Gone"),
        ({"header": "X-Depth", "gt": 12}, "> 12", '"12"', "header X-Depth"),
        ({"status": "2xx"}, "2xx", "404", "the status is 404, not 2xx"),
        ({"latency": "0ms"}, "at most 0 ms", "1 ms", "the answer took"),
        ({"certificate_days": 14}, "at least 14 days left", "no certificate", "not https"),
    ],
    ids=str,
)
def test_it_fails_and_says_what_was_expected_and_seen(
    assertion: dict[str, Any], expected: str, seen: str, message: str
) -> None:
    failure = failure_of(assertion, answering(status=404, headers=(("x-depth", "12"),)))

    assert failure is not None
    assert (failure.expected, failure.seen) == (expected, seen)
    assert message in failure.message


def test_a_body_that_is_no_json_fails_and_says_so() -> None:
    failure = failure_of({"jsonpath": "$.a", "equals": 1}, answering(b"<html>"))

    assert failure is not None
    assert "not JSON" in failure.message


def test_what_the_jsonpaths_of_a_check_search_is_bounded_and_what_only_leads_somewhere_is_not() -> None:
    answer = answering(b"[" + b"[]," * 80_000 + b"[]]")
    search = {"jsonpath": "$..gone", "absent": True}

    searches = [failure_of(search, answer) for _ in range(2)]

    assert [failure is None for failure in searches] == [True, False]
    assert failure_of({"jsonpath": "$[0]", "length": 0}, answer) is None
    assert failure_of(search, answering()) is None


def test_a_certificate_that_expires_too_soon_fails() -> None:
    assertion = compile_assertion(Assertion.model_validate({"certificate_days": 14}))
    answer = Answer(200, [], b"", 1, certificate_ms=13 * 86_400_000)

    failure = assertion.test(answer)

    assert assertion.reason is Reason.CERTIFICATE
    assert failure is not None
    assert failure.seen == "13.0 days"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"NaN",
        b"Infinity",
        b"1e999",
        b'{"a":1}x',
        b"\xff",
        b"[" * 2_000 + b"]" * 2_000,
        b" " * 262_145 + b"1",
        b"[" * 502 + b"]" * 502,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_json_out_of_bounds_is_refused(body: bytes) -> None:
    with pytest.raises(BadJson):
        parse_json(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"\xef\xbb\xbf{}", {}),
        (b"18446744073709551617", 18446744073709551617),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b"[" * 500 + b"]" * 500, ...),
        (b"[" + b"{}," * 1_000 + b"1]", ...),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_honest_odd_json_is_read_exactly(body: bytes, value: Any) -> None:
    assert value is ... or parse_json(body) == value
    parse_json(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_every_value_equals_itself(value: Any) -> None:
    assert json_equal(value, value)


@given(json_values, json_values)
def test_equality_is_symmetric_and_never_takes_true_for_one(left: Any, right: Any) -> None:
    assert json_equal(left, right) == json_equal(right, left)
    assert not json_equal([left, True], [left, 1])


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'{"a": "cut \ud83d", "b": 1}', "cut \ufffd"),
        (rb'{"a": "cut \uDE00", "b": 1}', "cut \ufffd"),
        (rb'{"a": "\ud83d\ude00\ud83d", "b": 1}', "\U0001f600\ufffd"),
        (rb'{"a": "\\ud83d \ud83d", "b": 1}', "\\ud83d \ufffd"),
    ],
)
def test_half_a_character_does_not_spoil_the_rest_of_the_json(body: bytes, text: str) -> None:
    assert parse_json(body) == {"a": text, "b": 1}


CHOICES = [*range(1_000, 1_099), 9]


@pytest.mark.parametrize(
    ("assertion", "value", "many"),
    [
        ({"jsonpath": "$[*]", "in": [{"x": each} for each in CHOICES]}, {"x": 9}, 20_000),
        ({"jsonpath": "$[*]", "not_matches": "(?:a?){500}b"}, "a" * 100, 600),
        ({"jsonpath": "$[0]", "not_matches": "(?:a?){500}b"}, "a" * 60_000, 1),
        ({"body": "text", "matches": "((((a?){10}){10}){9})b"}, "a" * 60_000, 1),
    ],
)
def test_what_would_hold_up_other_checks_is_not_tried(assertion: dict[str, Any], value: Any, many: int) -> None:
    failure = failure_of(assertion, answering([value] * many))

    assert failure is not None
    assert failure.seen == "too much to search"


@pytest.mark.parametrize(
    ("assertion", "value", "many"),
    [
        ({"jsonpath": "$[*]", "in": CHOICES}, 9, 80_000),
        ({"jsonpath": "$[*]", "in": [{"x": each} for each in CHOICES]}, {"x": 9}, 1_000),
        ({"jsonpath": "$[*]", "matches": r"^(?i)[\w.+-]+@[\w-]+\.[\w.-]+$"}, "somebody@example.com", 5_000),
        ({"body": "text", "not_matches": "error|exception|traceback"}, "fine " * 12_000, 1),
    ],
)
def test_ordinary_tests_of_long_answers_are_tried(assertion: dict[str, Any], value: Any, many: int) -> None:
    assert failure_of(assertion, answering([value] * many)) is None


def test_the_expressions_of_a_check_share_what_they_may_take() -> None:
    answer = answering("a" * 60_000)
    fine = {"body": "text", "not_matches": "[a-c]{50}\\d"}

    assert failure_of(fine, answer) is None
    assert any(failure_of(fine, answer) for _ in range(10))


@given(
    st.lists(st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.text("1a", max_size=1)), st.data()
)
def test_one_of_several_means_equal_to_one(choices: list[Any], data: st.DataObject) -> None:
    value = data.draw(st.sampled_from([*choices, True, False, 1, 0.0, None, "1", [], {}]))

    held = failure_of({"jsonpath": "$.x", "in": choices}, answering({"x": value})) is None

    assert held == any(json_equal(value, each) for each in choices)


@given(st.binary(max_size=200), st.sampled_from(["equals", "matches", "contains", "lt", "length", "not_equals"]))
def test_no_body_makes_a_test_raise(body: bytes, operator: str) -> None:
    operand: Any = {"lt": 1.0, "length": 2}.get(operator, "x")
    for subject in ({"jsonpath": "$.a[0]"}, {"jsonpath": "$..a"}, {"body": "text"}):
        failure_of(subject | {operator: operand}, answering(body))


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("windows-1251", "cp1251"),
        ("KOI8-R", "koi8-r"),
        ('"iso-8859-5"', "iso-8859-5"),
        ("windows-1251; q=1", "cp1251"),
        ("utf-16le", "utf-16le"),
        ("utf-8", "utf-8-sig"),
        ("punycode", "utf-8"),
        ("iso-8859-12", "utf-8"),
    ],
)
def test_text_is_read_in_the_charset_that_the_server_names(charset: str, codec: str) -> None:
    answer = answering("Всё работает".encode(codec), headers=(("content-type", f"text/html; charset={charset}"),))

    assert failure_of({"body": "text", "equals": "Всё работает"}, answer) is None


def test_text_of_the_far_east_is_read_in_its_charset() -> None:
    for charset in ("shift_jis", "euc-jp", "iso-2022-jp", "gb2312", "gbk", "gb18030", "big5"):
        answer = answering("正常".encode(charset), headers=(("content-type", f"text/html; charset={charset}"),))

        assert failure_of({"body": "text", "contains": "正常"}, answer) is None, charset
