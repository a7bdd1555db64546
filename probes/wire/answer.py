"""One HTTP/1.1 answer, parsed by llhttp as its bytes come, within bounds that hold against any server."""

from typing import Final

import httptools

HEAD_BYTES: Final = 32_768
HEAD_LINES: Final = 256
INTERIM_ANSWERS: Final = 8
FRAMING_BYTES: Final = 131_072
FRAMING_BYTES_A_BODY_BYTE: Final = 8
"""A chunk of one byte needs five more; beyond this and FRAMING_BYTES the framing is the attack."""
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class BadAnswer(Exception):
    """Not an HTTP/1.1 answer that we take; the message says what is wrong with it."""


class AnswerTooLarge(BadAnswer):
    """Its headers or its framing are over the bounds."""


class Answer:
    """Feed it until it is `done`, and `end` it when the server ends first. Header names become lower case.

    The body is cut at `body_limit_bytes`. With `head_only` (HEAD) none is expected; with `skip_redirects`
    none is read of an answer that leads elsewhere.
    """

    __slots__ = (
        "_body",
        "_body_limit_bytes",
        "_head_bytes",
        "_head_lines",
        "_head_only",
        "_headers_complete",
        "_interim",
        "_parser",
        "_reason",
        "_skip_redirects",
        "_wire_bytes",
        "body_truncated",
        "done",
        "headers",
        "http_version",
        "status",
    )

    def __init__(self, body_limit_bytes: int, *, head_only: bool = False, skip_redirects: bool = False) -> None:
        self._body_limit_bytes = body_limit_bytes
        self._head_only = head_only
        self._skip_redirects = skip_redirects
        self._body = bytearray()
        self._reason = b""
        self._headers_complete = False
        self._head_bytes = self._head_lines = self._wire_bytes = self._interim = 0
        self.status = 0
        self.http_version = ""
        self.headers: list[tuple[str, str]] = []
        self.body_truncated = False
        self.done = False
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_chunked_length=True,  # RFC 9112: Transfer-Encoding overrides Content-Length
            lenient_data_after_close=True,  # what follows the answer is not read
            lenient_optional_cr_before_lf=True,  # RFC 9112 lets a recipient take a bare LF
            lenient_headers=True,  # RFC 9112: a header may go on in the next line; NUL is refused below
            lenient_spaces_after_chunk_size=True,  # old servers pad it
        )

    @property
    def begun(self) -> bool:
        """There is a status line and headers."""
        return self._headers_complete

    @property
    def reason_phrase(self) -> str:
        """What stands after the status code, if anything."""
        return self._reason.decode("latin-1")

    @property
    def body(self) -> bytes:
        """What came of it, as it came: still encoded."""
        return bytes(self._body)

    def header(self, name: str) -> str | None:
        """The first header of that (lower case) name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def feed(self, data: bytes) -> None:
        """Take in what came. Raises BadAnswer."""
        self._wire_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise BadAnswer("the server switched to another protocol unasked") from None
        except httptools.HttpParserError as error:
            if not self.done:
                raise self._explain(error) from None
        if self.done:
            return
        if not self._headers_complete and self._wire_bytes > HEAD_BYTES:
            raise AnswerTooLarge(f"the headers are larger than {HEAD_BYTES} bytes")
        if self._wire_bytes > FRAMING_BYTES + FRAMING_BYTES_A_BODY_BYTE * len(self._body):
            raise AnswerTooLarge("the body is chunked into next to nothing")

    def end(self) -> None:
        """The server has closed its side. Raises BadAnswer when that cuts the answer off."""
        if not self._wire_bytes:
            raise BadAnswer("the server closed the connection without an answer")
        if not self._headers_complete:
            raise BadAnswer("the server closed the connection in the middle of the headers")
        length, coding = self.header("content-length"), self.header("transfer-encoding")
        if coding is not None and coding.strip().lower() == "chunked":
            raise BadAnswer(f"the chunked body was cut off after {len(self._body)} bytes")
        if coding is None and length is not None:
            raise BadAnswer(f"the body was cut off: {len(self._body)} of {length[:20]} bytes came")
        self.done = True

    def release(self) -> None:
        """Undo the ring of references between this and its parser; nothing can be fed any more."""
        self._parser = None

    def on_status(self, part: bytes) -> None:
        if not self.done:
            self._reason += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.done:
            return
        self._head_bytes += len(name) + len(value) + 4
        self._head_lines += 1
        if self._head_bytes > HEAD_BYTES:
            raise AnswerTooLarge(f"the headers are larger than {HEAD_BYTES} bytes")
        if self._head_lines > HEAD_LINES:
            raise AnswerTooLarge(f"there are more than {HEAD_LINES} headers")
        if b"\0" in value:
            raise BadAnswer("not HTTP/1.1 in the headers: there is a NUL in one")
        if not self._headers_complete:  # trailers count, and are not kept
            self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if self.done:
            return
        self.status = status = self._parser.get_status_code()
        self.http_version = version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise BadAnswer(f"the server answered in HTTP/{version}")
        if not 100 <= status <= 599:
            raise BadAnswer(f"the status {status} is not between 100 and 599")
        if status < 200:
            self._begin_again(status)
            return
        self._headers_complete = True
        coding = self.header("transfer-encoding")
        if coding is not None and coding.strip().lower() not in ("chunked", "identity"):
            raise BadAnswer(f"the transfer encoding {coding[:60]!r} is not one we asked for")
        if self._head_only or (self._skip_redirects and status in REDIRECTS and self.header("location")):
            self.done = True

    def on_body(self, part: bytes) -> None:
        if self.done:
            return
        self._body += part
        if len(self._body) > self._body_limit_bytes:
            del self._body[self._body_limit_bytes :]
            self.body_truncated = self.done = True

    def on_message_complete(self) -> None:
        if self._headers_complete:
            self.done = True

    def _begin_again(self, status: int) -> None:
        if status == 101:
            raise BadAnswer("the server switched to another protocol unasked")
        self._interim += 1
        if self._interim > INTERIM_ANSWERS:
            raise AnswerTooLarge(f"there are more than {INTERIM_ANSWERS} interim answers (1xx)")
        self.headers.clear()
        self._reason = b""

    def _explain(self, error: httptools.HttpParserError) -> BadAnswer:
        cause = error.__context__
        if isinstance(cause, BadAnswer):
            return cause
        where = "body" if self._headers_complete else "headers" if self._parser.get_status_code() else "status line"
        return BadAnswer(f"not HTTP/1.1 in the {where}: {error}")
