"""One check's HTTP: a request goes out over a fresh connection; what comes back is data, never an exception."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property, partial
from time import perf_counter_ns
from typing import Final

import msgspec

from probes.guard import Guard, Network
from probes.request import BODY_LIMIT_BYTES, CheckCookies, Request, redirected
from probes.resolve import DnsResolver, Resolver
from probes.wire.answer import REDIRECTS, Answer, AnswerTooLarge, BadAnswer
from probes.wire.connection import Connect, Connection, open_connection
from probes.wire.deadlines import Deadlines
from probes.wire.encodings import Undecodable, decode
from probes.wire.failed import FetchFailed
from probes.wire.poller import Poller, make_poller
from probes.wire.tls import TlsConnection, make_context, secure, words_of
from schemas.enums import Reason

__all__ = ["BODY_LIMIT_BYTES", "Fetched", "Fetcher", "Hop", "Phases", "Request", "Response"]

MAX_REDIRECTS: Final = 5
ENCRYPTED: Final = frozenset({"https", "wss", "tls"})
"""Schemes that begin with a TLS handshake."""


class Phases(msgspec.Struct):
    """Where the time went, in microseconds, the hops of redirects added up. A phase that never ended counts 0.

    `total_us` of a whole response is the phases' sum: what DNS, network and server took, without the moments
    in which the probe was busy with other checks. Of anything else it is the time until that was known.
    """

    dns_us: int = 0
    connect_us: int = 0
    tls_us: int = 0
    ttfb_us: int = 0
    transfer_us: int = 0
    total_us: int = 0

    @property
    def sum_us(self) -> int:
        """All phases together."""
        return self.dns_us + self.connect_us + self.tls_us + self.ttfb_us + self.transfer_us


class Response(msgspec.Struct):
    """What came back. Header names are lower case; `body` is decoded, and at most the request's limit of it.

    `certificate_expires_at` is in milliseconds since the epoch, 0 without TLS.
    """

    status: int
    reason_phrase: str
    http_version: str
    headers: list[tuple[str, str]]
    body: bytes
    body_truncated: bool
    redirects: int
    certificate_expires_at: int


class Fetched(msgspec.Struct):
    """How a fetch ended. `reason` is OK when a whole response (up to the body limit) came.

    With another reason `response` may still hold the part that came, as evidence: ask for the reason first.
    `address` is where it came from, or should have come from.
    """

    reason: Reason
    message: str = ""
    response: Response | None = None
    phases: Phases = msgspec.field(default_factory=Phases)
    address: str = ""


class Hop(msgspec.Struct):
    """One request and what is known of its answer so far; what a deadline leaves behind is the evidence."""

    request: Request
    redirects: int = 0
    stage: str = "starting"
    answer: Answer | None = None
    address: str = ""
    certificate_expires_at: int = 0


class Fetcher:
    """Fetches over fresh connections to addresses that the guard has judged, each fetch within its deadline.

    `allow` opens networks, `deny` closes more (see Guard). One fetcher serves one event loop; `connect` is how
    sockets are told to connect.
    """

    def __init__(
        self,
        *,
        allow: Sequence[Network] = (),
        deny: Sequence[Network] = (),
        resolver: Resolver | None = None,
        connect: Connect = socket.socket.connect_ex,
    ) -> None:
        self._guard = Guard(allow, deny)
        self._resolver = DnsResolver() if resolver is None else resolver
        self._connect = connect
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}

    async def fetch(self, request: Request) -> Fetched:
        """One exchange, redirects included, within `request.timeout_ms`. Raises nothing but CancelledError."""
        hops, phases = [Hop(request)], Phases()
        reason, message = await self.in_time(partial(self._follow, hops, phases), hops, phases)
        return _conclude(hops[-1], phases, reason, message)

    async def in_time(self, work: Callable[[], Awaitable[None]], hops: list[Hop], phases: Phases) -> tuple[Reason, str]:
        """Do what a check does, within its deadline: OK, or the reason and message of what stood in the way."""
        request = hops[0].request
        if request.fault:
            return Reason.BAD_REQUEST, request.fault
        started_ns = perf_counter_ns()
        try:
            with self._deadlines.within(request.timeout_ms / 1_000):
                await work()
        except TimeoutError:
            reason, message = Reason.TIMEOUT, f"not done within {request.timeout_ms} ms: still {hops[-1].stage}"
        except FetchFailed as failed:
            reason, message = failed.reason, failed.message
        else:
            phases.total_us = phases.sum_us
            return Reason.OK, ""
        phases.total_us = (perf_counter_ns() - started_ns) // 1_000
        return reason, message

    async def close(self) -> None:
        """Let go of what the fetcher holds. Closing it again does nothing."""
        await self._resolver.close()
        for made_when_needed in ("_poller", "_deadlines"):
            held = self.__dict__.pop(made_when_needed, None)
            if held is not None:
                held.close()

    async def _follow(self, hops: list[Hop], phases: Phases) -> None:
        """Exchange after exchange, until one does not lead elsewhere. Raises FetchFailed."""
        request = hops[0].request
        cookies: CheckCookies | None = None
        while True:
            hop = hops[-1]
            answer = await self._exchange(hop, phases)
            location = answer.header("location")
            if not request.follow_redirects or answer.status not in REDIRECTS or not location:
                return
            if hop.redirects == MAX_REDIRECTS:
                raise FetchFailed(Reason.REDIRECT, f"more than {MAX_REDIRECTS} redirects")
            cookies = cookies or CheckCookies()
            cookies.take(request.url, answer.headers)
            request = redirected(request, answer.status, location)
            hops.append(Hop(cookies.put_into(request), hop.redirects + 1))

    async def _exchange(self, hop: Hop, phases: Phases) -> Answer:
        """Send the hop's request and read its answer. Raises FetchFailed."""
        connection = await self.open(hop, phases)
        try:
            return await _converse(connection, hop, phases)
        except BadAnswer as bad:
            reason = Reason.RESPONSE_TOO_LARGE if isinstance(bad, AnswerTooLarge) else Reason.BAD_RESPONSE
            raise FetchFailed(reason, str(bad)) from None
        except OSError as error:
            raise broken_off(error, hop) from None
        finally:
            connection.close()

    async def open(self, hop: Hop, phases: Phases) -> Connection | TlsConnection:
        """A connection to where the guard lets the hop go. Raises FetchFailed."""
        request = hop.request
        url = request.url
        addresses = await self._resolve(hop, phases)
        hop.stage, hop.address = "connecting", addresses[0]
        started_ns = perf_counter_ns()
        connection = await open_connection(self._loop, self._poller, self._connect, addresses, url.port)
        hop.address = connection.address
        phases.connect_us += max(0, connection.ready_at_ns - started_ns) // 1_000
        if url.scheme not in ENCRYPTED:
            return connection
        hop.stage = "agreeing on TLS"
        started_ns = perf_counter_ns()
        try:
            context = request.identity or self._context(url.scheme, request.verify_tls)
            tls = await secure(connection, context, url.host)
        except BaseException:
            connection.close()
            raise
        phases.tls_us += max(0, tls.ready_at_ns - started_ns) // 1_000
        hop.certificate_expires_at = tls.certificate_expires_at
        return tls

    async def _resolve(self, hop: Hop, phases: Phases) -> Sequence[str]:
        """The addresses of the hop's host, all of them judged. Raises FetchFailed."""
        url, ip_version = hop.request.url, hop.request.ip_version
        if url.is_address:
            self._guard.check((url.host,))
            if ip_version is not None and (":" in url.host) != (ip_version == 6):
                raise FetchFailed(Reason.BAD_REQUEST, f"{url.host} is not an IPv{ip_version} address")
            return (url.host,)
        self._guard.check_name(url.host)
        hop.stage = "resolving the name"
        started_ns = perf_counter_ns()
        addresses = await self._resolver.resolve(url.host, ip_version)
        phases.dns_us += (perf_counter_ns() - started_ns) // 1_000
        self._guard.check(addresses)
        return addresses

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    @cached_property
    def _deadlines(self) -> Deadlines:
        return Deadlines(self._loop)

    @cached_property
    def _poller(self) -> Poller:
        return make_poller(self._loop)

    def _context(self, scheme: str, verify: bool) -> ssl.SSLContext:
        context = self._contexts.get((scheme, verify))
        if context is None:
            context = self._contexts[scheme, verify] = make_context(scheme, verify=verify)
        return context


