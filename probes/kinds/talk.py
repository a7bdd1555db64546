"""What the kinds without HTTP share: a guarded connection, one deadline, and no exception but cancellation."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import perf_counter_ns

from probes.fetch import Fetched, Fetcher, Hop, Phases, Response
from probes.request import Request
from probes.wire.connection import Connection
from probes.wire.failed import FetchFailed
from probes.wire.tls import TlsConnection
from schemas.enums import Reason

Wire = Connection | TlsConnection
Talk = Callable[[Wire, Hop], Awaitable[bytes]]
"""What is said over an open connection; gives what was heard. Raises FetchFailed, OSError."""


async def over_connection(fetcher: Fetcher, request: Request, talk: Talk, *, encrypted: bool) -> Fetched:
    """Connect, talk, and tell what was heard as the body of a response without a status."""
    scheme = "https" if encrypted else "http"
    hop, phases = Hop(replace(request, url=replace(request.url, scheme=scheme))), Phases()
    heard = b""

    async def run() -> None:
        nonlocal heard
        connection = await fetcher.open(hop, phases)
        started_ns = perf_counter_ns()
        try:
            heard = await talk(connection, hop)
        finally:
            phases.ttfb_us = (perf_counter_ns() - started_ns) // 1_000
            connection.close()

    reason, message = await within_deadline(run(), hop, request.timeout_ms)
    phases.total_us = phases.sum_us
    response = spoken(heard, hop) if reason is Reason.OK else None
    return Fetched(reason, message, response, phases)


async def within_deadline(work: Awaitable[None], hop: Hop, timeout_ms: int) -> tuple[Reason, str]:
    """Do it in time; the reason and message of what stood in the way, or OK."""
    try:
        async with asyncio.timeout(timeout_ms / 1_000):
            await work
    except TimeoutError:
        return Reason.TIMEOUT, f"no end within {timeout_ms} ms, while {hop.stage}"
    except FetchFailed as failed:
        return failed.reason, failed.message
    except OSError as error:
        return Reason.BAD_RESPONSE, f"the connection broke while {hop.stage}: {error.strerror or error}"
    return Reason.OK, ""


def spoken(heard: bytes, hop: Hop) -> Response:
    """A response without a status: what was heard is its body."""
    return Response(
        status=0,
        reason_phrase="",
        http_version="",
        headers=[],
        body=heard,
        body_truncated=False,
        address=hop.address,
        redirects=0,
        certificate_expires_at=hop.certificate_expires_at,
    )
