"""The body of a request as plain text: read as it comes, decoded on the way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from infra.embedded.clickhouse.compression import decompressor

Receive = Callable[[], Awaitable[dict[str, Any]]]
BATCH_BYTES: Final = 1 << 20


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class Body:
    """Reads ASGI messages; `ended` once nothing more will come."""

    def __init__(self, receive: Receive, encoding: str | None) -> None:
        """Raises EngineError for an encoding that the gateway does not know."""
        self._receive = receive
        self._decoder = decompressor(encoding) if encoding and encoding != "identity" else None
        self._gone: asyncio.Future[dict[str, Any]] | None = None
        self.ended = False

    async def read(self) -> bytes:
        """What came next. Raises ClientGone, EngineError for broken data."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        data: bytes = message.get("body", b"")
        self.ended = not message.get("more_body", False)
        if self._decoder is None:
            return data
        plain = self._decoder.feed(data)
        return plain + self._decoder.finish() if self.ended else plain

    async def read_batch(self) -> bytes:
        """About a megabyte, or what is left."""
        parts, size = [], 0
        while not self.ended and size < BATCH_BYTES:
            parts.append(await self.read())
            size += len(parts[-1])
        return b"".join(parts)

    async def read_all(self) -> bytes:
        """Everything that is left."""
        parts = []
        while not self.ended:
            parts.append(await self.read_batch())
        return b"".join(parts)

    def gone(self) -> asyncio.Future[dict[str, Any]]:
        """Done when the client has closed the connection; only for after the body's end."""
        if self._gone is None:
            self._gone = asyncio.ensure_future(self._receive())
        return self._gone

    def close(self) -> None:
        """Stop looking whether the client has gone."""
        if self._gone is not None:
            self._gone.cancel()