def broken_off(error: OSError, hop: Hop) -> FetchFailed:
    """What to tell of a connection that stood, and broke."""
    if isinstance(error, ssl.SSLError):
        return FetchFailed(Reason.TLS_ERROR, f"TLS broke off while {hop.stage}: {words_of(error)}")
    return FetchFailed(Reason.BAD_RESPONSE, f"the connection broke while {hop.stage}: {error.strerror or error}")


async def _converse(connection: Connection | TlsConnection, hop: Hop, phases: Phases) -> Answer:
    """Send and receive. Raises BadAnswer, OSError."""
    request = hop.request
    answer = hop.answer = Answer(
        request.body_limit_bytes, head_only=request.method == "HEAD", skip_redirects=request.follow_redirects
    )
    hop.stage = "waiting for the answer"
    sent_ns = perf_counter_ns()
    first_ns = 0
    broken: ConnectionError | None = None
    try:
        try:
            await connection.send(request.wire)
        except ConnectionError as error:  # a server that closes early may have said why
            broken = error
        while not answer.done:
            data = await connection.receive()
            if first_ns == 0:
                first_ns = connection.ready_at_ns
                phases.ttfb_us += max(0, first_ns - sent_ns) // 1_000
                hop.stage = "reading the answer"
            if data:
                answer.feed(data)
            elif broken and not answer.begun:
                raise broken
            else:
                answer.end()
        phases.transfer_us += (connection.ready_at_ns - first_ns) // 1_000
        return answer
    finally:
        answer.release()


def _conclude(hop: Hop, phases: Phases, reason: Reason, message: str) -> Fetched:
    answer = hop.answer
    if answer is None or not answer.begun:
        return Fetched(reason, message, None, phases, hop.address)
    body, truncated = answer.body, answer.body_truncated
    coding = answer.header("content-encoding") if hop.request.decode else None
    if coding is not None:
        try:
            body, truncated = decode(body, coding, hop.request.body_limit_bytes, truncated=truncated or not answer.done)
        except Undecodable as error:
            if reason is Reason.OK:
                reason, message = Reason.BAD_RESPONSE, str(error)
    response = Response(
        answer.status, answer.reason_phrase, answer.http_version, answer.headers, body, truncated, hop.redirects,
        hop.certificate_expires_at,
    )  # fmt: skip
    return Fetched(reason, message, response, phases, hop.address)
