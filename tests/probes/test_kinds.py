"""Checks of what is not HTTP: TCP, TLS, DNS and WebSockets, judged like all others."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from probes.check import check
from probes.compiled import Compiler
from probes.fetch import Fetcher
from probes.kinds import dns
from probes.lag import LagMeter
from probes.secrets import Secrets
from schemas.enums import Outcome, Reason
from schemas.events import CheckResult
from schemas.monitors import Monitor
from tests.engines import free_ports

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def checked(url: str, *, allow: bool = True, **fields: Any) -> CheckResult:
    monitor = Monitor.model_validate({"slug": "api", "url": url, "timeout": "2s"} | fields)
    fetcher = Fetcher(allow=[ip_network("127.0.0.0/8")] if allow else [])
    try:
        compiled = Compiler(fetcher, Secrets(None, {})).compile("default/api", monitor, version=1, partition=0)
        return await check(compiled, 1, LagMeter())
    finally:
        await fetcher.close()


@asynccontextmanager
async def listening(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.com ready\r\n")
    await reader.read(1)
    writer.close()


async def ponders(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"+" + await reader.read(100))
    writer.close()


@pytest.mark.parametrize(
    ("handler", "fields", "outcome", "reason"),
    [
        (ponders, {}, Outcome.UP, Reason.OK),
        (greets, {"assertions": [{"body": "text", "matches": "^220 "}]}, Outcome.UP, Reason.OK),
        (greets, {"assertions": [{"body": "text", "matches": "^221 "}]}, Outcome.DOWN, Reason.ASSERTION),
        (echoes, {"body": "PING", "assertions": [{"body": "text", "equals": "+PING"}]}, Outcome.UP, Reason.OK),
        (ponders, {"assertions": [{"body": "text", "exists": True}]}, Outcome.DOWN, Reason.TIMEOUT),
        (ponders, {"latency_threshold": "0ms"}, Outcome.DEGRADED, Reason.LATENCY),
    ],
)
def test_tcp(handler: Handler, fields: dict[str, Any], outcome: Outcome, reason: Reason) -> None:
    async def main() -> CheckResult:
        async with listening(handler) as port:
            return await checked(f"tcp://127.0.0.1:{port}", timeout="500ms", **fields)

    result = asyncio.run(main())
    assert (result.outcome, result.reason) == (outcome, reason)
    assert result.status_code == 0


def test_a_header_that_cannot_be_sent_is_not_sent_to_a_websocket_either() -> None:
    result = asyncio.run(checked("ws://127.0.0.1:9999/", headers={"X-Key": "a\r\nX-Smuggled: b"}))

    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, Reason.BAD_REQUEST)


def test_a_tcp_port_where_nobody_listens_is_down() -> None:
    (port,) = free_ports(1)

    result = asyncio.run(checked(f"tcp://127.0.0.1:{port}"))

    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.CONNECT_REFUSED)
    assert result.total_us > 0


@pytest.mark.parametrize("scheme", ["tcp", "tls", "ws", "wss"])
def test_the_guard_holds_for_every_kind(scheme: str) -> None:
    result = asyncio.run(checked(f"{scheme}://127.0.0.1:8080", allow=False))

    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.BLOCKED_ADDRESS)


def test_tls_tells_how_long_the_certificate_lasts(tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    async def main() -> tuple[CheckResult, CheckResult, CheckResult]:
        async with listening(ponders, context) as port, listening(greets) as plain:
            url = f"tls://127.0.0.1:{port}"
            fits = {"verify_tls": False, "assertions": [{"certificate_days": 1}]}
            return await checked(url), await checked(url, **fits), await checked(f"tls://127.0.0.1:{plain}")

    untrusted, lasting, no_tls = asyncio.run(main())
    assert (untrusted.outcome, untrusted.reason) == (Outcome.DOWN, Reason.TLS_ERROR)
    assert lasting.outcome is Outcome.UP
    assert lasting.certificate_expires_at > 0
    assert no_tls.reason is Reason.TLS_ERROR


@pytest.mark.parametrize(("scheme", "offered"), [("tls", None), ("wss", "http/1.1")])
def test_http_is_offered_only_where_it_is_spoken(scheme: str, offered: str | None) -> None:
    """Mail servers break off a handshake that offers HTTP."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    async def main() -> str | None:
        agreed: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            agreed.set_result(writer.get_extra_info("ssl_object").selected_alpn_protocol())
            writer.close()

        async with listening(handler, context) as port:
            await checked(f"{scheme}://127.0.0.1:{port}", verify_tls=False)
            return await agreed

    assert asyncio.run(main()) == offered


async def converse(connection: ServerConnection) -> None:
    if connection.request is not None and connection.request.path == "/greeting":
        await connection.send('{"hello": "you"}')
    async for message in connection:
        await connection.send(f"heard {message!s}")


