"""The gateway: ClickHouse's HTTP interface as an ASGI application over the engine."""

import asyncio
import faulthandler
import hmac
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

from infra.embedded.clickhouse.body import Body, ClientGone, Receive
from infra.embedded.clickhouse.compression import Compressor, choose_encoding, compress, compressor
from infra.embedded.clickhouse.data_folder import DataFolder
from infra.embedded.clickhouse.engine import DEFAULT_DATABASE, Connection, Engine, engine_errors
from infra.embedded.clickhouse.errors import Code, EngineError, refusal
from infra.embedded.clickhouse.jobs import CHUNKED_FORMATS, Read, Totals, Write
from infra.embedded.clickhouse.request import ExternalTable, Request, is_form, read_form, read_request
from infra.embedded.clickhouse.sessions import Sessions
from infra.embedded.clickhouse.statements import Insert, NeedsMore, Statement, find_insert, mark, read_statement
from infra.logs import get_logger

Send = Callable[[dict[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]
T = TypeVar("T")

THREADS: Final = 12
MAX_WAITING: Final = 500
SLOW_S: Final = 10.0
WATCH_AFTER_S: Final = 0.1
MAX_SQL_BYTES: Final = 64 << 20
READER: Final = "reader"

_log = get_logger(__name__)


@dataclass(slots=True)
class Exchange:
    """One request on its way through the gateway."""

    request: Request
    body: Body
    send: Send
    user: str
    query_id: str
    begun: bool = False


class Gateway:
    """Answers `/ping` and queries. Its lifespan opens and closes the engine."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(THREADS, "query")
        self._control = ThreadPoolExecutor(1, "control")
        self._waiting = 0
        self._classify = lru_cache(maxsize=4096)(self._classify_now)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(read_request(scope), receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._run(self._open)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._run(self._close)
        await send({"type": "lifespan.shutdown.complete"})

    def _open(self) -> None:
        self._engine = Engine(self._folder.store, self._folder.config_file)
        self._sessions = Sessions(self._engine)
        self._killer = self._engine.connect()

    def _close(self) -> None:
        self._sessions.close()
        self._killer.native.close()
        self._engine.close()

    async def _run(self, work: Callable[[], T]) -> T:
        """Do the engine's work in a thread. Raises EngineError when too much waits already."""
        if self._waiting >= MAX_WAITING:
            raise refusal(Code.TOO_MANY_SIMULTANEOUS_QUERIES, f"More than {MAX_WAITING} queries wait.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    async def _answer(self, request: Request, receive: Receive, send: Send) -> None:
        if request.path in ("/ping", "/replicas_status") or (request.path == "/" and not _asks(request)):
            await _send_whole(send, 200, [(b"content-type", b"text/html; charset=UTF-8")], b"Ok.\n")
            return
        loop = asyncio.get_running_loop()
        slow = loop.call_later(SLOW_S, _report_slow, request.path, request.query_id)
        exchange = None
        try:
            user = self._authenticate(request)
            body = Body(receive, request.headers.get("content-encoding"))
            exchange = Exchange(request, body, send, user, request.query_id)
            await self._execute(exchange)
        except ClientGone:
            return
        except EngineError as error:
            if exchange is not None and exchange.begun:
                raise
            await self._send_error(send, error, request.query_id)
        finally:
            slow.cancel()

    def _authenticate(self, request: Request) -> str:
        user, password = request.credentials
        known = {"default": self._folder.password, READER: self._folder.reader_password}
        expected = known.get(user)
        if expected is None or not hmac.compare_digest(password.encode("utf-8", "replace"), expected.encode()):
            raise refusal(
                Code.AUTHENTICATION_FAILED,
                f"{user}: Authentication failed: password is incorrect, or there is no user with such name.",
            )
        return user

    async def _execute(self, exchange: Exchange) -> None:
        external: list[ExternalTable] = []
        if is_form(exchange.request):
            exchange.request, external = read_form(exchange.request, await exchange.body.read_all())
        text = exchange.request.query + b"\n" if exchange.request.query else b""
        while True:
            try:
                insert = find_insert(text, complete=exchange.body.ended)
                break
            except NeedsMore:
                text += await exchange.body.read()
                if len(text) > MAX_SQL_BYTES:
                    raise refusal(Code.SYNTAX_ERROR, "The statement is too long.") from None
        if insert is not None:
            await self._write(exchange, insert, text[insert.data_start :])
        else:
            text += await exchange.body.read_all()
            await self._read(exchange, read_statement(text), external)

    def _settings(self, exchange: Exchange, external: list[ExternalTable]) -> dict[str, str]:
        settings = exchange.request.settings(external)
        if exchange.user == READER:
            settings["readonly"] = "1"
        return settings

    async def _connection(self, exchange: Exchange, external: list[ExternalTable]) -> Connection:
        request = exchange.request
        settings = self._settings(exchange, external)
        wish = request.session
        if wish is None:
            database = request.database or DEFAULT_DATABASE
            return await self._run(lambda: self._engine.acquire(database, settings))
        connection = self._sessions.enter(exchange.user, wish)
        try:
            await self._run(lambda: connection.prepare(request.database, settings))
        except BaseException:
            self._sessions.leave(exchange.user, wish)
            raise
        return connection

    def _give_back(self, exchange: Exchange, connection: Connection) -> None:
        wish = exchange.request.session
        if wish is None:
            self._engine.release(connection)
        else:
            self._sessions.leave(exchange.user, wish, close=exchange.request.says("close_session"))

    async def _write(self, exchange: Exchange, insert: Insert, data: bytes) -> None:
        self._check_one(insert.head + " FORMAT Null")
        connection = await self._connection(exchange, [])
        write = Write(connection, insert, exchange.query_id, exchange.request.parameters)
        try:
            while True:
                data += await exchange.body.read_batch()
                last, batch, data = exchange.body.ended, data, b""
                await self._run(lambda: write.feed(batch, last=last))  # noqa: B023 - awaited at once
                if last:
                    break
        except ClientGone:
            await self._run(write.cancel)
            raise
        finally:
            self._give_back(exchange, connection)
        await self._send_result(exchange, b"", None, write.totals)

    def _classify_now(self, text: str) -> tuple[str, int]:
        return self._engine.classify(text)

    def _check_one(self, text: str) -> str:
        """The statement's class. Raises EngineError for several statements."""
        query_class, count = self._classify(text) if len(text) < 8192 else self._classify_now(text)
        if count > 1:
            raise refusal(Code.SYNTAX_ERROR, "Multi-statements are not allowed: send one statement a request.")
        return query_class

    async def _read(self, exchange: Exchange, statement: Statement, external: list[ExternalTable]) -> None:
        query_class = self._check_one(statement.text)
        output_format = statement.output_format or exchange.request.default_format
        selects = query_class == "READ_ONLY" and statement.first_word in ("SELECT", "WITH", "FROM")
        wait = exchange.request.says("wait_end_of_query")
        if statement.first_word == "KILL":
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._control, self._kill, statement.text)
            await self._send_result(exchange, b"", None, Totals())
            return
        connection = await self._connection(exchange, external)
        read = Read(
            connection,
            statement,
            exchange.query_id,
            output_format,
            exchange.request.parameters,
            external,
            chunked=selects and not wait and output_format in CHUNKED_FORMATS,
        )
        try:
            data = await self._watch(exchange, read.start)
            shown = output_format if query_class == "READ_ONLY" or data else None
            if read.ended:
                await self._send_result(exchange, data, shown, read.totals)
            else:
                await self._stream(exchange, read, data, output_format)
        finally:
            if not read.ended:
                await self._run(read.cancel)
            self._give_back(exchange, connection)

    async def _watch(self, exchange: Exchange, work: Callable[[], T]) -> T:
        """Do it; kill the query when its client has gone and wanted that."""
        running = asyncio.ensure_future(self._run(work))
        if not exchange.request.says("cancel_http_readonly_queries_on_client_close"):
            return await running
        await asyncio.wait((running,), timeout=WATCH_AFTER_S)
        if not running.done():
            gone = asyncio.ensure_future(exchange.body.wait_until_gone())
            await asyncio.wait((running, gone), return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            if not running.done():
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(
                    self._control,
                    self._kill,
                    f"KILL QUERY WHERE endsWith(query, '{mark(exchange.query_id)}')",
                )
        return await running

    def _kill(self, sql: str) -> None:
        with engine_errors():
            self._killer.native.query(sql, "Null", params={})

    def _headers(self, exchange: Exchange, output_format: str | None, totals: Totals) -> list[Header]:
        headers = {
            "Content-Type": _CONTENT_TYPES.get(output_format or "", "text/plain; charset=UTF-8"),
            "X-ClickHouse-Server-Display-Name": "pulse",
            "X-ClickHouse-Query-Id": exchange.query_id,
            "X-ClickHouse-Timezone": "UTC",
            "X-ClickHouse-Summary": _summary(totals),
        }
        if output_format is not None:
            headers["X-ClickHouse-Format"] = output_format
        return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]

    def _encoding(self, request: Request) -> str | None:
        if not request.says("enable_http_compression", "1"):
            return None
        return choose_encoding(request.headers.get("accept-encoding", ""))

    async def _send_result(self, exchange: Exchange, data: bytes, output_format: str | None, totals: Totals) -> None:
        headers = self._headers(exchange, output_format, totals)
        encoding = self._encoding(exchange.request) if data else None
        if encoding is not None:
            data = compress(encoding, data)
            headers.append((b"content-encoding", encoding.encode()))
        exchange.begun = True
        await _send_whole(exchange.send, 200, headers, data)

    async def _stream(self, exchange: Exchange, read: Read, data: bytes, output_format: str) -> None:
        tag = secrets.token_hex(8)
        headers = self._headers(exchange, output_format, read.totals)
        headers.append((b"X-ClickHouse-Exception-Tag", tag.encode()))
        encoding = self._encoding(exchange.request)
        if encoding is not None:
            headers.append((b"content-encoding", encoding.encode()))
        exchange.begun = True
        await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
        stream = compressor(encoding) if encoding is not None else None
        try:
            while data:
                await _send_more(exchange.send, stream, data)
                data = b"" if read.ended else await self._watch(exchange, read.step)
        except EngineError as error:
            await _send_more(exchange.send, stream, _late_error(self._with_version(error), tag))
        end = bytes(stream.finish()) if stream is not None else b""
        await exchange.send({"type": "http.response.body", "body": end})

    def _with_version(self, error: EngineError) -> bytes:
        return f"{error.text} (version {self._engine.version} (official build))".encode("utf-8", "surrogateescape")

    async def _send_error(self, send: Send, error: EngineError, query_id: str) -> None:
        headers = [
            (b"content-type", b"text/plain; charset=UTF-8"),
            (b"X-ClickHouse-Exception-Code", str(error.code).encode()),
            (b"X-ClickHouse-Query-Id", query_id.encode("latin-1", "replace")),
        ]
        await _send_whole(send, error.status, headers, self._with_version(error) + b"\n")


_CONTENT_TYPES: Final = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Parquet": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
}


def _asks(request: Request) -> bool:
    return request.method == "POST" or bool(request.query)


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
            "elapsed_ns": str(int(totals.elapsed_s * 1e9)),
        },
        separators=(",", ":"),
    )


def _late_error(message: bytes, tag: str) -> bytes:
    """An error after the answer has begun, as ClickHouse marks it."""
    mark_ = tag.encode()
    length = str(len(message) + 1).encode()
    return b"\r\n__exception__\r\n%s\r\n%s\n%s %s\r\n__exception__\r\n" % (mark_, message, length, mark_)


async def _send_whole(send: Send, status: int, headers: list[Header], data: bytes) -> None:
    headers.append((b"content-length", str(len(data)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def _send_more(send: Send, stream: Compressor | None, data: bytes) -> None:
    if stream is not None:
        stream.compress(data)
        data = bytes(stream.flush())
    await send({"type": "http.response.body", "body": data, "more_body": True})


def _report_slow(path: str, query_id: str) -> None:
    _log.warning("a request takes longer than expected", path=path, query_id=query_id, seconds=SLOW_S)
    faulthandler.dump_traceback(file=sys.stderr)
