"""A connection for the time of one query: of the pool, or of the client's session."""

from typing import Protocol

from infra.embedded.clickhouse.engine import Connection, Engine
from infra.embedded.clickhouse.request import SessionWish
from infra.embedded.clickhouse.sessions import Sessions


class Lease(Protocol):
    """Opened in a thread, where settings are sent; closed when the query is over, opened or not."""

    def open(self) -> Connection:
        """The connection, prepared. Raises EngineError."""

    def close(self) -> None:
        """Give it back."""


class PoolLease:
    """Any connection that can be made to fit."""

    def __init__(self, engine: Engine, database: str, settings: dict[str, str]) -> None:
        self._engine = engine
        self._database = database
        self._settings = settings
        self._connection: Connection | None = None

    def open(self) -> Connection:
        """The connection, prepared. Raises EngineError."""
        self._connection = self._engine.acquire(self._database, self._settings)
        return self._connection

    def close(self) -> None:
        """Give it back."""
        if self._connection is not None:
            self._engine.release(self._connection)


class SessionLease:
    """The session's connection, which nobody else gets meanwhile."""

    def __init__(self, sessions: Sessions, wish: SessionWish, database: str | None, settings: dict[str, str]) -> None:
        """Raises EngineError where the session is busy, or is to exist and does not."""
        self._sessions = sessions
        self._wish = wish
        self._database = database
        self._settings = settings
        self._connection = sessions.enter(wish)

    def open(self) -> Connection:
        """The connection, prepared. Raises EngineError."""
        self._connection.prepare(self._database, self._settings)
        return self._connection

    def close(self) -> None:
        """Give it back."""
        self._sessions.leave(self._wish)
