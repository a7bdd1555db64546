"""All the test servers in one process: `python -m tests.probes.servers.hostile FOLDER` prints their ports as JSON.

FOLDER gets `ca.pem`, the authority that the honest TLS servers' certificates are signed by.
"""

import asyncio
import contextlib
import datetime
import json
import os
import socket
import ssl
import struct
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import trustme
from trustme import CA, KeyType

from tests.probes.servers.answers import (
    BAD,
    BOMBS,
    DRIPS,
    HANGS,
    HELLO,
    HONEST,
    REDIRECTS,
    WITHOUT_BODY,
    endless,
    redirect,
    sized,
)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
FIXED = HONEST | WITHOUT_BODY | BAD | BOMBS | REDIRECTS
FOREVER_S = 3_600


async def by_path(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as the path says, then close."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    method, target, _ = head.split(" ", 2)
    name = target.split("?")[0].strip("/")
    if name == "hop":
        writer.write(redirect(f"/hop?{int(target.split('?')[1]) + 1}"))
    elif name == "slow-hop":
        await asyncio.sleep(0.4)
        writer.write(redirect("/slow-hop"))
    elif name == "echo":
        length = int(next((line[16:] for line in head.splitlines() if line.lower().startswith("content-length:")), 0))
        body = await reader.readexactly(length)
        writer.write(sized(json.dumps({"method": method, "head": head, "body": body.decode()}).encode()))
    elif name.startswith("moved-"):
        writer.write(redirect("/echo", status=int(name[-3:])))
    elif name == "cookie-wall":
        writer.write(sized(HELLO) if "seen=1" in head and "other=2" in head else redirect("/cookie-wall"))
    elif method == "HEAD":
        writer.write(FIXED[name].split(b"\r\n\r\n")[0] + b"\r\n\r\n")
        await asyncio.sleep(FOREVER_S)
    elif name in FIXED:
        writer.write(FIXED[name])
    elif name in DRIPS:
        await _drip(writer, DRIPS[name])
    elif name in HANGS:
        writer.write(HANGS[name])
        await asyncio.sleep(FOREVER_S)
    else:
        for block in endless(name) or ():
            writer.write(block)
            await writer.drain()
    await writer.drain()


async def _drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    for byte in data:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def reset_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection before anything was read."""
    _reset(writer)


async def reset_after_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request, then reset."""
    await reader.readuntil(b"\r\n\r\n")
    _reset(writer)


async def reset_in_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send half a body, then reset."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    await asyncio.sleep(0.1)
    _reset(writer)


async def half_close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End our side without a word and keep the connection."""
    writer.write_eof()
    await asyncio.sleep(FOREVER_S)


async def early_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer before the request was read."""
    writer.write(sized(HELLO))
    await writer.drain()
    await asyncio.sleep(FOREVER_S)


async def close_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept and close."""


async def silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept and say nothing."""
    await asyncio.sleep(FOREVER_S)


async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes that mean nothing, without end."""
    while True:
        writer.write(os.urandom(4_096))
        await writer.drain()


async def endless_handshake(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """TLS records of a handshake message that never ends."""
    writer.write(b"\x16\x03\x03\x40\x00" + b"\x02\xff\xff\xff" + b"\x03\x03" + bytes(0x4000 - 6))
    while True:
        writer.write(b"\x16\x03\x03\x40\x00" + bytes(0x4000))
        await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


CONNECTIONS: dict[str, Handler] = {
    "http": by_path,
    "reset-at-once": reset_at_once,
    "reset-after-request": reset_after_request,
    "reset-in-body": reset_in_body,
    "half-close": half_close,
    "early-answer": early_answer,
    "close-at-once": close_at_once,
    "tls-silence": silence,
    "tls-garbage": garbage,
    "tls-endless-handshake": endless_handshake,
    "tls-closes": close_at_once,
    "tls-plain-http": early_answer,
}


HANG_UP_WITH_AN_ALERT = ("tls-client-certificate", "tls-too-old")


def contexts(folder: Path) -> dict[str, ssl.SSLContext]:
    """One server context for each certificate, right or wrong."""
    authority, stranger = CA(key_type=KeyType.ECDSA), CA(key_type=KeyType.ECDSA)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    names = ("good.test", "127.0.0.1")
    return {
        "tls-good": _context(authority.issue_cert(*names, key_type=KeyType.ECDSA)),
        "tls-rsa": _context(authority.issue_cert(*names, key_type=KeyType.RSA)),
        "tls-untrusted": _context(stranger.issue_cert(*names, key_type=KeyType.ECDSA)),
        "tls-wrong-name": _context(authority.issue_cert("other.test", key_type=KeyType.ECDSA)),
        "tls-expired": _context(
            authority.issue_cert(*names, not_before=now - 9 * day, not_after=now - day, key_type=KeyType.ECDSA)
        ),
        "tls-not-yet": _context(
            authority.issue_cert(*names, not_before=now + day, not_after=now + 9 * day, key_type=KeyType.ECDSA)
        ),
        "tls-too-old": _outdated(_context(authority.issue_cert(*names, key_type=KeyType.RSA))),
        "tls-client-certificate": _asking(_context(authority.issue_cert(*names, key_type=KeyType.ECDSA))),
    }


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def _asking(context: ssl.SSLContext) -> ssl.SSLContext:
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _outdated(context: ssl.SSLContext) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def serve_blocking(context: ssl.SSLContext) -> int:
    """Shake hands in a thread: asyncio's servers hang up before their alert has left. Returns the port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                context.wrap_socket(connection, server_side=True)

    threading.Thread(target=serve, daemon=True).start()
    port: int = listening.getsockname()[1]
    return port


async def main(folder: Path) -> None:
    """Start all of them, print their ports, serve until stdin ends."""
    ports: dict[str, int] = {}
    servers = []
    for name, handler in CONNECTIONS.items():
        servers.append(await asyncio.start_server(_quiet(handler), "127.0.0.1", 0))
        ports[name] = servers[-1].sockets[0].getsockname()[1]
    for name, context in contexts(folder).items():
        if name in HANG_UP_WITH_AN_ALERT:
            ports[name] = serve_blocking(context)
            continue
        servers.append(await asyncio.start_server(_quiet(by_path), "127.0.0.1", 0, ssl=context))
        ports[name] = servers[-1].sockets[0].getsockname()[1]
    deaf = socket.create_server(("127.0.0.1", 0), backlog=128)  # never accepts
    ports["deaf"] = deaf.getsockname()[1]
    print(json.dumps(ports), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)  # handlers that wait for ever are not waited for


def _quiet(handler: Handler) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has had enough
        finally:
            writer.close()

    return handle


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
