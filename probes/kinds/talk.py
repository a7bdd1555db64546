"""What the kinds without HTTP share: a guarded connection, and a response that is what was heard."""

from collections.abc import Awaitable, Callable
from time import perf_counter_ns

from probes.fetch import Fetched, Fetcher, Hop, Phases, Response, broken_off
from probes.request import Request
from probes.wire.connection import Connection
from probes.wire.tls import TlsConnection
from schemas.enums import Reason

Wire = Connection | TlsConnection
Talk = Callable[[Wire, Hop], Awaitable[bytes]]
"""What is said over an open connection; gives what was heard. Raises FetchFailed, OSError."""


async def over_connection(fetcher: Fetcher, request: Request, talk: Talk) -> Fetched:
    """Connect, talk, and tell what was heard as the body of a response without a status."""
    hop, phases = Hop(request), Phases()
    heard = b""

    async def run() -> None:
        nonlocal heard
        connection = await fetcher.open(hop, phases)
        started_ns = perf_counter_ns()
        try:
            heard = await talk(connection, hop)
        except OSError as error:
            raise broken_off(error, hop) from None
        finally:
            phases.ttfb_us = (perf_counter_ns() - started_ns) // 1_000
            connection.close()

    reason, message = await fetcher.in_time(run, [hop], phases)
    response = spoken(heard, hop) if reason is Reason.OK else None
    return Fetched(reason, message, response, phases, hop.address)


def spoken(heard: bytes, hop: Hop) -> Response:
    """A response without a status: what was heard is its body."""
    return Response(
        status=0,
        reason_phrase="",
        http_version="",
        headers=[],
        body=heard,
        body_truncated=False,
        redirects=0,
        certificate_expires_at=hop.certificate_expires_at,
    )
