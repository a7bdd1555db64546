"""The gateway: ClickHouse's HTTP interface as an ASGI application over the engine."""

import asyncio
import faulthandler
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

from infra.embedded.clickhouse.access import READER, allow, authenticate, settings_of
from infra.embedded.clickhouse.body import Body, ClientGone, Receive
from infra.embedded.clickhouse.confinement import ROLE, confined
from infra.embedded.clickhouse.data_folder import DataFolder
from infra.embedded.clickhouse.engine import DEFAULT_DATABASE, Engine
from infra.embedded.clickhouse.errors import Code, EngineError, refusal
from infra.embedded.clickhouse.jobs import Read, Write, kill
from infra.embedded.clickhouse.leases import Lease, PoolLease, SessionLease
from infra.embedded.clickhouse.request import ExternalTable, Request, is_form, read_form, read_request
from infra.embedded.clickhouse.responses import Responder, Send, send_ok
from infra.embedded.clickhouse.sessions import Sessions
from infra.embedded.clickhouse.statements import Insert, NeedsMore, Statement, find_insert, read_statement
from infra.logs import get_logger

T = TypeVar("T")

THREADS: Final = 12
MAX_ACTIVE: Final = 500
SLOW_S: Final = 10.0
WATCH_AFTER_S: Final = 0.1
MAX_SQL_BYTES: Final = 64 << 20
REMEMBERED_SQL_CHARACTERS: Final = 4096

_log = get_logger(__name__)


@dataclass(slots=True)
class Exchange:
    """One request on its way through the gateway."""

    request: Request
    body: Body
    responder: Responder
    user: str
    query_id: str


