"""`tcp://host:port`: it takes a connection; with a body it is sent, and what comes back first can be asserted on."""

from probes.fetch import Fetched, Fetcher, Hop
from probes.kinds.talk import Wire, over_connection
from probes.request import Request


async def exchange(fetcher: Fetcher, request: Request) -> Fetched:
    """Connect, send the body if there is one, and read once where something is expected."""

    async def talk(wire: Wire, hop: Hop) -> bytes:
        if request.body:
            hop.stage = "sending"
            await wire.send(request.body)
        if not request.body_limit_bytes:
            return b""
        hop.stage = "waiting for an answer"
        return (await wire.receive())[: request.body_limit_bytes]

    return await over_connection(fetcher, request, talk)
