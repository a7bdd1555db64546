"""`pulse check` as people run it."""

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from infra.cli import build
from infra.settings import get_settings
from probes.shorthand import InvalidAssertion, parse_assertion
from schemas.events import CheckResult
from tests.engines import free_ports

ANSWERS: dict[str, tuple[int, Any]] = {
    "/health": (200, {"status": "healthy", "database": "ok"}),
    "/degraded": (503, {"status": "degraded", "database": "fail"}),
    "/gone": (404, {"detail": "Not Found"}),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, document = ANSWERS[self.path]
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def pulse(*arguments: str) -> Result:
    return CliRunner().invoke(build("check"), ["check", *arguments])


def test_a_service_that_is_up_exits_with_0(address: str) -> None:
    done = pulse(f"{address}/health", "--assert", '$.database == "ok"')

    assert done.exit_code == 0, done.output
    assert "up" in done.output
    assert "1 of 1 assertions hold" in done.output
    assert "database" in done.output
    assert "ttfb" in done.output


def test_a_degraded_service_exits_with_1_and_names_the_part(address: str) -> None:
    done = pulse(f"{address}/degraded")

    assert done.exit_code == 1
    assert "database is down" in done.output


def test_a_failed_assertion_exits_with_1_and_says_what_was_seen(address: str) -> None:
    done = pulse(f"{address}/health", "-a", "$.database == gone", "-a", "$.cache exists")

    assert done.exit_code == 1
    assert '$.database is "ok"' in done.output
    assert "$.cache is missing" in done.output


@contextmanager
def saying(words: bytes) -> Iterator[int]:
    """The port of a server that says this to everybody, and closes."""

    class Speaker(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(words)

    with socketserver.TCPServer(("127.0.0.1", 0), Speaker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_assertions_on_what_has_no_status_hold_all_the_same() -> None:
    with saying(b"220 ready") as port:
        done = pulse(f"tcp://127.0.0.1:{port}", "-a", "body contains ready")

    assert done.exit_code == 0
    assert "1 of 1 assertions hold" in done.output


def test_assertions_on_an_answer_that_broke_off_are_not_said_to_hold() -> None:
    with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nrea") as port:
        done = pulse(f"http://127.0.0.1:{port}", "-a", "body contains ready")

    assert done.exit_code == 1
    assert "1 assertions not tested" in done.output


def test_json_is_the_result_as_it_goes_into_the_log(address: str) -> None:
    done = pulse(f"{address}/gone", "--json")

    result = msgspec.json.decode(done.stdout, type=CheckResult)
    assert (result.outcome, result.reason, result.status_code) == ("down", "http_status", 404)
    assert done.exit_code == 1


def test_nobody_there_exits_with_3() -> None:
    (port,) = free_ports(1)

    assert pulse(f"http://127.0.0.1:{port}/").exit_code == 3


def test_metadata_addresses_are_never_checked() -> None:
    done = pulse("http://169.254.169.254/latest/meta-data/")

    assert done.exit_code == 1
    assert "blocked_address" in done.output


def test_networks_that_the_settings_open_may_be_checked(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{address.replace('127.0.0.1', '0.0.0.0')}/health"
    get_settings.cache_clear()
    assert "PULSE_PROBE_ALLOW" in pulse(url).output

    monkeypatch.setenv("PULSE_PROBE_ALLOW", "0.0.0.0/8")
    get_settings.cache_clear()
    done = pulse(url)
    get_settings.cache_clear()

    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("ftp://example.com/",),
        ("http://user:password@example.com/",),
        ("http://example.com/", "--assert", "nonsense"),
        ("http://example.com/", "--assert", "$..a..b exists"),
        ("http://example.com/", "--timeout", "soon"),
        ("http://example.com/", "--header", "no colon"),
        (),
    ],
    ids=str,
)
def test_wrong_use_exits_with_2(arguments: tuple[str, ...]) -> None:
    assert pulse(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ('$.database == "ok"', {"jsonpath": "$.database", "equals": "ok"}),
        ("$.database == ok", {"jsonpath": "$.database", "equals": "ok"}),
        ("$.n >= 3", {"jsonpath": "$.n", "ge": 3.0}),
        ("$.a.b[0] != null", {"jsonpath": "$.a.b[0]", "not_equals": None}),
        ("$.a exists", {"jsonpath": "$.a", "exists": True}),
        ('$.a in ["x", "y"]', {"jsonpath": "$.a", "in": ["x", "y"]}),
        ("$.a =~ ^x+$", {"jsonpath": "$.a", "matches": "^x+$"}),
        ("$[?(@.a == 'x')].b == 1", {"jsonpath": "$[?(@.a == 'x')].b", "equals": 1}),
        ("status == 200", {"status": "200"}),
        ("status in 200-299, 404", {"status": "200-299, 404"}),
        ('$.a == "x == y"', {"jsonpath": "$.a", "equals": "x == y"}),
        ("latency < 500", {"latency": "500ms"}),
        ("latency <= 2s", {"latency": "2s"}),
        ("certificate_days >= 14", {"certificate_days": 14}),
        ("body contains fine", {"body": "text", "contains": "fine"}),
        ("header Server == nginx", {"header": "Server", "equals": "nginx"}),
    ],
)
def test_the_short_form_of_an_assertion(text: str, document: dict[str, Any]) -> None:
    assert parse_assertion(text).model_dump(mode="json", exclude_unset=True, by_alias=True) == document


@pytest.mark.parametrize(
    "text", ["", "status", "status > 200", "latency > 5", "$.a", "$.a ~ b", "$.a == ", "$x.. == 1"]
)
def test_what_is_no_assertion_is_refused(text: str) -> None:
    with pytest.raises(InvalidAssertion):
        parse_assertion(text)


def test_watching_ends_with_the_last_answer(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def interrupted(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("probes.check_command.asyncio.sleep", interrupted)
    done = pulse(f"{address}/health", "--watch", "--every", "2s")

    assert slept == [2.0, 2.0, 2.0]
    assert done.output.count("● up") == 3
