"""uvicorn's HTTP protocol, which answers plain requests itself if what they ask for is prepared: no parser, no task.

That is most of what such a request costs. Everything else goes uvicorn's way, and what is found there is the same:
`PublicFace.reply` decides for both.
"""

from asyncio import TimerHandle
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from query.plain_requests import PlainRequest, plain_request
from query.public import PublicFace
from query.snapshots import Headers, lines

STALLED_S: Final = 60.0
"""For so long a client may take nothing of what is written to it: that fills memory, and holds an export's place."""


class PublicProtocol(HttpToolsProtocol):
    """One connection to an app that is a PublicFace."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._face: PublicFace = self.config.app  # type: ignore[assignment]
        self._is_between_requests = True
        """The parser has seen the end of all that it was given: nothing of what comes now belongs to a body."""
        self._answered_at_s = 0.0
        self._default: tuple[Headers, bytes] = [], b""
        """uvicorn's headers, of which it makes a new list every second, and how they are written."""
        self._giving_up: TimerHandle
        """Set while the client has not taken what was written."""

    def data_received(self, data: bytes) -> None:
        """Answer the prepared ones in their turn, and leave what follows to the parser."""
        while self._is_free() and (request := plain_request(data)) is not None:
            answer = self._prepared(request)
            if answer is None:
                break
            self.transport.write(answer)
            self._note_answered()
            data = data[request.size_bytes :]
            if not data:
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """From here on the bytes are the parser's; it calls this."""
        self._is_between_requests = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The next byte begins another request; the parser calls this."""
        self._is_between_requests = True
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it was idle since the timer was set; the loop calls this."""
        idle_s = self.loop.time() - self._answered_at_s
        if idle_s < self.timeout_keep_alive:
            self._set_timer(self.timeout_keep_alive - idle_s)
        else:
            super().timeout_keep_alive_handler()

    def pause_writing(self) -> None:
        """More is written than the client has taken; the transport calls this."""
        super().pause_writing()
        self._watch_client()

    def resume_writing(self) -> None:
        """The client has taken nearly all; the transport calls this."""
        super().resume_writing()
        self._giving_up.cancel()

    def _watch_client(self) -> None:
        left_bytes = self.transport.get_write_buffer_size()
        self._giving_up = self.loop.call_later(STALLED_S, self._give_up, left_bytes)

    def _give_up(self, left_bytes: int) -> None:
        """Break the connection off, unless less is left by now: to close it would wait for the client, too."""
        if self.transport.get_write_buffer_size() < left_bytes:
            self._watch_client()
        else:
            self.transport.abort()

    def _is_free(self) -> bool:
        """Whether nobody is being answered, and the client reads what it gets."""
        is_answered = self.cycle is None or self.cycle.response_complete
        return is_answered and self._is_between_requests and not self.flow.write_paused

    def _prepared(self, request: PlainRequest) -> bytes | None:
        """The whole answer; None where the app has to be asked."""
        try:
            reply = self._face.reply(request.method, request.address, request.asked)
        except Exception:  # uvicorn meets it again, says so with 500, and logs it
            return None
        return None if reply is None else reply.http(self._default_lines())

    def _default_lines(self) -> bytes:
        headers = self.server_state.default_headers
        if self._default[0] is not headers:
            self._default = headers, lines(headers)
        return self._default[1]

    def _note_answered(self) -> None:
        """What uvicorn does after an answer, with a timer that is not set anew each time."""
        self.server_state.total_requests += 1
        self._answered_at_s = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._set_timer(self.timeout_keep_alive)

    def _set_timer(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)
