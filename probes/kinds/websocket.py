"""`ws://host/path`, `wss://...`: it takes a WebSocket; with a body that is sent, and what comes back first is heard."""

import contextlib

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response as HandshakeResponse
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from probes.fetch import Fetched, Fetcher, Hop
from probes.kinds.talk import Wire, over_connection
from probes.request import Request
from probes.wire.failed import FetchFailed
from schemas.enums import Reason

MAX_HANDSHAKE_BYTES = 65_536
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
_OF_HTTP = frozenset({"content-type", "accept"})
"""Headers that a check has without its monitor's saying so, and a handshake has no use for."""


async def exchange(fetcher: Fetcher, request: Request) -> Fetched:
    """Shake hands, send the body if there is one, read one message where something is expected, and say goodbye."""

    async def talk(wire: Wire, hop: Hop) -> bytes:
        conversation = _Conversation(wire, hop, request)
        try:
            await conversation.shake_hands()
            return await conversation.speak()
        except WebSocketException as error:
            raise FetchFailed(Reason.BAD_RESPONSE, f"not a WebSocket answer while {hop.stage}: {error}") from None

    return await over_connection(fetcher, request, talk)


class _Conversation:
    """The protocol over one connection."""

    def __init__(self, wire: Wire, hop: Hop, request: Request) -> None:
        self._wire = wire
        self._hop = hop
        self._request = request
        self._headers = {name.lower(): value for name, value in request.headers if name.lower() not in _OF_HTTP}
        offered = self._headers.pop("sec-websocket-protocol", "").split(",")
        self._protocol = ClientProtocol(
            parse_uri(str(request.url)),
            subprotocols=[Subprotocol(each.strip()) for each in offered if each.strip()] or None,
            max_size=max(request.body_limit_bytes, 1),
        )

    async def shake_hands(self) -> None:
        """Become a WebSocket. Raises FetchFailed, WebSocketException, OSError."""
        self._hop.stage = "shaking hands"
        handshake = self._protocol.connect()
        for name, value in self._headers.items():
            handshake.headers.pop(name, None)
            handshake.headers[name] = value
        self._protocol.send_request(handshake)
        received = 0
        while self._protocol.state is State.CONNECTING and self._protocol.handshake_exc is None:
            received += await self._turn()
            if received > MAX_HANDSHAKE_BYTES:
                raise FetchFailed(Reason.RESPONSE_TOO_LARGE, "the answer to the handshake is too long")
        error = self._protocol.handshake_exc
        if error is not None:
            raise self._refused(error)

    async def speak(self) -> bytes:
        """Send what there is to send; the first message that comes, where one is expected."""
        if self._request.body:
            self._protocol.send_text(self._request.body)
        heard = await self._listen() if self._request.body_limit_bytes else b""
        with contextlib.suppress(OSError):  # a goodbye that nobody hears changes nothing
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(1000)
            await self._flush()
        return heard

    async def _listen(self) -> bytes:
        self._hop.stage = "waiting for a message"
        message = b""
        while True:
            for frame in self._frames():
                message += frame.data
                if len(message) > self._request.body_limit_bytes:
                    raise FetchFailed(Reason.RESPONSE_TOO_LARGE, "the message is too long")
                if frame.fin:
                    return message
            if self._protocol.state is not State.OPEN:
                raise FetchFailed(Reason.BAD_RESPONSE, "the server closed the WebSocket before it said anything")
            await self._turn()

    def _frames(self) -> list[Frame]:
        events = self._protocol.events_received()
        return [event for event in events if isinstance(event, Frame) and event.opcode in _DATA]

    async def _turn(self) -> int:
        """Send what waits, and take in what comes; how many bytes."""
        await self._flush()
        data = await self._wire.receive()
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        return len(data)

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                await self._wire.send(data)

    def _refused(self, error: Exception) -> FetchFailed:
        answers = [event for event in self._protocol.events_received() if isinstance(event, HandshakeResponse)]
        status = f" with {answers[0].status_code} {answers[0].reason_phrase}".rstrip() if answers else ""
        reason = Reason.HTTP_STATUS if answers and isinstance(error, InvalidHandshake) else Reason.BAD_RESPONSE
        return FetchFailed(reason, f"the server refused the WebSocket{status}")
