"""Answers as ClickHouse gives them: its headers, its content types, its errors, compressed where that was asked."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from infra.embedded.clickhouse.compression import Compressor, choose_encoding, compress, compressor
from infra.embedded.clickhouse.errors import EngineError
from infra.embedded.clickhouse.jobs import Totals
from infra.embedded.clickhouse.request import Request

Send = Callable[[dict[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

_TEXT: Final = "text/plain; charset=UTF-8"
_BINARY: Final = "application/octet-stream"
_CONTENT_TYPES: Final = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "Native": _BINARY,
    "RowBinary": _BINARY,
    "Parquet": _BINARY,
    "Arrow": _BINARY,
    "ArrowStream": _BINARY,
}


async def send_ok(send: Send) -> None:
    """What `/ping` answers."""
    await _send_whole(send, 200, [(b"content-type", b"text/html; charset=UTF-8")], b"Ok.\n")


class Responder:
    """The answer to one request. After `begun` an error can only be told inside the body."""

    def __init__(self, request: Request, query_id: str, send: Send, version: str) -> None:
        self.begun = False
        self._send = send
        self._version = version
        self._query_id = query_id
        self._tag = secrets.token_hex(8)
        wanted = request.headers.get("accept-encoding", "") if request.says("enable_http_compression", "1") else ""
        self._encoding = choose_encoding(wanted)
        self._stream: Compressor | None = None

    async def send_result(self, data: bytes, output_format: str | None, totals: Totals) -> None:
        """A whole result; `output_format` is None where the statement has none."""
        headers = self._headers(output_format, totals)
        if data and self._encoding is not None:
            data = await asyncio.to_thread(compress, self._encoding, data)
            headers.append((b"content-encoding", self._encoding.encode()))
        self.begun = True
        await _send_whole(self._send, 200, headers, data)

    async def begin(self, output_format: str, totals: Totals) -> None:
        """The head of a result that comes in chunks."""
        headers = [*self._headers(output_format, totals), (b"x-clickhouse-exception-tag", self._tag.encode())]
        if self._encoding is not None:
            headers.append((b"content-encoding", self._encoding.encode()))
            self._stream = compressor(self._encoding)
        self.begun = True
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send_chunk(self, data: bytes) -> None:
        """The next chunk."""
        if self._stream is not None:
            self._stream.compress(data)
            data = bytes(self._stream.flush())
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """The end of a result that came in chunks."""
        rest = bytes(self._stream.finish()) if self._stream is not None else b""
        await self._send({"type": "http.response.body", "body": rest})

    async def send_error(self, error: EngineError) -> None:
        """An error: the whole answer, or the end of one that has begun."""
        if self.begun:
            await self._send_late_error(error)
            return
        headers = [
            (b"content-type", _TEXT.encode()),
            (b"x-clickhouse-exception-code", str(error.code).encode()),
            (b"x-clickhouse-query-id", self._query_id.encode("latin-1", "replace")),
        ]
        await _send_whole(self._send, error.status, headers, self._text_of(error) + b"\n")

    async def _send_late_error(self, error: EngineError) -> None:
        """Marked as ClickHouse does it, since the status has been sent."""
        message, tag = self._text_of(error), self._tag.encode()
        length = str(len(message) + 1).encode()
        await self.send_chunk(
            b"\r\n__exception__\r\n%s\r\n%s\n%s %s\r\n__exception__\r\n" % (tag, message, length, tag)
        )
        await self.end()

    def _text_of(self, error: EngineError) -> bytes:
        return f"{error.text} (version {self._version} (official build))".encode("utf-8", "surrogateescape")

    def _headers(self, output_format: str | None, totals: Totals) -> list[Header]:
        headers = {
            "content-type": _CONTENT_TYPES.get(output_format or "", _TEXT),
            "x-clickhouse-server-display-name": "pulse",
            "x-clickhouse-query-id": self._query_id,
            "x-clickhouse-timezone": "UTC",
            "x-clickhouse-summary": _summary(totals),
        }
        if output_format is not None:  # clients tell an empty result from no result by it
            headers["x-clickhouse-format"] = output_format
        return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]


def _summary(totals: Totals) -> str:
    return json.dumps(
        {
            "read_rows": str(totals.read_rows),
            "read_bytes": str(totals.read_bytes),
            "written_rows": str(totals.written_rows),
            "written_bytes": str(totals.written_bytes),
            "total_rows_to_read": "0",
            "result_rows": str(totals.written_rows or totals.result_rows),
            "result_bytes": str(totals.written_bytes or totals.result_bytes),
            "elapsed_ns": str(totals.elapsed_ns),
        },
        separators=(",", ":"),
    )


async def _send_whole(send: Send, status: int, headers: list[Header], data: bytes) -> None:
    headers.append((b"content-length", str(len(data)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})
