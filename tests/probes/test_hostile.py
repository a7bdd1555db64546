"""No server can hold a check beyond its deadline, grow its memory, stall its loop, or be misread."""

import pytest

from probes.fetch import Fetched
from schemas.enums import Reason
from tests.probes.conftest import Observe
from tests.probes.servers.answers import BAD, BOMBS, DRIPS, HANGS, HELLO, HONEST, LIMIT, WITHOUT_BODY
from tests.probes.servers.running import Observed

TIMEOUT_MS = 500
GROWTH_BYTES = 20 << 20
STALL_ADDITIONS = 5_000_000
FLOOD_ADDITIONS = 20_000_000
LATE_S = 5


def assert_bounded(observed: Observed, timeout_ms: int = TIMEOUT_MS) -> Fetched:
    """The ceilings that hold whatever the server does."""
    assert observed.elapsed_s <= timeout_ms / 1_000 + LATE_S
    assert observed.growth_bytes <= GROWTH_BYTES
    assert observed.stall_additions <= STALL_ADDITIONS
    return observed.fetched


def test_the_measure_of_memory_sees_what_it_should(observed: Observe) -> None:
    seen = observed("endless-body", body_limit_bytes=48 << 20, timeout_ms=20_000)

    assert seen.growth_bytes > GROWTH_BYTES


@pytest.mark.parametrize("path", HONEST)
def test_an_odd_but_honest_answer_is_read(observed: Observe, path: str) -> None:
    fetched = assert_bounded(observed(path, timeout_ms=5_000), 5_000)

    assert fetched.reason is Reason.OK, fetched.message
    assert fetched.response is not None
    assert fetched.response.body == HELLO
    assert not fetched.response.body_truncated


@pytest.mark.parametrize("path", WITHOUT_BODY)
def test_an_answer_without_a_body_is_read(observed: Observe, path: str) -> None:
    fetched = assert_bounded(observed(path, timeout_ms=5_000), 5_000)

    assert fetched.reason is Reason.OK, fetched.message
    assert fetched.response is not None
    assert fetched.response.body == b""


def test_a_head_request_does_not_wait_for_the_announced_body(observed: Observe) -> None:
    fetched = assert_bounded(observed("plain", method="HEAD", timeout_ms=5_000), 5_000)

    assert fetched.reason is Reason.OK
    assert fetched.response is not None
    assert ("content-length", "20") in fetched.response.headers


def test_an_answer_before_the_request_was_read_counts(observed: Observe) -> None:
    fetched = assert_bounded(observed("", "early-answer", method="POST", body=b"x" * 100_000))

    assert fetched.reason is Reason.OK, fetched.message


@pytest.mark.parametrize("path", BAD)
def test_a_malformed_answer_is_told_from_a_slow_one(observed: Observe, path: str) -> None:
    fetched = assert_bounded(observed(path))

    assert fetched.reason is Reason.BAD_RESPONSE, fetched
    assert fetched.message


@pytest.mark.parametrize("path", BOMBS)
def test_a_body_is_cut_at_the_limit_after_decoding(observed: Observe, path: str) -> None:
    fetched = assert_bounded(observed(path, timeout_ms=5_000), 5_000)

    assert fetched.reason is Reason.OK, fetched.message
    assert fetched.response is not None
    assert fetched.response.body_truncated
    assert len(fetched.response.body) == LIMIT


@pytest.mark.parametrize("path", ["endless-body", "endless-chunks", "endless-tiny-chunks"])
def test_an_endless_body_is_cut_at_the_limit(observed: Observe, path: str) -> None:
    fetched = assert_bounded(observed(path, timeout_ms=10_000), 10_000)

    assert fetched.reason is Reason.OK, fetched.message
    assert fetched.response is not None
    assert fetched.response.body_truncated


@pytest.mark.parametrize(
    "path",
    [
        "endless-headers",
        "endless-header",
        "endless-header-name",
        "endless-reason",
        "endless-empty-headers",
        "endless-interim",
        "endless-extension",
        "endless-trailers",
        "endless-padded-chunks",
    ],
)
def test_headers_and_framing_have_their_bounds(observed: Observe, path: str) -> None:
    fetched = assert_bounded(observed(path, timeout_ms=5_000), 5_000)

    assert fetched.reason is Reason.RESPONSE_TOO_LARGE, fetched


@pytest.mark.parametrize("path", ["endless-line-feeds", "endless-garbage"])
def test_endless_bytes_without_an_answer_end_early(observed: Observe, path: str) -> None:
    fetched = assert_bounded(observed(path, timeout_ms=5_000), 5_000)

    assert fetched.reason in (Reason.BAD_RESPONSE, Reason.RESPONSE_TOO_LARGE)


@pytest.mark.parametrize("path", [*DRIPS, *HANGS])
def test_a_slow_server_meets_the_deadline(observed: Observe, path: str) -> None:
    fetched = assert_bounded(observed(path))

    assert fetched.reason is Reason.TIMEOUT
    assert "500 ms" in fetched.message


def test_a_timeout_keeps_the_part_that_came_as_evidence(observed: Observe) -> None:
    fetched = assert_bounded(observed("body-that-stops"))

    assert fetched.response is not None
    assert fetched.response.status == 200
    assert fetched.response.body == HELLO


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ("reset-after-request", Reason.BAD_RESPONSE),
        ("reset-in-body", Reason.BAD_RESPONSE),
        ("half-close", Reason.BAD_RESPONSE),
        ("close-at-once", Reason.BAD_RESPONSE),
        ("deaf", Reason.TIMEOUT),
    ],
)
def test_a_broken_connection_has_its_reason(observed: Observe, server: str, reason: Reason) -> None:
    fetched = assert_bounded(observed("", server))

    assert fetched.reason is reason, fetched


