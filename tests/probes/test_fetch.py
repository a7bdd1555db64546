"""A fetch against ordinary servers: requests, redirects, phases, happy eyeballs, evidence."""

import asyncio
import errno
import json
import select
import socket
import struct
from ipaddress import ip_network
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probes.fetch import Fetched, Fetcher, Request
from probes.wire import poller
from probes.wire.connection import Connection
from schemas.enums import Reason
from schemas.urls import parse_url
from tests.probes.servers.answers import HELLO
from tests.probes.servers.network import LocalNetwork, RebindingResolver, local_network
from tests.probes.servers.running import LOOPBACK, Servers


def fetch(url: str, *, allow: Any = LOOPBACK, run: Any = uvloop.run, **options: Any) -> Fetched:
    async def once() -> Fetched:
        fetcher = Fetcher(allow=allow)
        try:
            return await fetcher.fetch(Request(**{"method": "GET", "url": parse_url(url)} | options))
        finally:
            await fetcher.close()

    fetched: Fetched = run(once())
    return fetched


def echoed(fetched: Fetched) -> dict[str, Any]:
    """What the server says it was sent."""
    assert fetched.response is not None, fetched
    seen: dict[str, Any] = json.loads(fetched.response.body)
    return seen


def test_a_fetch_tells_everything_about_its_response(servers: Servers) -> None:
    fetched = fetch(servers.url("plain"))

    assert fetched.reason is Reason.OK
    response = fetched.response
    assert response is not None
    assert (response.status, response.reason_phrase, response.http_version) == (200, "OK", "1.1")
    assert ("content-type", "application/json") in response.headers
    assert response.body == HELLO
    assert (fetched.address, response.redirects, response.certificate_expires_at) == ("127.0.0.1", 0, 0)


def test_the_phases_add_up_to_no_more_than_the_total(servers: Servers) -> None:
    phases = fetch(servers.url("slow-chunks"), timeout_ms=500).phases

    assert phases.connect_us > 0
    assert phases.ttfb_us > 0
    assert phases.sum_us <= phases.total_us
    assert phases.total_us >= 500_000


def test_the_total_of_a_response_is_what_its_phases_took(servers: Servers) -> None:
    phases = fetch(servers.url("moved-302")).phases

    assert phases.total_us == phases.sum_us > 0


def test_a_reset_between_connecting_and_sending_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    send_some = Connection._send_some

    with socket.create_server(("127.0.0.1", 0)) as server:

        def send_after_a_reset(connection: Connection, data: bytes) -> int:
            accepted, _ = server.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
            hung_up = select.poll()
            hung_up.register(connection._socket, 0)
            assert hung_up.poll(5_000)
            return send_some(connection, data)

        monkeypatch.setattr(Connection, "_send_some", send_after_a_reset)
        fetched = fetch(f"http://127.0.0.1:{server.getsockname()[1]}/")

    assert fetched.reason is Reason.BAD_RESPONSE
    assert "reset" in fetched.message


def test_the_request_is_what_was_asked_for(servers: Servers) -> None:
    seen = echoed(
        fetch(servers.url("echo"), method="POST", headers=(("X-Key", "k1"), ("Accept", "text/plain")), body=b'{"a":1}')
    )

    assert seen["method"] == "POST"
    assert seen["body"] == '{"a":1}'
    head = seen["head"].lower()
    assert "x-key: k1\r\n" in head
    assert "content-length: 7\r\n" in head
    assert "accept-encoding: identity\r\n" in head
    assert head.count("accept:") == 1
    assert f"host: 127.0.0.1:{servers.ports['http']}\r\n" in head


def test_a_host_header_of_the_user_replaces_ours(servers: Servers) -> None:
    head = echoed(fetch(servers.url("echo"), headers=(("Host", "virtual.example"),)))["head"]

    assert head.lower().count("host:") == 1
    assert "Host: virtual.example\r\n" in head


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "GET /x"}, "not an HTTP method"),
        ({"headers": (("X Y", "1"),)}, "not a header's name"),
        ({"headers": (("X", "a\r\nY: b"),)}, "cannot be sent"),
        ({"headers": (("X", "\ud800"),)}, "cannot be sent"),
        ({"headers": (("Transfer-Encoding", "chunked"),)}, "itself"),
        ({"headers": (("Content-Length", "3"),)}, "itself"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_name(options: dict[str, Any], words: str) -> None:
    fetched = fetch("http://127.0.0.1:1234/", **options)

    assert fetched.reason is Reason.BAD_REQUEST
    assert words in fetched.message


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "GET", "GET"),
        (301, "POST", "GET"),
        (301, "PUT", "PUT"),
        (302, "POST", "GET"),
        (302, "PUT", "GET"),
        (303, "PUT", "GET"),
        (303, "DELETE", "GET"),
        (307, "POST", "POST"),
        (308, "PUT", "PUT"),
    ],
)
def test_a_redirect_changes_the_method_as_in_browsers(servers: Servers, status: int, method: str, then: str) -> None:
    fetched = fetch(servers.url(f"moved-{status}"), method=method, body=b"data", headers=(("X-Key", "k1"),))

    seen = echoed(fetched)
    assert seen["method"] == then
    assert seen["body"] == ("data" if then == method else "")
    assert "X-Key: k1" in seen["head"]


