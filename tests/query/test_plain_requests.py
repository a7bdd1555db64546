"""Plain requests are answered without a parser, with the bytes that uvicorn would write; all others are uvicorn's."""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from query.asked import Asked
from query.plain_requests import MAX_HEADERS_BYTES, PlainRequest, plain_request
from query.protocol import PublicProtocol
from query.snapshots import GZIP
from schemas.enums import Status
from tests.query.filled import Filled

TARGETS = (
    *("/p/acme", "/status/acme", "/badges/acme/status.svg", "/badges/acme/uptime.json?window=7d&label=x", "/"),
    *(
        "/p/ghost",
        "/healthz",
        "/status/acme?v=2",
        "/p/%61cme",
        "/p/acme?a=%41",
        "/p/acme#top",
        "/p/acme?a?b",
        "/p/acme?",
    ),
    *("http://pulse.test/p/acme", "//p/acme", "*", "", "/p/acme?a=\x80", "/p/ac me", '/p/acme?"<>|\\^`{}'),
)
KNOWN_HEADERS = (
    *(
        "Host: pulse.test",
        "HOST: status.acme.test",
        "host: Status.Acme.test:443",
        "Host : pulse.test",
        "Host:pulse.test",
    ),
    *("Accept-Encoding: br", "accept-encoding: gzip", "ACCEPT-ENCODING: gzip;q=0, br", "Accept-Encoding: \tbr \t"),
    *("If-None-Match: *", 'if-none-match: "x"', "If-None-Match:", "If-None-Match:  ", "If-None-Match: * "),
    *("Connection: keep-alive", "connection: Keep-Alive", "Connection: close", "Connection: close, keep-alive"),
    *("Proxy-Connection: close", "Connection: Upgrade", "Upgrade: websocket", "Expect: 100-continue"),
    *("Content-Length: 0", "Content-Length: 5", "Content-Length: +5", "Content-Length: 5, 5", "Content_Length: 5"),
    *("Transfer-Encoding: chunked", "transfer-encoding: identity", "Transfer-Encoding : chunked", "X: a\n\rHost: b"),
    *(" folded", "\tfolded", "no colon", ": no name", "X: \x00", "X: \r", "X: \xff", "X\xff: x", "X: a\nY: b"),
)
TEXT = st.text(st.characters(max_codepoint=0xFF), max_size=12)
HEADERS = st.sampled_from(KNOWN_HEADERS) | st.builds("{}:{}".format, TEXT, TEXT)
ODD = {
    "method": st.sampled_from(["HEAD", "POST", "get", "OPTIONS", "CONNECT", "\r\nGET", "\x16GET"]),
    "target": st.sampled_from(TARGETS),
    "version": st.sampled_from(["HTTP/1.0", "HTTP/2.0", "http/1.1", ""]),
    "header": HEADERS | st.just("X: " + "x" * MAX_HEADERS_BYTES),
    "end": st.sampled_from(["\n", "\r"]),
    "body": st.sampled_from(["hello", "5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n", "\r\n"]),
}


def written(
    method: str = "GET",
    target: str = "/p/acme",
    version: str = "HTTP/1.1",
    header: str = "Host: pulse.test",
    more: Iterable[str] = (),
    end: str = "\r\n",
    body: str = "",
) -> bytes:
    """A request, with some of it in an unusual form."""
    lines = [f"{method} {target} {version}", header, *more, "", body]
    return end.join(lines).encode("latin-1")


MORE = st.lists(HEADERS, max_size=2)
REQUESTS = st.one_of(
    st.builds(written, more=MORE),
    *(st.builds(written, more=MORE, **{name: odd}) for name, odd in ODD.items()),
    st.builds(written, more=MORE, **ODD),
)
PLAIN = b"GET /status/acme HTTP/1.1\r\nHost: pulse.test\r\nAccept-Encoding: br\r\n\r\n"
CLOSING = b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"
UPGRADING = b"GET /p/acme HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\ndate: today\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 30\r\nconnection: close\r\n\r\nInvalid HTTP request received."
)
LONGER = b"GET /p/acme HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(PLAIN) + PLAIN