@pytest.mark.parametrize(
    ("path", "fields", "outcome", "reason"),
    [
        ("/", {}, Outcome.UP, Reason.OK),
        ("/greeting", {"assertions": [{"jsonpath": "$.hello", "equals": "you"}]}, Outcome.UP, Reason.OK),
        ("/", {"body": "ping", "assertions": [{"body": "text", "equals": "heard ping"}]}, Outcome.UP, Reason.OK),
        ("/", {"body": "ping", "assertions": [{"body": "text", "equals": "pong"}]}, Outcome.DOWN, Reason.ASSERTION),
        ("/", {"assertions": [{"body": "text", "exists": True}]}, Outcome.DOWN, Reason.TIMEOUT),
    ],
)
def test_websocket(path: str, fields: dict[str, Any], outcome: Outcome, reason: Reason) -> None:
    async def main() -> CheckResult:
        async with serve(converse, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await checked(f"ws://127.0.0.1:{port}{path}", **({"timeout": "1s"} | fields))

    result = asyncio.run(main())
    assert (result.outcome, result.reason) == (outcome, reason), result.message


@pytest.mark.parametrize(
    ("name", "value", "spoken"),
    [
        ("Sec-WebSocket-Protocol", "graphql-ws, graphql-transport-ws", [Subprotocol("graphql-transport-ws")]),
        ("Host", "app.example.com", None),
        ("Origin", "null", None),
    ],
)
def test_a_header_of_the_monitor_is_part_of_a_websockets_handshake(
    name: str, value: str, spoken: list[Subprotocol] | None
) -> None:
    async def tell(connection: ServerConnection) -> None:
        await connection.send(", ".join(connection.request.headers.get_all(name)) if connection.request else "")

    async def main() -> CheckResult:
        async with serve(tell, "127.0.0.1", 0, subprotocols=spoken) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            heard = [{"body": "text", "equals": value}]
            return await checked(f"ws://127.0.0.1:{port}/", headers={name: value}, assertions=heard)

    result = asyncio.run(main())
    assert (result.outcome, result.message) == (Outcome.UP, "")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Reason.HTTP_STATUS),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Reason.HTTP_STATUS),
        (b"garbage\r\n\r\n", Reason.BAD_RESPONSE),
        (b"", Reason.BAD_RESPONSE),
        (b"HTTP/1.1 101 Switching Protocols\r\n" + b"X-Long: 1\r\n" * 20_000, None),
    ],
    ids=["404", "200", "garbage", "nothing", "endless"],
)
def test_what_is_no_websocket_is_down(answer: bytes, reason: Reason | None) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def main() -> CheckResult:
        async with listening(handler) as port:
            return await checked(f"ws://127.0.0.1:{port}/")

    result = asyncio.run(main())
    assert result.outcome is Outcome.DOWN
    assert reason is None or result.reason is reason


class _Records:
    """A DNS server for one name: three A records in turning order, one MX, nothing else."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def answer(self) -> None:
        """One question."""
        query, sender = self._socket.recvfrom(512)
        question_end = query.index(b"\0", 12) + 5
        question, record_type = query[12:question_end], query[question_end - 3]
        answers = {
            1: [bytes([192, 0, 2, n]) for n in (3, 1, 2)],
            15: [b"\0\x0a\x04mail\xc0\x0c"],
        }.get(record_type, [])
        head = query[:2] + b"\x81\x80\0\x01" + len(answers).to_bytes(2, "big") + b"\0\0\0\0"
        records = b"".join(
            b"\xc0\x0c" + bytes([0, record_type]) + b"\0\x01\0\0\0\x3c" + len(data).to_bytes(2, "big") + data
            for data in answers
        )
        self._socket.sendto(head + question + records, sender)

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize(
    ("target", "assertion", "outcome", "reason"),
    [
        ("svc.test", {"jsonpath": "$.records", "contains": "192.0.2.2"}, Outcome.UP, Reason.OK),
        (
            "svc.test?type=A",
            {"jsonpath": "$.records", "equals": ["192.0.2.1", "192.0.2.2", "192.0.2.3"]},
            Outcome.UP,
            Reason.OK,
        ),
        ("svc.test?type=mx", {"jsonpath": "$.records[0]", "equals": "10 mail.svc.test"}, Outcome.UP, Reason.OK),
        ("svc.test", {"jsonpath": "$.records", "contains": "192.0.2.9"}, Outcome.DOWN, Reason.ASSERTION),
        ("svc.test?type=TXT", {"jsonpath": "$.records", "length": 1}, Outcome.DOWN, Reason.DNS_ERROR),
        ("svc.test?type=ANY", {"jsonpath": "$.records", "length": 1}, Outcome.UNKNOWN, Reason.BAD_REQUEST),
    ],
)
def test_dns(
    target: str, assertion: dict[str, Any], outcome: Outcome, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = _Records()
    resolver = dns.aiodns.DNSResolver
    monkeypatch.setattr(dns.aiodns, "DNSResolver", lambda: resolver([records.address]))

    async def main() -> CheckResult:
        answering = asyncio.create_task(asyncio.to_thread(records.answer)) if "ANY" not in target else None
        result = await checked(f"dns://{target}", assertions=[assertion])
        if answering is not None:
            await answering
        return result

    try:
        result = asyncio.run(main())
    finally:
        records.close()
    assert (result.outcome, result.reason) == (outcome, reason), result.message


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "tcp://example.com"},
        {"url": "ftp://example.com"},
        {"url": "ws://example.com:25/"},
        {"url": "tcp://example.com:25", "body": "HELO"},
        {"url": "tcp://example.com:25", "json": ["HELO"]},
        {"url": "tcp://example.com:25", "form": {"HELO": ""}},
        {"url": "tcp://example.com:80", "assertions": [{"status": "200"}]},
        {"url": "dns://example.com", "assertions": [{"header": "X", "exists": True}]},
    ],
    ids=str,
)
def test_what_has_no_meaning_for_a_kind_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Monitor.model_validate({"slug": "api"} | fields)