def test_a_redirect_that_is_not_followed_is_the_response(servers: Servers) -> None:
    fetched = fetch(servers.url("moved-301"), follow_redirects=False, timeout_ms=500)

    assert fetched.response is not None
    assert fetched.response.status == 301


def test_cookies_of_the_way_travel_with_it(servers: Servers) -> None:
    fetched = fetch(servers.url("to-cookie-wall"), headers=(("Cookie", "mine=0"),))

    assert fetched.reason is Reason.OK
    assert fetched.response is not None
    assert fetched.response.body == HELLO


@pytest.mark.parametrize("location", ["http://other.sample.test/", "http://sample.test:8080/", "//other.sample.test"])
def test_to_another_origin_no_header_of_the_user_travels(location: str) -> None:
    answers = {"http://sample.test/": {"status": 307, "headers": [["Location", location]]}}

    async def run() -> tuple[Fetched, LocalNetwork]:
        async with local_network(answers) as network:
            names = {"sample.test": [["151.101.1.69"]], "other.sample.test": [["9.9.9.9"]]}
            fetcher = Fetcher(resolver=RebindingResolver(names), connect=network.connect)
            request = Request("GET", parse_url("http://sample.test/"), headers=(("X-Api-Key", "k1"),))
            fetched = await fetcher.fetch(request)
            await fetcher.close()
            return fetched, network

    fetched, network = asyncio.run(run())

    assert len(network.connects) == 2
    assert fetched.response is not None
    assert b"X-Api-Key" not in fetched.response.body


ADDRESSES = ["2620:fe::fe", "9.9.9.9", "2620:fe::9", "151.101.1.69"]


def race(**options: Any) -> tuple[Fetched, LocalNetwork]:
    async def run() -> tuple[Fetched, LocalNetwork]:
        async with local_network({}, **options) as network:
            resolver = RebindingResolver({"sample.test": [ADDRESSES]})
            fetcher = Fetcher(resolver=resolver, connect=network.connect)
            fetched = await fetcher.fetch(Request("GET", parse_url("http://sample.test/"), timeout_ms=5_000))
            await fetcher.close()
            return fetched, network

    return asyncio.run(run())


def test_the_first_address_that_answers_is_used() -> None:
    fetched, network = race()

    assert fetched.response is not None
    assert fetched.address == "2620:fe::fe"
    assert len(network.connects) == 1


def test_an_address_that_keeps_silent_gives_way_to_the_next() -> None:
    fetched, network = race(blackholes=["2620:fe::fe"])

    assert fetched.response is not None
    assert fetched.address == "9.9.9.9"
    assert fetched.phases.connect_us >= 250_000
    assert [address for address, _ in network.connects] == ADDRESSES[:2]


def test_an_address_that_refuses_gives_way_at_once() -> None:
    fetched, _ = race(refusing=["2620:fe::fe", "9.9.9.9"])

    assert fetched.response is not None
    assert fetched.address == "2620:fe::9"


def test_at_most_three_addresses_are_tried() -> None:
    fetched, network = race(refusing=ADDRESSES[:3])

    assert fetched.reason is Reason.CONNECT_REFUSED
    assert [address for address, _ in network.connects] == ADDRESSES[:3]


@pytest.mark.parametrize("code", [errno.ENETUNREACH, errno.EADDRNOTAVAIL])
def test_a_host_without_ipv6_is_not_the_reason_where_there_is_another(code: int) -> None:
    fetched, network = race(without_ipv6=code, refusing=["9.9.9.9"])

    assert fetched.reason is Reason.CONNECT_REFUSED
    assert len(network.connects) == 3


