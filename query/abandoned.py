"""Reads whose client went away end at once, and with them what ClickHouse does for them. Writes are finished."""

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final

from query.asgi import Asgi, Receive, Scope, Send

READS: Final = "/v1/"


class EndAbandoned:
    """ASGI middleware: cancels a read of the API when its client has disconnected."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI has it."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(READS):
            await self._app(scope, receive, send)
            return
        gone = asyncio.ensure_future(_gone(receive))

        async def told() -> MutableMapping[str, Any]:
            await asyncio.shield(gone)
            return {"type": "http.disconnect"}

        work = asyncio.ensure_future(self._app(scope, told, send))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            gone.cancel()
            work.cancel()


async def _gone(receive: Receive) -> None:
    """Return when the client has gone; the body of a read says nothing."""
    while (await receive())["type"] != "http.disconnect":
        pass
