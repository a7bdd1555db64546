"""Serves a process's Prometheus metrics and health at a port of its own: `/metrics`, `/healthz`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from infra.ports import PortTaken

READ_WITHIN_S: Final = 5


@asynccontextmanager
async def serve_metrics(
    host: str, port: int, setting: str, problem: Callable[[], str | None] = lambda: None
) -> AsyncIterator[None]:
    """Serve on the running loop, so that an answer proves that the loop turns. Port 0: nowhere.

    `problem` says what is wrong (503 at /healthz), or None. Raises PortTaken, naming `setting`.
    """
    if port == 0:
        yield
        return
    try:
        server = await asyncio.start_server(_Handler(problem).answer, host, port)
    except OSError as error:
        raise PortTaken(host, port, setting, error) from error
    async with server:
        yield


class _Handler:
    """One request a connection; only the request line and the header Accept count."""

    def __init__(self, problem: Callable[[], str | None]) -> None:
        self._problem = problem

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_WITHIN_S)
            writer.write(self._respond(head.decode("latin-1")))
            await asyncio.wait_for(writer.drain(), READ_WITHIN_S)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client is gone, or does not speak HTTP
        finally:
            writer.close()

    def _respond(self, head: str) -> bytes:
        request_line, _, headers = head.partition("\r\n")
        method, path = [*request_line.split(" "), "", ""][:2]
        if method not in ("GET", "HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, b"", method)
        match path.partition("?")[0]:
            case "/metrics":
                encoder, content_type = choose_encoder(_accept(headers))
                return _response(HTTPStatus.OK, encoder(REGISTRY), method, content_type)
            case "/healthz":
                problem = self._problem()
                status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
                return _response(status, (problem or "ok").encode(), method)
        return _response(HTTPStatus.NOT_FOUND, b"", method)


def _accept(headers: str) -> str:
    for line in headers.splitlines():
        name, _, value = line.partition(":")
        if name.lower() == "accept":
            return value.strip()
    return ""


def _response(status: HTTPStatus, body: bytes, method: str, content_type: str = "text/plain; charset=utf-8") -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else body)
