"""The engine's work for one request, in steps that each run in a thread: reads, inserts, everything else."""

from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, Final

from infra.embedded.clickhouse.engine import Connection, engine_errors, quote_name, quote_value, spell
from infra.embedded.clickhouse.errors import EngineError
from infra.embedded.clickhouse.leases import Lease
from infra.embedded.clickhouse.request import ExternalTable
from infra.embedded.clickhouse.statements import Insert, Statement, mark

CHUNKED_FORMATS: Final = frozenset(
    {
        "Native",
        "TabSeparated",
        "TSV",
        "TabSeparatedRaw",
        "TSVRaw",
        "CSV",
        "RowBinary",
        "JSONEachRow",
        "JSONCompactEachRow",
        "JSONStringsEachRow",
        "JSONCompactStringsEachRow",
    }
)
"""Formats whose chunks, one after the other, are the whole."""

SELECTS: Final = frozenset({"SELECT", "WITH", "FROM"})
LEAVES_TRACES: Final = frozenset({"SET", "USE"})


@dataclass(slots=True)
class Totals:
    """What X-ClickHouse-Summary tells."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    elapsed_ns: int = 0

    def add(self, result: Any) -> None:
        """Count a result, or a chunk of one."""
        self.read_rows += result.storage_rows_read()
        self.read_bytes += result.storage_bytes_read()
        self.written_rows += result.rows_written()
        self.written_bytes += result.bytes_written()
        self.result_rows += result.rows_read()
        self.result_bytes += result.bytes_read()


@dataclass(slots=True)
class Read:
    """A statement and its result: whole, or in chunks, of which the first two come with `start`."""

    lease: Lease
    statement: Statement
    query_id: str
    output_format: str
    parameters: dict[str, str]
    external: list[ExternalTable]
    read_only: bool
    whole: bool
    totals: Totals = field(default_factory=Totals)
    _connection: Connection | None = None
    _stream: Any = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._stream is None

    @property
    def _chunked(self) -> bool:
        selects = self.read_only and self.statement.first_word in SELECTS
        return selects and not self.whole and self.output_format in CHUNKED_FORMATS

    def start(self) -> bytes:
        """Run it; the result, or the first chunks of it. Raises EngineError."""
        started_ns = perf_counter_ns()
        try:
            return self._start()
        except EngineError:
            if self._connection is not None:
                self._connection.drain()
            raise
        finally:
            self.totals.elapsed_ns = perf_counter_ns() - started_ns

    def _start(self) -> bytes:
        connection = self._connection = self.lease.open()
        native = connection.native
        for table in self.external:
            _create_external(connection, table)
        if self.statement.first_word in LEAVES_TRACES or self.statement.makes_temporary:
            connection.spoiled = True
        text = spell(self.statement.marked(self.query_id))
        parameters = self.parameters
        if not _are_text(parameters):  # which the engine demands of those that come beside a statement
            _set_parameters(connection, parameters)
            parameters = {}
        with engine_errors():
            if self._chunked:
                self._stream = native.send_query(text, self.output_format, params=parameters)
            else:
                result = native.query(text, self.output_format, params=parameters)
                self.totals.add(result)
                if self.statement.first_word == "USE":
                    connection.stay()
                return bytes(result.bytes())
        first = self.step()
        return first if self.ended else first + self.step()

    def step(self) -> bytes:
        """The next chunk; empty at the end. Raises EngineError."""
        assert self._connection is not None, "start comes first"
        try:
            with engine_errors():
                chunk = self._connection.native.streaming_fetch_result(self._stream)
        except BaseException:
            self._stream = None
            self._connection.drain()
            raise
        self.totals.add(chunk)
        data = bytes(chunk.bytes())
        if not data:
            self._stream = None
        return data

    @property
    def needs_finish(self) -> bool:
        """Whether something is left to clear away."""
        return self._connection is not None and (self._stream is not None or bool(self.external))

    def finish(self) -> None:
        """Stop where nobody wants the rest, and forget the request's tables. Raises EngineError."""
        assert self._connection is not None, "start comes first"
        stream, self._stream = self._stream, None
        if stream is not None:
            self._connection.spoiled = True
            with engine_errors():
                self._connection.native.streaming_cancel_query(stream)
        for table in self.external:
            self._connection.run(f"DROP TEMPORARY TABLE IF EXISTS {quote_name(table.name)}")


@dataclass(slots=True)
class Write:
    """An INSERT that is fed with its data."""

    lease: Lease
    insert: Insert
    query_id: str
    parameters: dict[str, str]
    totals: Totals = field(default_factory=Totals)
    _connection: Connection | None = None
    _native: Any = None

    def feed(self, data: bytes, *, last: bool) -> None:
        """Send data; `last` completes the INSERT, and returns when the rows are stored. Raises EngineError."""
        started_ns = perf_counter_ns()
        try:
            self._feed(data, last=last)
        finally:
            self.totals.elapsed_ns += perf_counter_ns() - started_ns

    def _feed(self, data: bytes, *, last: bool) -> None:
        if self._connection is None:
            self._connection = self.lease.open()
        native = self._connection.native
        try:
            with engine_errors():
                if self._native is None:
                    self._native = self._begin(self._connection)
                if data:
                    native.insert_append(self._native, data)
                if last:
                    self.totals.add(native.insert_done(self._native))
        except BaseException:
            self._connection.spoiled = True
            raise

    def _begin(self, connection: Connection) -> Any:
        if self.parameters:  # send_insert takes none
            _set_parameters(connection, self.parameters)
        head = f"{self.insert.head}\n{mark(self.query_id)}\n"
        return connection.native.send_insert(spell(head), self.insert.data_format)

    def cancel(self) -> None:
        """Give up an INSERT whose client has gone: nothing of it is stored."""
        if self._connection is not None:
            self._connection.spoiled = True
            if self._native is not None:
                self._connection.native.insert_cancel(self._native)


@dataclass(frozen=True, slots=True)
class Killed:
    """What a KILL answered."""

    data: bytes
    output_format: str
    totals: Totals


def kill(connection: Connection, statement: Statement, default_format: str) -> Killed:
    """Run a KILL statement. Raises EngineError."""
    output_format = statement.output_format or default_format
    with engine_errors():
        result = connection.native.query(spell(statement.text), output_format, params={})
    totals = Totals()
    totals.add(result)
    return Killed(bytes(result.bytes()), output_format, totals)


def _are_text(parameters: dict[str, str]) -> bool:
    return not any("\udc80" <= character <= "\udcff" for value in parameters.values() for character in value)


def _set_parameters(connection: Connection, parameters: dict[str, str]) -> None:
    connection.spoiled = True
    connection.run("SET " + ", ".join(f"param_{name}={quote_value(value)}" for name, value in parameters.items()))


def _create_external(connection: Connection, table: ExternalTable) -> None:
    connection.spoiled = True
    native, name = connection.native, quote_name(table.name)
    connection.run(f"CREATE TEMPORARY TABLE {name} ({table.structure})")
    with engine_errors():
        insert = native.send_insert(spell(f"INSERT INTO {name}"), table.data_format)
        native.insert_append(insert, table.data)
        native.insert_done(insert)