def test_a_reset_is_told_whether_or_not_it_comes_before_the_request(observed: Observe) -> None:
    fetched = assert_bounded(observed("", "reset-at-once"))

    assert fetched.reason in (Reason.BAD_RESPONSE, Reason.CONNECT_ERROR)
    assert "reset" in fetched.message


@pytest.mark.parametrize(
    ("path", "reason", "words"),
    [
        ("to-itself", Reason.REDIRECT, "more than 5 redirects"),
        ("hop?1", Reason.REDIRECT, "more than 5 redirects"),
        ("slow-hop", Reason.TIMEOUT, "500 ms"),
        ("to-ftp", Reason.REDIRECT, "ftp://"),
        ("to-file", Reason.REDIRECT, "file://"),
        ("to-script", Reason.REDIRECT, "javascript:"),
        ("to-userinfo", Reason.REDIRECT, "user name"),
        ("to-smtp-port", Reason.REDIRECT, "port 25"),
        ("to-octal", Reason.REDIRECT, "IPv4 address"),
        ("to-far-away", Reason.REDIRECT, "4096"),
        ("to-a-space", Reason.REDIRECT, "space"),
        ("to-a-backslash", Reason.REDIRECT, "backslash"),
        ("to-an-open-bracket", Reason.REDIRECT, "Location"),
        ("to-private", Reason.BLOCKED_ADDRESS, "10.45.67.95"),
        ("to-metadata", Reason.BLOCKED_ADDRESS, "metadata"),
        ("to-mapped", Reason.BLOCKED_ADDRESS, "IPv4-mapped"),
    ],
)
def test_a_redirect_leads_nowhere_it_must_not(observed: Observe, path: str, reason: Reason, words: str) -> None:
    fetched = assert_bounded(observed(path))

    assert fetched.reason is reason, fetched
    assert words in fetched.message


@pytest.mark.parametrize(
    "path",
    [
        "to-plain",
        "to-plain-relative",
        "to-plain-without-the-body",
        "to-many-cookies",
        "to-bad-cookies",
        "to-cookie-wall",
    ],
)
def test_an_honest_redirect_is_followed_with_its_cookies(observed: Observe, path: str) -> None:
    fetched = assert_bounded(observed(path, timeout_ms=5_000), 5_000)

    assert fetched.reason is Reason.OK, fetched
    assert fetched.response is not None
    assert fetched.response.redirects == 1


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("tls-untrusted", "not trusted"),
        ("tls-expired", "expired"),
        ("tls-not-yet", "not valid yet"),
        ("tls-wrong-name", "not for the address 127.0.0.1"),
        ("tls-garbage", "handshake failed"),
        ("tls-closes", "handshake failed: the server closed the connection"),
        ("tls-plain-http", "does it speak TLS"),
        ("tls-endless-handshake", "handshake failed"),
        ("tls-client-certificate", "certificate required"),
        ("tls-too-old", "handshake failed: tlsv1 alert protocol version"),
    ],
)
def test_each_fault_of_tls_is_told_apart(observed: Observe, server: str, words: str) -> None:
    fetched = assert_bounded(observed("plain", server, timeout_ms=5_000), 5_000)

    assert fetched.reason is Reason.TLS_ERROR, fetched
    assert words in fetched.message


def test_a_silent_handshake_meets_the_deadline(observed: Observe) -> None:
    fetched = assert_bounded(observed("plain", "tls-silence"))

    assert fetched.reason is Reason.TIMEOUT
    assert "TLS" in fetched.message


@pytest.mark.parametrize("server", ["tls-good", "tls-rsa"])
def test_a_good_certificate_is_taken_and_its_expiry_noted(observed: Observe, server: str) -> None:
    fetched = assert_bounded(observed("plain", server, timeout_ms=5_000), 5_000)

    assert fetched.reason is Reason.OK, fetched
    assert fetched.response is not None
    assert fetched.response.body == HELLO
    assert fetched.response.certificate_expires_at > 0
    assert fetched.phases.tls_us > 0


@pytest.mark.parametrize("server", ["tls-untrusted", "tls-expired", "tls-wrong-name"])
def test_without_verification_any_certificate_will_do(observed: Observe, server: str) -> None:
    fetched = assert_bounded(observed("plain", server, verify_tls=False, timeout_ms=5_000), 5_000)

    assert fetched.reason is Reason.OK, fetched


@pytest.mark.parametrize("path", ["endless-tiny-chunks", "slow-body", "gzip-bomb"])
def test_the_bounds_hold_behind_tls_too(observed: Observe, path: str) -> None:
    fetched = assert_bounded(observed(path, "tls-good", timeout_ms=3_000), 3_000)

    assert fetched.reason is (Reason.TIMEOUT if path.startswith("slow") else Reason.OK), fetched


def test_servers_that_flood_all_at_once_do_not_hold_the_loop(observed: Observe) -> None:
    seen = observed("endless-tiny-chunks", at_once=40, timeout_ms=60_000)

    assert seen.stall_additions <= FLOOD_ADDITIONS
    assert seen.fetched.reason is Reason.OK
