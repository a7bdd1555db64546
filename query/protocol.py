"""uvicorn's HTTP protocol, which writes prepared answers itself: in one piece, without a task or ASGI's messages.

That is half of what such a request costs. Everything else goes uvicorn's way, and what is found there is the same:
`PublicFace.reply` decides for both.
"""

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from query.public import PublicFace

LEFT_TO_UVICORN: Final = frozenset({b"content-length", b"transfer-encoding", b"expect"})
"""Headers of requests that have a body."""


class PublicProtocol(HttpToolsProtocol):
    """One connection to an app that is a PublicFace."""

    def on_headers_complete(self) -> None:
        """Answer at once what is prepared, in its turn; the parser calls this."""
        answer = self._prepared()
        if answer is None:
            super().on_headers_complete()
            return
        self.transport.write(answer)
        self.on_response_complete()

    def on_message_complete(self) -> None:
        """Nobody waits for the end of a request that is answered; the parser calls this."""
        if self.cycle is not None:
            super().on_message_complete()

    def _prepared(self) -> bytes | None:
        """The whole answer; None for all that is unusual, and while the client is slow to read."""
        parser, url = self.parser, self.url
        if self.flow.write_paused or not (self.cycle is None or self.cycle.response_complete):
            return None
        if not url.startswith(b"/") or b"%" in url or b"#" in url or not url.isascii():
            return None
        if parser.get_http_version() != "1.1" or not parser.should_keep_alive() or parser.should_upgrade():
            return None
        headers = dict(self.headers)
        if not LEFT_TO_UVICORN.isdisjoint(headers):
            return None
        path, _, query = url.partition(b"?")
        face: PublicFace = self.config.app  # type: ignore[assignment]
        try:
            reply = face.reply(parser.get_method().decode(), path.decode(), query, headers)
        except Exception:  # uvicorn meets it again, says so with 500, and logs it
            return None
        return None if reply is None else reply.http(self.server_state.default_headers)