class Wire(asyncio.Transport):
    """Remembers what a protocol writes, and whether it reads on."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_read = True
        self._is_closed = False

    def write(self, data: Any) -> None:
        self.written += b"" if self._is_closed else data

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def close(self) -> None:
        self._is_closed = True

    def is_closing(self) -> bool:
        return self._is_closed


async def told(
    connect: Callable[[], HttpToolsProtocol], deliveries: Iterable[tuple[bytes, bool]]
) -> tuple[bytes, bool]:
    """What a client reads that sends these bytes, and whether it is hung up on; it may wait after each delivery."""
    protocol, wire = connect(), Wire()
    protocol.connection_made(wire)
    for data, waits in deliveries:
        if data and not wire.is_closing():
            protocol.data_received(data)
        while protocol.tasks and (waits or not wire.is_read):
            await asyncio.sleep(0)
    while protocol.tasks:
        await asyncio.sleep(0)
    hung_up = wire.is_closing()
    protocol.connection_lost(None)
    return wire.written, hung_up


@pytest.fixture(scope="module")
def connect() -> Callable[[type[HttpToolsProtocol]], HttpToolsProtocol]:
    """Makes a connection by a protocol to a service with one page."""
    filled = Filled()
    api = filled.monitor("api")
    filled.page("acme", "api", domains=["status.acme.test"])
    now = time.time_ns() // 1_000_000
    filled.status(api, Status.UP, now)
    filled.up_for_90_days(api, now)
    filled.facts.read_at, filled.facts.trouble = now, ""
    config = Config(filled.app, lifespan="off", ws="none", log_config=None, access_log=False)
    config.load()

    def connect(protocol: type[HttpToolsProtocol]) -> HttpToolsProtocol:
        state = ServerState()
        state.default_headers = [(b"date", b"today")]
        return protocol(config, state, {})

    return connect


@settings(max_examples=300, deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=4), st.lists(st.integers(0, 400), max_size=3), st.booleans())
@example([PLAIN, PLAIN, b"GET /healthz HTTP/1.1\r\n\r\n", PLAIN], [], False)
@example([LONGER, PLAIN], [], False)
@example([LONGER, PLAIN], [len(LONGER) - len(PLAIN)], True)
@example([b"GET /healthz HTTP/1.1\r\nX: ", PLAIN], [26], False)
@example([written(header="Transfer-Encoding: chunked", body="0\r\n\r\n"), PLAIN], [], False)
@example([written(header="If-None-Match:  *")], [], False)
@example([written(header="Proxy-Connection: close"), PLAIN], [], False)
@example([b"CONNECT pulse.test:443 HTTP/1.1\r\n\r\n", PLAIN], [35], True)
@example([CLOSING, PLAIN], [len(CLOSING)], True)
@example([CLOSING, PLAIN], [len(CLOSING)], False)
@example([UPGRADING, PLAIN], [len(UPGRADING)], True)
@example([b"GET /p/acme HTTP/1.1\r\n\r\n", PLAIN], [10], True)
def test_the_answers_are_those_that_uvicorn_alone_would_give(
    connect: Callable[[type[HttpToolsProtocol]], HttpToolsProtocol], sent: list[bytes], cuts: list[int], waits: bool
) -> None:
    stream = b"".join(sent)
    places = [0, *sorted(cuts), len(stream)]
    deliveries = [(stream[begin:end], waits) for begin, end in pairwise(places)]

    ours, theirs = (
        asyncio.run(told(partial(connect, protocol), deliveries)) for protocol in (PublicProtocol, HttpToolsProtocol)
    )

    if theirs[0].endswith(REFUSAL):  # and with it uvicorn forgets what it has not begun to answer
        bytewise = [(bytes([byte]), True) for byte in stream]
        in_turn, _ = asyncio.run(told(partial(connect, HttpToolsProtocol), bytewise))
        before, before_theirs = (each[0].removesuffix(REFUSAL) for each in (ours, theirs))
        assert ours == (before + REFUSAL, True)
        assert before.startswith(before_theirs)
        assert in_turn.startswith(before)
    else:
        assert ours == theirs


def test_plain_requests_do_not_reach_the_parser(
    connect: Callable[[type[HttpToolsProtocol]], HttpToolsProtocol],
) -> None:
    def connect_without_parser() -> HttpToolsProtocol:
        protocol = connect(PublicProtocol)
        protocol.parser = None
        return protocol

    answers, _ = asyncio.run(told(connect_without_parser, [(PLAIN, False), (2 * PLAIN, False)]))

    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 3


def test_after_another_request_plain_ones_are_answered_without_the_parser_again(
    connect: Callable[[type[HttpToolsProtocol]], HttpToolsProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[bytes] = []
    feed = HttpToolsProtocol.data_received
    monkeypatch.setattr(HttpToolsProtocol, "data_received", lambda self, data: (fed.append(data), feed(self, data)))
    asyncio.run(told(partial(connect, PublicProtocol), [(b"GET /healthz HTTP/1.1\r\n\r\n", True), (PLAIN, True)]))

    assert fed == [b"GET /healthz HTTP/1.1\r\n\r\n"]


def test_a_plain_request_is_read_and_what_follows_is_left() -> None:
    data = b"HEAD /p/acme?a=b?c HTTP/1.1\r\nHOST: x\r\nHost: y:80\r\nAccept-Encoding: gzip\r\nX:\r\n\r\nGET"

    assert plain_request(data) == PlainRequest(
        b"HEAD",
        b"/p/acme?a=b?c",
        Asked(host="y", encoding=GZIP, known=b""),
        len(data) - len(b"GET"),
    )


@pytest.mark.parametrize("header", ["Content-Length: 0", "Transfer-Encoding: x", "Upgrade: h2c", "Connection: close"])
def test_a_request_with_a_body_or_an_end_is_not_plain(header: str) -> None:
    assert plain_request(f"GET / HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode()) is None