class Gateway:
    """Answers `/ping` and queries. Its lifespan opens and closes the engine."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(THREADS, "query")
        self._control = ThreadPoolExecutor(1, "control")  # so that KILL never waits for a free thread
        self._active = 0
        self._remembered_class = lru_cache(maxsize=1024)(self._class_of)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(read_request(scope), receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._in_thread(self._open)
        except EngineError as error:
            await send({"type": "lifespan.startup.failed", "message": f"{self._folder.store}: {error}"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._in_thread(self._close)
        await send({"type": "lifespan.shutdown.complete"})

    def _open(self) -> None:
        os.chdir(self._folder.store.parent)  # the engine takes ? and & in a path for its own
        self._engine = Engine(Path(self._folder.store.name), Path(self._folder.config_file.name))
        self._sessions = Sessions(self._engine)
        self._killer = self._engine.connect()

    def _close(self) -> None:
        self._sessions.close()
        self._killer.native.close()
        self._engine.close()

    async def kill_running(self) -> None:
        """End every running query, at the end of a shutdown's patience. Raises EngineError."""
        await self._in_control(lambda: kill(self._killer, read_statement(b"KILL QUERY WHERE 1"), "Null"))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _answer(self, request: Request, receive: Receive, send: Send) -> None:
        if not request.asks:
            await send_ok(send)
            return
        query_id = request.query_id
        responder = Responder(request, query_id, send, self._engine.version)
        slow = asyncio.get_running_loop().call_later(SLOW_S, _report_slow, query_id)
        self._active += 1
        try:
            if self._active > MAX_ACTIVE:
                raise refusal(Code.TOO_MANY_SIMULTANEOUS_QUERIES, f"More than {MAX_ACTIVE} queries at once.")
            user = authenticate(request, self._folder)
            body = Body(receive, request.headers.get("content-encoding"))
            with closing(body):
                await self._execute(Exchange(request, body, responder, user, query_id))
        except ClientGone:
            return
        except EngineError as error:
            await responder.send_error(error)
        finally:
            self._active -= 1
            slow.cancel()

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

    def _class_of(self, text: str) -> str:
        query_class, count = self._engine.classify(text)
        if count > 1:
            raise refusal(Code.SYNTAX_ERROR, "Multi-statements are not allowed: send one statement a request.")
        return query_class

    def _query_class(self, text: str) -> str:
        """The statement's class. Raises EngineError for several statements."""
        return self._remembered_class(text) if len(text) < REMEMBERED_SQL_CHARACTERS else self._class_of(text)

    async def _write(self, exchange: Exchange, insert: Insert, data: bytes) -> None:
        query_class = self._query_class(f"{insert.head} FORMAT Null")
        allow(exchange.user, exchange.request.method, None, query_class, self._engine.outside)
        with closing(self._lease(exchange, [])) as lease:
            write = Write(lease, insert, exchange.query_id, exchange.request.parameters)
            try:
                last = False
                while not last:
                    batch = data + await exchange.body.read_batch()
                    last, data = exchange.body.ended, b""
                    await self._feed(write, batch, last=last)
            except ClientGone:
                await self._in_thread(write.cancel)
                raise
        await exchange.responder.send_result(b"", None, write.totals)

    async def _feed(self, write: Write, data: bytes, *, last: bool) -> None:
        await self._in_thread(lambda: write.feed(data, last=last))

    async def _read(self, exchange: Exchange, statement: Statement, external: list[ExternalTable]) -> None:
        request = exchange.request
        if exchange.user == READER and request.role == ROLE:
            inside = await self._in_thread(lambda: self._engine.inside(request.database or DEFAULT_DATABASE))
            statement = confined(statement, inside, self._engine.table_functions)
        query_class = self._query_class(statement.text)
        if statement.first_word in ("SELECT", "WITH", "FROM", "EXPLAIN") and query_class == "CONTROL":
            raise refusal(Code.ACCESS_DENIED, "INTO OUTFILE is refused: it reaches host files.")
        allow(exchange.user, request.method, statement, query_class, self._engine.outside)
        if statement.first_word == "KILL":
            killed = await self._in_control(lambda: kill(self._killer, statement, request.default_format))
            await exchange.responder.send_result(killed.data, killed.output_format, killed.totals)
            return
        with closing(self._lease(exchange, external)) as lease:
            read = Read(
                lease=lease,
                statement=statement,
                query_id=exchange.query_id,
                output_format=statement.output_format or request.default_format,
                parameters=request.parameters,
                external=external,
                read_only=query_class == "READ_ONLY",
                whole=request.says("wait_end_of_query"),
            )
            try:
                data = await self._watch(exchange, read.start)
                if not read.ended:
                    await self._send_chunks(exchange, read, data)
            finally:
                if read.needs_finish:
                    await self._in_thread(read.finish)
        # Only now: whoever has the whole answer may ask its session again at once.
        if exchange.responder.begun:
            await exchange.responder.end()
        else:
            has_result = read.read_only or bool(data)
            await exchange.responder.send_result(data, read.output_format if has_result else None, read.totals)

    async def _send_chunks(self, exchange: Exchange, read: Read, data: bytes) -> None:
        """All but the end, which waits until the connection is given back."""
        await exchange.responder.begin(read.output_format, read.totals)
        while data and not exchange.body.gone().done():
            await exchange.responder.send_chunk(data)
            data = b"" if read.ended else await self._watch(exchange, read.step)

    async def _watch(self, exchange: Exchange, work: Callable[[], T]) -> T:
        """Do it; kill the query when its client has gone and has asked for that."""
        running = asyncio.ensure_future(self._in_thread(work))
        if not exchange.request.says("cancel_http_readonly_queries_on_client_close"):
            return await running
        await asyncio.wait((running,), timeout=WATCH_AFTER_S)
        if not running.done():
            await asyncio.wait((running, exchange.body.gone()), return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                by_mark = read_statement(b"KILL QUERY WHERE query_id = " + _literal(exchange.query_id))
                await self._in_control(lambda: kill(self._killer, by_mark, "Null"))
        return await running

    async def _in_control(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._control, work)

    def _lease(self, exchange: Exchange, external: list[ExternalTable]) -> Lease:
        """A connection as the request wants it. Raises EngineError."""
        request = exchange.request
        settings = settings_of(exchange.user, request.settings(external))
        wish = request.session
        if wish is None or exchange.user == READER:  # a reader has nothing to keep
            return PoolLease(self._engine, request.database or DEFAULT_DATABASE, settings)
        return SessionLease(self._sessions, wish, request.database, settings)


def _literal(text: str) -> bytes:
    return b"'" + text.replace("\\", "\\\\").replace("'", "\\'").encode() + b"'"


def _report_slow(query_id: str) -> None:
    """Say where every thread is: a request stalled once for a minute, and nobody knew why."""
    _log.warning("a request takes longer than expected", query_id=query_id, seconds=SLOW_S)
    faulthandler.dump_traceback(file=sys.stderr)
