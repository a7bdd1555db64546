"""What the sample app depends on, each a thing that can really die: a Redis, an upstream, a worker, a database."""

import contextlib
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

from fakeredis import TcpFakeServer


class Dependency(Protocol):
    """Something that runs, can be killed, and can be started again at the same place."""

    def start(self) -> None:
        """Bring it to life; does nothing while it lives."""

    def stop(self) -> None:
        """Take it away, without a word to those who use it."""


class RedisServer:
    """A Redis over TCP, in threads of its own: a blocked event loop does not block it."""

    def __init__(self) -> None:
        self._server: TcpFakeServer | None = None
        self.port = 0

    def start(self) -> None:
        """Listen: at a free port first, at the same one later."""
        if self._server is not None:
            return
        server = TcpFakeServer(("127.0.0.1", self.port))
        server.daemon_threads = True
        self.port = server.server_address[1]
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Gateway(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"provider": "demo", "status": "open"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
        """Say nothing: it is asked every few seconds."""


class Upstream:
    """The payment provider that the sample app calls: an HTTP server of its own."""

    def __init__(self) -> None:
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    def start(self) -> None:
        """Listen: at a free port first, at the same one later."""
        if self._server is None:
            self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _Gateway)
            self.port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening: connections are refused from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class Worker:
    """The process that does the sample app's background jobs."""

    def __init__(self, queue: RedisServer) -> None:
        self._queue = queue
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; it ends by itself when the app does."""
        if self._process is None:
            command = [sys.executable, "-P", "-m", "infra.demo.worker", str(self._queue.port)]
            self._process = subprocess.Popen(command)

    def stop(self) -> None:
        """SIGKILL, as the kernel's memory killer would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class DatabaseFolder:
    """Where SQLite keeps the sample app's database; without it no connection can be opened."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hidden = folder.with_name(folder.name + ".gone")

    @property
    def url(self) -> str:
        """The database, for SQLAlchemy."""
        return f"sqlite+aiosqlite:///{self._folder.absolute() / 'shop.db'}"

    def start(self) -> None:
        """Put the folder back, or make it."""
        with contextlib.suppress(FileNotFoundError):
            self._hidden.rename(self._folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def stop(self) -> None:
        """Move the folder away."""
        with contextlib.suppress(FileNotFoundError):
            self._folder.rename(self._hidden)
