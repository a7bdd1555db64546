"""What a check means: from what came back to outcome, reason, components, failures and evidence."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.fetch import Fetched, Phases, Response
from probes.judge import compile_rules, judge
from probes.text import NOTHING_SECRET, Redactor
from schemas.enums import Outcome, Reason
from schemas.events import CheckBatch, CheckResult, decode_log, encode
from schemas.monitors import Assertion

HEALTHY = b'{"status": "healthy", "database": "ok", "cache": "ok"}'
DEGRADED = b'{"status": "degraded", "database": "ok", "cache": "fail"}'


def answered(status: int = 200, body: bytes = b"", total_us: int = 1_000, **more: Any) -> Fetched:
    fields = {
        "reason_phrase": "Whatever",
        "http_version": "1.1",
        "headers": [("content-type", "application/json"), ("set-cookie", "session=1")],
        "body_truncated": False,
        "redirects": 0,
        "certificate_expires_at": 0,
    }
    response = Response(status=status, body=body, **(fields | more))
    return Fetched(Reason.OK, "", response, Phases(ttfb_us=900, total_us=total_us), "192.0.2.1")


def judged(
    fetched: Fetched,
    *assertions: dict[str, Any],
    latency_threshold_ms: int | None = None,
    secrets: tuple[str, ...] = (),
    lag_us: int = 0,
) -> CheckResult:
    parsed = [Assertion.model_validate(each) for each in assertions]
    rules = compile_rules("default/api", 7, parsed, latency_threshold_ms)
    redact = Redactor(secrets) if secrets else NOTHING_SECRET
    return judge(fetched, rules, scheduled_at=1_000, started_at=1_002, lag_us=lag_us, redact=redact)


@pytest.mark.parametrize(
    ("fetched", "outcome", "reason"),
    [
        (answered(200), Outcome.UP, Reason.OK),
        (answered(204), Outcome.UP, Reason.OK),
        (answered(301), Outcome.DOWN, Reason.HTTP_STATUS),
        (answered(404), Outcome.DOWN, Reason.HTTP_STATUS),
        (answered(500, HEALTHY), Outcome.DOWN, Reason.HTTP_STATUS),
        (answered(503), Outcome.DOWN, Reason.HTTP_STATUS),
        (answered(503, b"<html>"), Outcome.DOWN, Reason.HTTP_STATUS),
        (answered(503, b'{"detail": "no"}'), Outcome.DOWN, Reason.HTTP_STATUS),
        (answered(503, DEGRADED), Outcome.DEGRADED, Reason.COMPONENT),
        (answered(503, HEALTHY), Outcome.DEGRADED, Reason.HTTP_STATUS),
        (answered(503, b'{"status": "fail", "cache": "fail"}'), Outcome.DOWN, Reason.HTTP_STATUS),
        (answered(503, b'{"status": "DOWN", "components": {}}'), Outcome.DOWN, Reason.HTTP_STATUS),
        (answered(503, b"Unhealthy"), Outcome.DOWN, Reason.HTTP_STATUS),
        (answered(200, HEALTHY), Outcome.UP, Reason.OK),
        (answered(200, DEGRADED), Outcome.DEGRADED, Reason.COMPONENT),
        (answered(200, b'{"status": "ok", "cache": "fail"}'), Outcome.DEGRADED, Reason.COMPONENT),
        (answered(200, b'{"status": "unhealthy"}'), Outcome.DOWN, Reason.COMPONENT),
        (answered(200, b'{"status": "ok", "cache": "purple"}'), Outcome.UP, Reason.OK),
        (Fetched(Reason.TIMEOUT, "no answer"), Outcome.DOWN, Reason.TIMEOUT),
        (Fetched(Reason.DNS_ERROR, "no such host"), Outcome.DOWN, Reason.DNS_ERROR),
        (Fetched(Reason.BLOCKED_ADDRESS, "private"), Outcome.DOWN, Reason.BLOCKED_ADDRESS),
        (Fetched(Reason.BAD_REQUEST, "the secret X is not known"), Outcome.UNKNOWN, Reason.BAD_REQUEST),
        (Fetched(Reason.PROBE_OVERLOADED, "too many open files"), Outcome.UNKNOWN, Reason.PROBE_OVERLOADED),
    ],
)
def test_the_default_meaning_of_an_answer(fetched: Fetched, outcome: Outcome, reason: Reason) -> None:
    result = judged(fetched)

    assert (result.outcome, result.reason) == (outcome, reason)
    assert bool(result.message) == (outcome is not Outcome.UP)


def test_components_of_a_degraded_answer_are_told() -> None:
    result = judged(answered(503, DEGRADED))

    assert [(part.name, part.outcome) for part in result.components] == [
        ("database", Outcome.UP),
        ("cache", Outcome.DOWN),
    ]
    assert "cache is down (fail)" in result.message


def test_a_bad_status_after_redirects_says_so_for_keys_do_not_travel_to_another_origin() -> None:
    assert judged(answered(401, redirects=1)).message == "the answer is 401 Whatever after a redirect"
    assert judged(answered(401, redirects=2)).message == "the answer is 401 Whatever after 2 redirects"


def test_a_status_assertion_replaces_the_default_rule() -> None:
    assert judged(answered(404), {"status": "404"}).outcome is Outcome.UP
    result = judged(answered(200), {"status": "404", "severity": "degraded"})
    assert (result.outcome, result.reason) == (Outcome.DEGRADED, Reason.HTTP_STATUS)


def test_the_worst_failed_assertion_decides_and_all_are_kept() -> None:
    result = judged(
        answered(200, b'{"a": 1, "b": 2}'),
        {"jsonpath": "$.a", "equals": 2, "severity": "degraded"},
        {"jsonpath": "$.b", "equals": 3},
    )

    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.ASSERTION)
    assert result.message.startswith("$.b is 2")
    assert [failure.test for failure in result.failures] == ["$.a equals 2", "$.b equals 3"]


def test_a_slow_answer_is_degraded() -> None:
    result = judged(answered(total_us=600_000), latency_threshold_ms=500)

    assert (result.outcome, result.reason) == (Outcome.DEGRADED, Reason.LATENCY)
    assert result.message == "the answer took 600 ms, longer than 500 ms"


@pytest.mark.parametrize("wanted", [({"latency": "500ms"},), ()])
def test_what_the_probe_itself_was_late_does_not_make_an_answer_slow(wanted: tuple[dict[str, Any], ...]) -> None:
    held_up = judged(answered(total_us=600_000), *wanted, latency_threshold_ms=500, lag_us=150_000)
    slow = judged(answered(total_us=700_000), *wanted, latency_threshold_ms=500, lag_us=150_000)

    assert (held_up.outcome, held_up.overloaded, held_up.total_us) == (Outcome.UP, True, 600_000)
    assert slow.reason is Reason.LATENCY


@pytest.mark.parametrize(
    ("lag_us", "outcome", "reason"),
    [
        (0, Outcome.DOWN, Reason.TIMEOUT),
        (4_000_000, Outcome.DOWN, Reason.TIMEOUT),
        (6_000_000, Outcome.UNKNOWN, Reason.PROBE_OVERLOADED),
    ],
)
def test_a_probe_that_stood_still_most_of_the_time_cannot_tell_a_timeout(
    lag_us: int, outcome: Outcome, reason: Reason
) -> None:
    result = judged(Fetched(Reason.TIMEOUT, "not done", None, Phases(total_us=10_000_000)), lag_us=lag_us)

    assert (result.outcome, result.reason) == (outcome, reason)


def test_what_is_barely_too_slow_is_told_as_longer_than_its_limit() -> None:
    barely = answered(200, total_us=500_001)

    assert judged(barely, latency_threshold_ms=500).message == "the answer took 501 ms, longer than 500 ms"
    assert judged(barely, {"latency": "500ms"}).message == "the answer took 501 ms, longer than 500 ms"
    assert judged(answered(200, total_us=500_000), {"latency": "500ms"}, latency_threshold_ms=500).message == ""


@pytest.mark.parametrize(
    ("left_ms", "message"),
    [
        (14 * 86_400_000, ""),
        (14 * 86_400_000 - 1, "the certificate expires in 13.9 days"),
        (-3 * 86_400_000, "the certificate expired 3.0 days ago"),
    ],
)
def test_a_certificates_days_are_told_so_that_they_are_too_few(left_ms: int, message: str) -> None:
    fetched = answered(certificate_expires_at=10**12 + left_ms)

    rules = compile_rules("default/api", 7, [Assertion(certificate_days=14)], None)
    assert judge(fetched, rules, scheduled_at=10**12, started_at=10**12).message == message


def test_slow_never_overrides_down() -> None:
    result = judged(answered(500, total_us=600_000), {"latency": "100ms"}, latency_threshold_ms=500)

    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.HTTP_STATUS)


def test_a_cut_body_is_judged_by_its_status_unless_an_assertion_reads_it() -> None:
    cut = answered(200, b'{"a": 1', body_truncated=True)

    assert judged(cut, {"status": "200"}).outcome is Outcome.UP
    result = judged(cut, {"body": "text", "contains": "a"})
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.RESPONSE_TOO_LARGE)


def test_evidence_is_kept_of_what_is_not_up_alone() -> None:
    assert judged(answered(200, HEALTHY)).evidence is None

    evidence = judged(answered(500, b"x" * 5_000 + b"\x00")).evidence

    assert evidence is not None
    assert evidence.status_line == "HTTP/1.1 500 Whatever"
    assert evidence.headers == {"content-type": "application/json"}
    assert len(evidence.body) == 2_048


@pytest.mark.parametrize(
    "echo",
    [
        's3cr/t" x',
        "s3cr%2Ft%22%20x",
        "s3cr%2Ft%22+x",
        's3cr/t\\" x',
        's3cr\\/t\\" x',
        "s3cr/t&quot; x",
        "s3cr/t&#34; x",
    ],
    ids=["as it is", "in a path", "in a form", "in JSON", "in PHP's JSON", "in HTML", "in Go's HTML"],
)
def test_a_secret_that_the_server_echoes_is_redacted_everywhere(echo: str) -> None:
    fetched = answered(503, echo.encode() + b" refused", headers=[("location", f"/?k={echo}")], reason_phrase=echo)

    result = judged(fetched, {"body": "text", "equals": "fine"}, secrets=('s3cr/t" x',))

    shown = encode(CheckBatch("p", "r", 1, (result,))).decode()
    assert "s3cr" not in shown
    assert "***" in shown


def test_a_page_of_nginx_is_kept_in_its_lines() -> None:
    page = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n</html>\r\n"

    evidence = judged(answered(502, page)).evidence

    assert evidence is not None
    assert evidence.body.splitlines() == ["<html>", "<head><title>502 Bad Gateway</title></head>", "</html>"]


def test_evidence_is_read_in_its_charset() -> None:
    headers = [("content-type", "text/html; charset=windows-1251")]

    evidence = judged(answered(500, "Ошибка".encode("windows-1251"), headers=headers)).evidence

    assert evidence is not None
    assert evidence.body == "Ошибка"


@pytest.mark.parametrize("escaped", [True, False], ids=["as Flask and Django write JSON", "as it is"])
def test_a_secret_beyond_ascii_is_redacted_too(escaped: bool) -> None:
    body = json.dumps({"got": "pässwörd"}, ensure_ascii=escaped).encode()

    evidence = judged(answered(401, body, headers=[("via", "p\xc3\xa4ssw\xc3\xb6rd")]), secrets=("pässwörd",)).evidence

    assert evidence is not None
    assert (evidence.body, evidence.headers) == ('{"got": "***"}', {"via": "***"})


def test_a_body_that_was_read_for_a_monitor_without_secrets_is_redacted_for_one_with() -> None:
    body = b'{"status": "ok", "hunter2": "fail"}'

    assert judged(answered(200, body)).components[0].name == "hunter2"
    assert judged(answered(200, body), secrets=("hunter2",)).components[0].name == "***"


def test_a_secret_at_the_cut_of_the_evidence_is_redacted() -> None:
    evidence = judged(answered(500, b"x" * 2_044 + b"hush-hush"), secrets=("hush-hush",)).evidence

    assert evidence is not None
    assert "hush" not in evidence.body


@pytest.mark.parametrize("year", [1, 1950, 9999])
def test_whatever_end_a_certificate_has_it_fits_into_the_log(year: int) -> None:
    """What does not would take the whole batch with it, its neighbours' results too."""
    end = datetime(year, 12, 31, tzinfo=UTC)

    result = judged(answered(certificate_expires_at=int(end.timestamp() * 1_000)))

    batch = CheckBatch("p", "r", 1, (result,))
    assert decode_log(encode(batch)) == batch


printable = st.text(max_size=40)


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=300) | st.sampled_from([HEALTHY, DEGRADED, b"[]", b"{"]),
    phrase=printable,
    headers=st.lists(st.tuples(printable.map(str.lower), printable), max_size=4),
    cut=st.booleans(),
)
def test_any_answer_becomes_a_result_that_the_log_takes(
    status: int, body: bytes, phrase: str, headers: list[tuple[str, str]], cut: bool
) -> None:
    fetched = answered(status, body, headers=headers, reason_phrase=phrase, body_truncated=cut)

    result = judged(fetched, {"jsonpath": "$.a", "equals": 1}, {"body": "text", "matches": "a+"}, {"latency": "1s"})

    batch = CheckBatch("p", "r", 1, (result,))
    assert decode_log(encode(batch)) == batch
    assert all(len(text) <= 300 for text in (result.message, *(f.message for f in result.failures)))
    assert result.outcome in (Outcome.UP, Outcome.DEGRADED, Outcome.DOWN)
    assert (result.reason is Reason.OK) == (result.outcome is Outcome.UP)


def test_a_result_is_small_when_all_is_well() -> None:
    assert len(msgspec.json.encode(judged(answered(200)))) < 200
