"""Prepared answers written by the protocol itself: the same bytes in the same order as through ASGI."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from query.protocol import STALLED_S, PublicProtocol
from schemas.enums import Status
from tests.engines import free_ports
from tests.query.filled import Filled
from tests.query.service import wait_until

ADDRESSES = ("/p/acme", "/status/acme", "/badges/acme/status.svg", "/badges/acme/uptime.json?window=7d&label=x")


@pytest.fixture(scope="module")
def filled() -> Filled:
    filled = Filled()
    api = filled.monitor("api")
    filled.page("acme", "api", title="Acme", domains=["status.acme.test"])
    now = time.time_ns() // 1_000_000
    filled.status(api, Status.UP, now)
    filled.up_for_90_days(api, now)
    filled.facts.read_at, filled.facts.trouble = now, ""
    return filled


@pytest.fixture(scope="module")
def server(filled: Filled) -> Iterator[uvicorn.Server]:
    """uvicorn with the protocol, in a thread."""
    (port,) = free_ports(1)
    config = uvicorn.Config(
        filled.app, port=port, http=PublicProtocol, lifespan="off", server_header=False, log_config=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, "the server listens")
    yield server
    server.should_exit = True
    thread.join()


@contextmanager
def connected(server: uvicorn.Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.config.port), 10) as connection:
        yield connection


def request(target: str, method: str = "GET", version: str = "1.1", more: str = "") -> bytes:
    return f"{method} {target} HTTP/{version}\r\nHost: pulse\r\n{more}\r\n".encode()


def answers(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """Status and body of the next answers; all have a length, or no body."""
    found = []
    with connection.makefile("rb") as file:
        for _ in range(count):
            status = int(file.readline().split()[1])
            headers = dict(line.lower().split(b": ", 1) for line in iter(file.readline, b"\r\n"))
            found.append((status, file.read(int(headers.get(b"content-length", 0)))))
    return found


@pytest.mark.parametrize("encoding", ["br", "gzip", "identity"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ADDRESSES)
def test_the_answer_is_the_one_that_asgi_gives(
    filled: Filled, server: uvicorn.Server, path: str, method: str, encoding: str
) -> None:
    asked = {"accept-encoding": encoding, "user-agent": "test"}
    told = httpx.request(
        method, f"http://127.0.0.1:{server.config.port}{path}", headers={**asked, "host": "pulse.test"}, trust_env=False
    )
    expected = filled.get(path, method, headers=asked)

    assert (told.status_code, told.content) == (200, expected.content)
    assert dict(told.headers).keys() - expected.headers.keys() == {"date"}
    assert {name: told.headers[name] for name in expected.headers} == dict(expected.headers)


def test_requests_sent_at_once_are_answered_in_their_order(server: uvicorn.Server) -> None:
    with connected(server) as connection:
        targets = ("/status/acme", "/healthz", "/badges/acme/status.svg", "/p/ghost", "/p/acme")
        connection.sendall(b"".join(map(request, targets)))
        told = answers(connection, len(targets))

    assert [status for status, _ in told] == [200, 200, 200, 404, 200]
    starts = (b"{", b'{"status":"ok"}', b"<svg", b"<!doctype", b"<!doctype")
    assert all(body.startswith(start) for (_, body), start in zip(told, starts, strict=True))


def test_a_request_with_a_body_is_answered_and_its_connection_goes_on(server: uvicorn.Server) -> None:
    with connected(server) as connection:
        connection.sendall(request("/status/acme", more="Content-Length: 5\r\n") + b"hello" + request("/healthz"))

        assert [status for status, _ in answers(connection, 2)] == [200, 200]


def test_head_of_what_is_not_prepared_has_no_body_and_its_connection_goes_on(server: uvicorn.Server) -> None:
    with connected(server) as connection:
        connection.sendall(request("/healthz", "HEAD") + request("/p/ghost", "HEAD") + request("/healthz"))
        with connection.makefile("rb") as file:
            heads = [b"".join(iter(file.readline, b"\r\n")) for _ in range(3)]

    assert [int(head.split()[1]) for head in heads] == [200, 404, 200]


@pytest.mark.parametrize("asked", [{"version": "1.0"}, {"more": "Connection: close\r\n"}])
def test_a_client_that_wants_the_connection_closed_sees_it_closed(
    server: uvicorn.Server, asked: dict[str, str]
) -> None:
    with connected(server) as connection:
        connection.sendall(request("/status/acme", **asked))

        assert answers(connection, 1)[0][0] == 200
        assert connection.recv(1) == b""


@pytest.mark.parametrize("target", ["/p/%61cme", "/p/acme?utm_source=%41", "http://pulse/p/acme"])
def test_unusual_spellings_of_an_address_lead_to_the_same_page(server: uvicorn.Server, target: str) -> None:
    with connected(server) as connection:
        connection.sendall(request("/p/acme") + request(target))
        usual, unusual = answers(connection, 2)

    assert usual == unusual


def test_what_fails_is_a_500_and_not_the_end_of_the_connection(
    server: uvicorn.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("query.answers.target_of", lambda _: 1 / 0)
    with connected(server) as connection:
        connection.sendall(request("/p/ghost"))

        assert answers(connection, 1)[0][0] == 500


def test_a_client_that_sends_and_does_not_read_is_not_buffered_for(server: uvicorn.Server) -> None:
    with connected(server) as connection:
        connection.settimeout(2)
        with pytest.raises(TimeoutError):  # its requests stay with it, once the kernel's buffers are full
            for _ in range(10_000):
                connection.sendall(request("/p/acme") * 100)
        (protocol,) = server.server_state.connections

        assert isinstance(protocol, PublicProtocol)
        assert protocol.transport.get_write_buffer_size() < 1 << 20


class Transport:
    """What was written and not yet taken, and whether the connection was broken off."""

    def __init__(self, left_bytes: int) -> None:
        self.left_bytes = left_bytes
        self.is_aborted = False

    def get_write_buffer_size(self) -> int:
        return self.left_bytes

    def abort(self) -> None:
        self.is_aborted = True


class Loop:
    """Calls when it is told to what was to be called later."""

    def call_later(self, delay_s: float, call: Callable[..., None], *arguments: object) -> None:
        assert delay_s == STALLED_S
        self.later = partial(call, *arguments)


def test_a_client_is_waited_for_while_it_takes_anything(filled: Filled) -> None:
    transport, loop = Transport(100), Loop()
    protocol = PublicProtocol(uvicorn.Config(filled.app), ServerState(), {}, loop)
    protocol.transport, protocol.flow = transport, FlowControl(transport)  # type: ignore[assignment,arg-type]
    protocol.pause_writing()

    for transport.left_bytes in (99, 98):
        loop.later()
        assert not transport.is_aborted

    loop.later()
    assert transport.is_aborted
