"""`tls://host:port`: the handshake works, and the certificate is valid for the name; assert on `certificate_days`."""

from probes.fetch import Fetched, Fetcher, Hop
from probes.kinds.talk import Wire, over_connection
from probes.request import Request


async def exchange(fetcher: Fetcher, request: Request) -> Fetched:
    """Connect and agree on TLS."""

    async def talk(wire: Wire, hop: Hop) -> bytes:
        return b""

    return await over_connection(fetcher, request, talk)
