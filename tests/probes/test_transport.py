"""httpx over our transport does what httpx does over its own, on ordinary responses."""

import asyncio
from typing import Any

import httpx
import pytest

from probes.fetch import Fetched, Fetcher
from probes.transport import BlockedAddress, PulseTransport, ResponseTooLarge
from tests.probes.servers.answers import HELLO, HONEST, WITHOUT_BODY
from tests.probes.servers.running import LOOPBACK, Servers

OTHERWISE_IN_HTTPX = ("length-and-chunked", "latin-1-header", "space-before-colon")
ORDINARY = [name for name in [*HONEST, *WITHOUT_BODY] if name not in OTHERWISE_IN_HTTPX]
"""All but those that h11 refuses or that httpx decodes by guessing."""


def ask(transport: httpx.AsyncBaseTransport | None, method: str, url: str, **options: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            follow_redirects=True,
            limits=httpx.Limits(max_keepalive_connections=0),  # the servers close after an answer, unsaid
        ) as client:
            return await client.request(method, url, **options)

    return asyncio.run(run())


def ours(**options: Any) -> PulseTransport:
    return PulseTransport(Fetcher(allow=LOOPBACK), **options)


def assert_same(own: httpx.Response, stock: httpx.Response) -> None:
    assert own.status_code == stock.status_code
    assert own.reason_phrase == stock.reason_phrase
    assert own.http_version == stock.http_version
    assert own.headers.multi_items() == stock.headers.multi_items()
    assert own.content == stock.content
    assert str(own.url) == str(stock.url)
    assert own.request.method == stock.request.method
    assert [(hop.status_code, hop.headers.get("location")) for hop in own.history] == [
        (hop.status_code, hop.headers.get("location")) for hop in stock.history
    ]
    assert dict(own.cookies) == dict(stock.cookies)


@pytest.mark.parametrize("path", ORDINARY)
def test_an_ordinary_response_reads_the_same(servers: Servers, path: str) -> None:
    url = servers.url(path)

    assert_same(ask(ours(), "GET", url), ask(None, "GET", url))


@pytest.mark.parametrize("path", ["plain", "gzip", "chunked"])
def test_a_head_request_reads_the_same(servers: Servers, path: str) -> None:
    url = servers.url(path)

    assert_same(ask(ours(), "HEAD", url), ask(None, "HEAD", url))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_redirects_end_in_the_same_request(servers: Servers, status: int, method: str) -> None:
    url = servers.url(f"moved-{status}")
    body = {} if method == "GET" else {"content": b"data"}

    own, stock = ask(ours(), method, url, **body), ask(None, method, url, **body)

    assert own.json()["method"] == stock.json()["method"]
    assert own.json()["body"] == stock.json()["body"]
    assert [hop.status_code for hop in own.history] == [hop.status_code for hop in stock.history] == [status]


def test_cookies_are_kept_by_the_client(servers: Servers) -> None:
    url = servers.url("to-cookie-wall")

    assert_same(ask(ours(), "GET", url), ask(None, "GET", url))


def test_forms_files_and_streams_are_sent(servers: Servers) -> None:
    async def pieces() -> Any:
        yield b"first "
        yield b"second"

    assert ask(ours(), "POST", servers.url("echo"), data={"a": "1"}).json()["body"] == "a=1"
    assert ask(ours(), "POST", servers.url("echo"), json={"a": 1}).json()["body"] == '{"a":1}'
    assert ask(ours(), "POST", servers.url("echo"), content=pieces()).json()["body"] == "first second"


def test_the_phases_come_as_an_extension(servers: Servers) -> None:
    fetched = ask(ours(), "GET", servers.url("plain")).extensions["fetched"]

    assert isinstance(fetched, Fetched)
    assert fetched.phases.total_us > 0


@pytest.mark.parametrize(
    ("path", "server", "error"),
    [
        ("garbage", "http", httpx.RemoteProtocolError),
        ("body-cut-off", "http", httpx.RemoteProtocolError),
        ("silence", "http", httpx.ReadTimeout),
        ("slow-body", "http", httpx.ReadTimeout),
        ("plain", "tls-untrusted", httpx.ConnectError),
        ("to-private", "http", BlockedAddress),
        ("endless-body", "http", ResponseTooLarge),
        ("endless-headers", "http", ResponseTooLarge),
    ],
)
def test_a_failure_is_one_of_httpxs_errors(servers: Servers, path: str, server: str, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        ask(ours(), "GET", servers.url(path, server), timeout=1.0)

    assert str(raised.value)


def test_a_request_that_cannot_be_sent_is_a_local_error(servers: Servers) -> None:
    with pytest.raises(httpx.LocalProtocolError, match="port 25"):
        ask(ours(), "GET", "http://127.0.0.1:25/")


def test_without_verification_a_strangers_certificate_will_do(servers: Servers) -> None:
    assert ask(ours(verify_tls=False), "GET", servers.url("plain", "tls-untrusted")).content == HELLO
