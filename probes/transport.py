"""The probe's core behind httpx: `httpx.AsyncClient(transport=PulseTransport())`.

Each request goes over a fresh connection to an address that the guard has judged, so every redirect that httpx
follows is judged too. Proxies of the environment are not used. The answer is read whole, within bounds.
"""

from typing import Final

import httpx

from probes.fetch import Fetched, Fetcher
from probes.request import BODY_LIMIT_BYTES, OWN_HEADERS, Request
from schemas.enums import Reason
from schemas.urls import InvalidUrl, parse_url


class BlockedAddress(httpx.ConnectError):
    """The guard refused where the request leads."""


class ResponseTooLarge(httpx.ReadError):
    """The answer is larger than the transport takes."""


_ERRORS: Final[dict[Reason, type[httpx.TransportError]]] = {
    Reason.BLOCKED_ADDRESS: BlockedAddress,
    Reason.RESPONSE_TOO_LARGE: ResponseTooLarge,
    Reason.TIMEOUT: httpx.ReadTimeout,
    Reason.BAD_RESPONSE: httpx.RemoteProtocolError,
    Reason.BAD_REQUEST: httpx.LocalProtocolError,
}
"""What httpx's users expect; ConnectError for the rest."""


class PulseTransport(httpx.AsyncBaseTransport):
    """A transport for httpx with the probe's guard, bounds and phases; it closes its fetcher with itself.

    httpx's read timeout is the deadline of each whole exchange, and `timeout_ms` where httpx has none. The
    response's extension `fetched` has the phases and the address.
    """

    def __init__(
        self,
        fetcher: Fetcher | None = None,
        *,
        verify_tls: bool = True,
        timeout_ms: int = 10_000,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> None:
        self._fetcher = Fetcher() if fetcher is None else fetcher
        self._verify_tls = verify_tls
        self._timeout_ms = timeout_ms
        self._body_limit_bytes = body_limit_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange. Raises httpx.TransportError."""
        fetched = await self._fetcher.fetch(await self._translate(request))
        if fetched.reason is not Reason.OK or fetched.response is None:
            raise _error(fetched, request)
        response = fetched.response
        if response.body_truncated:
            raise ResponseTooLarge(f"the body is larger than {self._body_limit_bytes} bytes", request=request)
        return httpx.Response(
            response.status,
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers],
            stream=httpx.ByteStream(response.body),
            extensions={
                "http_version": f"HTTP/{response.http_version}".encode(),
                "reason_phrase": response.reason_phrase.encode("latin-1"),
                "fetched": fetched,
            },
        )

    async def aclose(self) -> None:
        """Let go of what the transport holds."""
        await self._fetcher.close()

    async def _translate(self, request: httpx.Request) -> Request:
        try:
            url = parse_url(str(request.url))
        except InvalidUrl as error:
            raise httpx.LocalProtocolError(str(error), request=request) from None
        read_s = request.extensions.get("timeout", {}).get("read")
        return Request(
            request.method,
            url,
            tuple(item for item in request.headers.multi_items() if item[0].lower() not in OWN_HEADERS),
            body=await request.aread(),
            timeout_ms=self._timeout_ms if read_s is None else round(read_s * 1_000),
            follow_redirects=False,
            verify_tls=self._verify_tls,
            body_limit_bytes=self._body_limit_bytes,
            decode=False,
        )


def _error(fetched: Fetched, request: httpx.Request) -> httpx.TransportError:
    kind = _ERRORS.get(fetched.reason, httpx.ConnectError)
    if kind is httpx.ReadTimeout and not fetched.phases.connect_us:
        kind = httpx.ConnectTimeout
    return kind(fetched.message, request=request)
