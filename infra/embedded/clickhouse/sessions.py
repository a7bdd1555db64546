"""Sessions: a connection kept for a client by its session id, with its settings and temporary tables."""

import threading
import time
from dataclasses import dataclass

from infra.embedded.clickhouse.engine import Connection, Engine
from infra.embedded.clickhouse.errors import Code, refusal
from infra.embedded.clickhouse.request import SessionWish


@dataclass(slots=True)
class _Session:
    connection: Connection
    busy: bool
    expires_at_s: float


class Sessions:
    """The open sessions, by id. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def enter(self, wish: SessionWish) -> Connection:
        """The session's connection, for one query at a time. Raises EngineError: busy, or not found."""
        self.expire()
        with self._lock:
            session = self._sessions.get(wish.session_id)
            if session is None:
                if wish.must_exist:
                    raise refusal(Code.SESSION_NOT_FOUND, f"Session {wish.session_id} not found.")
                session = _Session(self._engine.connect(), False, 0.0)
                self._sessions[wish.session_id] = session
            if session.busy:
                raise refusal(Code.SESSION_IS_LOCKED, f"Session {wish.session_id} is locked by a concurrent client.")
            session.busy = True
            return session.connection

    def leave(self, wish: SessionWish) -> None:
        """Give it back; it lives on for its timeout."""
        with self._lock:
            session = self._sessions[wish.session_id]
            session.busy = False
            session.expires_at_s = time.monotonic() + wish.timeout_s

    def expire(self) -> None:
        """Close the sessions whose time is over."""
        now_s = time.monotonic()
        with self._lock:
            over = [
                key for key, session in self._sessions.items() if not session.busy and session.expires_at_s <= now_s
            ]
            connections = [self._sessions.pop(key).connection for key in over]
        for connection in connections:
            connection.native.close()

    def close(self) -> None:
        """Close all of them, at the end."""
        with self._lock:
            sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            session.connection.native.close()
