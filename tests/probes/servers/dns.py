"""A name server on loopback, with as many names as a test needs."""

import asyncio
import ipaddress
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

A, AAAA, CNAME = 1, 28, 5
NXDOMAIN, SERVFAIL = 3, 2


class NameServer(asyncio.DatagramProtocol):
    """`names` maps a name to addresses, to `CNAME x`, or to a response code; `others` is that of all other names."""

    def __init__(self, names: dict[str, list[str] | int]) -> None:
        self.names = names
        self.others: int | None = None
        """None: no answer."""
        self.questions: Counter[str] = Counter()
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name, end = _read_name(data)
        kind = int.from_bytes(data[end : end + 2])
        self.questions[name] += 1
        known = self.names.get(name, self.others)
        if known is None:
            return
        code, records = (known, []) if isinstance(known, int) else (0, self._records(name, kind))
        head = data[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        self._transport.sendto(head + data[12 : end + 4] + b"".join(records), addr)

    def _records(self, name: str, kind: int) -> list[bytes]:
        found: list[bytes] = []
        known = self.names.get(name, [])
        for entry in known if isinstance(known, list) else []:
            if entry.startswith("CNAME "):
                found.append(_record(name, CNAME, _write_name(entry[6:])))
                found += self._records(entry[6:], kind)
                continue
            address = ipaddress.ip_address(entry)
            if kind == (A if address.version == 4 else AAAA):
                found.append(_record(name, kind, address.packed))
        return found


def _record(name: str, kind: int, value: bytes) -> bytes:
    return _write_name(name) + struct.pack("!HHIH", kind, 1, 300, len(value)) + value


def _write_name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _read_name(data: bytes) -> tuple[str, int]:
    labels, at = [], 12
    while size := data[at]:
        labels.append(data[at + 1 : at + 1 + size].decode().lower())
        at += 1 + size
    return ".".join(labels), at + 1


@asynccontextmanager
async def name_server(names: dict[str, list[str] | int]) -> AsyncIterator[NameServer]:
    """Serve `names` over UDP."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(names), local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