def test_what_the_probe_itself_has_run_out_of_is_no_word_about_the_server() -> None:
    async def run() -> Fetched:
        fetcher = Fetcher(connect=lambda attempt, address: errno.EADDRNOTAVAIL)
        fetched = await fetcher.fetch(Request("GET", parse_url("http://9.9.9.9/")))
        await fetcher.close()
        return fetched

    fetched = asyncio.run(run())

    assert fetched.reason is Reason.PROBE_OVERLOADED
    assert "the probe" in fetched.message


def test_nothing_listening_is_told_from_silence(servers: Servers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]

    assert fetch(f"http://127.0.0.1:{port}/").reason is Reason.CONNECT_REFUSED
    assert fetch(servers.url("", "deaf"), timeout_ms=300).reason is Reason.TIMEOUT


def test_an_address_of_the_other_version_is_a_bad_request(servers: Servers) -> None:
    assert fetch(servers.url("plain"), ip_version=6).reason is Reason.BAD_REQUEST


def test_loopback_is_closed_unless_the_operator_opens_it(servers: Servers) -> None:
    fetched = fetch(servers.url("plain"), allow=())

    assert fetched.reason is Reason.BLOCKED_ADDRESS
    assert "PULSE_PROBE_ALLOW" in fetched.message


def test_localhost_works_where_loopback_is_open(servers: Servers) -> None:
    fetched = fetch(f"http://localhost:{servers.ports['http']}/plain")

    assert fetched.reason is Reason.OK, fetched
    assert fetched.phases.dns_us > 0


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_both_event_loops_and_both_pollers_will_do(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, runner: Any
) -> None:
    assert fetch(servers.url("chunked"), run=runner).reason is Reason.OK

    monkeypatch.delattr(poller.select, "epoll")
    assert fetch(servers.url("chunked"), run=runner).reason is Reason.OK
    assert fetch(servers.url("silence"), run=runner, timeout_ms=200).reason is Reason.TIMEOUT
    assert fetch(servers.url("plain", "tls-good"), run=runner, verify_tls=False).reason is Reason.OK


def test_many_fetches_at_once_do_not_mix_their_answers(servers: Servers) -> None:
    async def run() -> list[Fetched]:
        fetcher = Fetcher(allow=LOOPBACK)
        requests = [Request("POST", parse_url(servers.url("echo")), body=b"%d" % n) for n in range(300)]
        fetched = await asyncio.gather(*(fetcher.fetch(request) for request in requests))
        await fetcher.close()
        return fetched

    assert [echoed(fetched)["body"] for fetched in uvloop.run(run())] == [str(n) for n in range(300)]


def test_a_cancelled_fetch_leaves_no_descriptor_behind(servers: Servers) -> None:
    async def run() -> int:
        fetcher = Fetcher(allow=LOOPBACK)
        request = Request("GET", parse_url(servers.url("silence")))
        tasks = [asyncio.create_task(fetcher.fetch(request)) for _ in range(20)]
        await fetcher.fetch(Request("GET", parse_url(servers.url("plain"))))
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended)
        watched = len(fetcher._poller._callbacks)
        await fetcher.close()
        return watched

    assert uvloop.run(run()) == 0


class Saying:
    """A server that says given pieces, and ends or holds the connection."""

    def __init__(self, pieces: list[bytes], hold: bool) -> None:
        self._pieces = pieces
        self._hold = hold

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(65_536)
            for piece in self._pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if self._hold:
                await reader.read()
        except OSError:
            pass  # the client has had enough
        finally:
            writer.close()


HTTPISH = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 301 \r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 ",
        b"Location: /\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: zstd\r\n",
        b"Set-Cookie: a=b\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"hello",
        b"\x1f\x8b\x08\x00",
        b"\x00",
        b": ",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=40) | HTTPISH, max_size=12), st.booleans(), st.sampled_from(["GET", "HEAD"]))
def test_whatever_bytes_come_the_fetch_ends_by_its_deadline_with_a_reason(
    pieces: list[bytes], hold: bool, method: str
) -> None:
    async def run() -> Fetched:
        server = await asyncio.start_server(Saying(pieces, hold), "127.0.0.1", 0)
        fetcher = Fetcher(allow=[ip_network("127.0.0.0/8")])
        url = parse_url(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        try:
            return await fetcher.fetch(Request(method, url, timeout_ms=150))
        finally:
            await fetcher.close()
            server.close()

    fetched = uvloop.run(run())

    assert isinstance(fetched.reason, Reason)
    assert (fetched.reason is Reason.OK) == (not fetched.message)
    assert fetched.reason is not Reason.OK or fetched.response is not None
    assert fetched.phases.total_us <= 1_150_000
