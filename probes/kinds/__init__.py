"""Kinds of checks, one a module, by the scheme of the monitor's URL.

Every kind gives a `Fetched`, so that judging, assertions and results are the same for all. A new kind is a module
here with an `exchange(fetcher, request)`, and a line in the registry.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from probes.fetch import Fetched, Fetcher
from probes.kinds import dns, tcp, tls, websocket
from probes.request import Request

Exchange = Callable[[Fetcher, Request], Awaitable[Fetched]]

KINDS: Final[Mapping[str, Exchange]] = {
    "http": Fetcher.fetch,
    "https": Fetcher.fetch,
    "tcp": tcp.exchange,
    "tls": tls.exchange,
    "dns": dns.exchange,
    "ws": websocket.exchange,
    "wss": websocket.exchange,
}
