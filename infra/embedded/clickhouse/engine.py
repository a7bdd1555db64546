"""The engine in this process: connections with their settings, pooled, and every call in a thread."""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any, Final, Protocol

from infra.embedded.clickhouse.confinement import VIEWS
from infra.embedded.clickhouse.errors import EngineError, from_engine

DEFAULT_DATABASE: Final = "default"
MAX_IDLE: Final = 16
TABLE_FUNCTIONS_INSIDE: Final = frozenset(
    {
        "format",
        "generate_series",
        "generaterandom",
        "generateseries",
        "merge",
        "null",
        "numbers",
        "numbers_mt",
        "primes",
        "values",
        "view",
        "zeros",
        "zeros_mt",
    }
)
"""All others reach hosts or files, some while they look for a structure, or run text as SQL."""

_INSIDE: Final = """
SELECT lower(name) FROM system.tables WHERE database = {database:String} AND NOT startsWith(name, {views:String})
UNION ALL
SELECT lower(name) FROM system.databases
"""


class Native(Protocol):
    """What the gateway uses of a chDB connection. Every call raises RuntimeError with ClickHouse's text."""

    def query(self, sql: bytes, output_format: str, *, params: dict[str, str]) -> Any: ...
    def send_query(self, sql: bytes, output_format: str, *, params: dict[str, str]) -> Any: ...
    def streaming_fetch_result(self, stream: Any) -> Any: ...
    def streaming_cancel_query(self, stream: Any) -> None: ...
    def send_insert(self, sql: bytes, data_format: str) -> Any: ...
    def insert_append(self, insert: Any, data: bytes) -> None: ...
    def insert_done(self, insert: Any) -> Any: ...
    def insert_cancel(self, insert: Any) -> None: ...
    def classify_query(self, sql: bytes) -> dict[str, Any]: ...
    def close(self) -> None: ...


def load_chdb() -> Any:
    """chDB's extension without its package, which would open a connection and load numpy: 40 MB and 0.2 s less."""
    package = find_spec("chdb")
    assert package is not None and package.submodule_search_locations, "chdb-core is installed with `embedded`"
    folder = Path(package.submodule_search_locations[0])
    library = str(folder / "_chdb.abi3.so")
    with chdir(folder):  # it looks for its parts where it is loaded
        if sys.platform == "linux":  # as the package does: the engine's allocator must win over other libraries'
            ctypes.CDLL(library, mode=sys.getdlopenflags() | os.RTLD_DEEPBIND)
        loader = ExtensionFileLoader("_chdb", library)
        spec = spec_from_loader("_chdb", loader)
        assert spec is not None
        extension = module_from_spec(spec)
        loader.exec_module(extension)
    return extension


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn the engine's RuntimeError into EngineError."""
    try:
        yield
    except RuntimeError as error:
        raise from_engine(str(error)) from None
    except UnicodeDecodeError as error:  # its text quotes a statement that is not all text
        raise from_engine(error.object.decode("utf-8", "replace")) from None


def spell(sql: str) -> bytes:
    """The SQL as it came: a statement may hold bytes that are no text."""
    return sql.encode("utf-8", "surrogateescape")


def quote_value(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quote_name(name: str) -> str:
    """A quoted identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _text(native: Native, sql: str, **parameters: str) -> str:
    with engine_errors():
        return bytes(native.query(spell(sql), "TSVRaw", params=parameters).bytes()).decode().rstrip("\n")


@dataclass(slots=True, eq=False)
class Connection:
    """A chDB connection, and what was set on it: only the difference is sent."""

    native: Native
    settings: dict[str, str] = field(default_factory=dict)
    database: str = DEFAULT_DATABASE
    home: str = DEFAULT_DATABASE
    """The database of requests that name none, as USE left it."""
    spoiled: bool = False

    def prepare(self, database: str | None, settings: dict[str, str]) -> None:
        """Bring settings and current database to what is wanted. Raises EngineError."""
        changes = [
            f"{name}={quote_value(value)}" for name, value in settings.items() if self.settings.get(name) != value
        ]
        changes += [f"{name}=DEFAULT" for name in self.settings.keys() - settings.keys()]
        database = database or self.home
        if database != self.database:
            self.run(f"USE {quote_name(database)}")
            self.database = database
        if changes:
            self.run("SET " + ", ".join(changes))
            self.settings = dict(settings)

    def run(self, sql: str) -> None:
        """A statement whose result nobody wants. Raises EngineError."""
        try:
            with engine_errors():
                self.native.query(spell(sql), "Null", params={})
        except BaseException:
            self.spoiled = True
            raise

    def drain(self) -> None:
        """After a statement that failed: what it had answered until then would begin the next answer."""
        with suppress(EngineError):  # then it is spoiled
            self.run("SELECT 1")

    def stay(self) -> None:
        """Make the database that USE led to the home. Raises EngineError."""
        self.home = self.database = _text(self.native, "SELECT currentDatabase()")

    def fits(self, database: str, settings: dict[str, str]) -> bool:
        """Whether it can become what is wanted: a read-only connection cannot change its settings again."""
        if "readonly" not in self.settings:
            return True
        return self.settings == settings and self.database == database


class Engine:
    """The engine over one folder, and its idle connections. Thread-safe."""

    def __init__(self, folder: Path, config_file: Path) -> None:
        """Open the folder. Raises EngineError."""
        self._chdb = load_chdb()
        self._chdb.set_signal_handlers_enabled(0)
        self._path = str(folder)
        with engine_errors():
            self._first: Native = self._chdb.connect(f"{folder}?config-file={config_file}")
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self.version = _text(self._first, "SELECT version()")
        names = _text(self._first, "SELECT lower(name) FROM system.table_functions")
        self.table_functions = frozenset(names.split("\n"))
        self.outside = self.table_functions - TABLE_FUNCTIONS_INSIDE

    def classify(self, sql: str) -> tuple[str, int]:
        """The statement's class (READ_ONLY, MUTATING, MUTATING_GLOBAL, CONTROL, UNKNOWN) and how many there are."""
        with self._lock:
            found = self._first.classify_query(spell(sql))
        return found["query_class"].name, found["statement_count"]

    def inside(self, database: str) -> frozenset[str]:
        """The names, in lower case, of all databases, and of the tables of this one that are no views for everybody."""
        with self._lock:
            names = _text(self._first, _INSIDE, database=database, views=VIEWS)
        return frozenset(names.split("\n"))

    def connect(self) -> Connection:
        """A new connection, for a session or for work that leaves traces."""
        with engine_errors():
            return Connection(self._chdb.connect(self._path))

    def acquire(self, database: str, settings: dict[str, str]) -> Connection:
        """A connection prepared as wanted. Raises EngineError."""
        with self._lock:
            found = next((c for c in reversed(self._idle) if c.fits(database, settings)), None)
            if found is not None:
                self._idle.remove(found)
        connection = found or self.connect()
        try:
            connection.prepare(database, settings)
        except BaseException:
            self.release(connection)
            raise
        return connection

    def release(self, connection: Connection) -> None:
        """Keep it for the next query, or close it where it has traces of this one."""
        dropped = connection
        if not connection.spoiled:
            with self._lock:
                self._idle.append(connection)
                if len(self._idle) <= MAX_IDLE:
                    return
                dropped = self._idle.pop(0)
        dropped.native.close()

    def close(self) -> None:
        """Close every idle connection and the engine; those in use must have been released."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.native.close()
        self._first.close()
