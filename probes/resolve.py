"""Names to addresses, without threads of ours: aiodns, with /etc/hosts and resolv.conf honoured.

What was learnt is kept for a few seconds only: a monitor times its DNS, and a name that moves is followed.
"""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from time import monotonic
from typing import Final, Literal, Protocol

import aiodns
from aiodns import error as dns_error

from probes.wire.failed import FetchFailed
from schemas.enums import Reason

IpVersion = Literal[4, 6] | None

GENERATION_S: Final = 5.0
QUERY_TIMEOUT_S: Final = 2.0
QUERY_TRIES: Final = 3
RETIREMENT_S: Final = 20.0
"""Longer than the last question of a channel can take."""
_NOT_SORTED: Final = 1 << 7
"""c-ares's ARES_AI_NOSORT: sorting would open a socket to each address before it was judged."""
_FAMILIES: Final = {None: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}
_MESSAGES: Final = {
    dns_error.ARES_ENOTFOUND: "there is no such name",
    dns_error.ARES_ENODATA: "the name has no address",
    dns_error.ARES_ESERVFAIL: "the name's servers failed (SERVFAIL)",
    dns_error.ARES_EREFUSED: "the DNS server refused the question",
    dns_error.ARES_ETIMEOUT: "the DNS servers did not answer",
    dns_error.ARES_ECONNREFUSED: "no DNS server could be reached",
}


class Resolver(Protocol):
    """Where a fetcher gets addresses from."""

    async def resolve(self, host: str, ip_version: IpVersion) -> Sequence[str]:
        """The addresses of `host` in the order in which to try them; at least one. Raises FetchFailed."""

    async def close(self) -> None:
        """Let go of sockets."""


class DnsResolver:
    """The resolver of a probe.

    c-ares keeps answers for their TTL, up to an hour; a new channel every GENERATION_S bounds that.
    """

    def __init__(self, nameservers: Sequence[str] | None = None) -> None:
        self._nameservers = nameservers
        self._channel: aiodns.DNSResolver | None = None
        self._known: dict[tuple[str, IpVersion], Sequence[str]] = {}
        self._born_at = 0.0
        self._retired: set[asyncio.Task[None]] = set()

    async def resolve(self, host: str, ip_version: IpVersion) -> Sequence[str]:
        channel = self._current_channel()
        known = self._known.get((host, ip_version))
        if known is not None:
            return known
        addresses = await _ask(channel, host, ip_version)
        if channel is self._channel:
            self._known[host, ip_version] = addresses
        return addresses

    async def close(self) -> None:
        for task in self._retired:
            task.cancel()
        await asyncio.gather(*self._retired, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    def _current_channel(self) -> aiodns.DNSResolver:
        now = monotonic()
        if self._channel is not None and now - self._born_at < GENERATION_S:
            return self._channel
        if self._channel is not None:
            task = asyncio.create_task(_retire(self._channel))
            self._retired.add(task)
            task.add_done_callback(self._retired.discard)
        self._known = {}
        self._born_at = now
        self._channel = aiodns.DNSResolver(self._nameservers, timeout=QUERY_TIMEOUT_S, tries=QUERY_TRIES)
        return self._channel


async def _retire(channel: aiodns.DNSResolver) -> None:
    try:
        await asyncio.sleep(RETIREMENT_S)
    finally:
        await channel.close()


async def _ask(channel: aiodns.DNSResolver, host: str, ip_version: IpVersion) -> Sequence[str]:
    try:
        answer = await channel.getaddrinfo(host, family=_FAMILIES[ip_version], flags=_NOT_SORTED)
    except dns_error.DNSError as error:
        code = error.args[0] if error.args else 0
        what = _MESSAGES.get(code) or str(error.args[-1])
        raise FetchFailed(Reason.DNS_ERROR, f"{host}: {what}") from None
    addresses = interleave(node.addr[0].decode("ascii") for node in answer.nodes)
    if not addresses:
        raise FetchFailed(Reason.DNS_ERROR, f"{host}: {_MESSAGES[dns_error.ARES_ENODATA]}")
    return addresses


def interleave(addresses: Iterable[str]) -> tuple[str, ...]:
    """IPv6 and IPv4 in turn, IPv6 first, without doubles (RFC 8305)."""
    unique = dict.fromkeys(addresses)
    v6 = [address for address in unique if ":" in address]
    v4 = [address for address in unique if ":" not in address]
    pairs = chain.from_iterable(zip_longest(v6, v4))
    return tuple(address for address in pairs if address is not None)
