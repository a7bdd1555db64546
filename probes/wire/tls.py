"""TLS over a connection: the certificate is checked for the name that was asked for, and its faults told apart."""

import ssl
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import certifi

from probes.wire.connection import READ_BYTES, Connection
from probes.wire.failed import FetchFailed
from schemas.enums import Reason

_FAULTS: Final = {
    9: "is not valid yet",
    10: "has expired",
    18: "is not trusted: it is self-signed",
    19: "is not trusted: its chain ends in an unknown self-signed one",
    20: "is not trusted: its issuer is unknown, or the server does not send the whole chain",
    21: "is not trusted: the server does not send the whole chain",
    23: "has been revoked",
    62: "is for another name than {name}",
    64: "is not for the address {name}",
}
"""OpenSSL's X509_V_ERR_* codes."""
_UTC_TIME: Final = 0x17
_EXPLICIT_VERSION: Final = 0xA0


def make_context(scheme: str, *, verify: bool) -> ssl.SSLContext:
    """The context of all checks of a scheme: building one reads every CA certificate."""
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 sets it: many private CAs fail it, and serve browsers
    if not _system_has_cas():
        context.load_verify_locations(cafile=certifi.where())
    if scheme != "tls":  # servers of mail and the like break off where HTTP is offered
        context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@lru_cache(maxsize=256)
def make_identity(certificate: str, key: str, scheme: str, *, verify: bool) -> ssl.SSLContext:
    """A context that shows a client certificate (PEM, with its chain). Raises ValueError."""
    context = make_context(scheme, verify=verify)
    with NamedTemporaryFile("w", suffix=".pem") as file:  # only its owner may read it; OpenSSL takes files alone
        file.write(f"{certificate.strip()}\n{key.strip()}\n")
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except ssl.SSLError as error:
            raise ValueError(f"the client certificate and its key cannot be used: {words_of(error)}") from None
    return context


def _system_has_cas() -> bool:
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile) or (bool(paths.capath) and any(Path(paths.capath).iterdir()))


class TlsConnection:
    """A connection behind TLS, with the send, receive and close of a bare one."""

    __slots__ = ("_connection", "_incoming", "_outgoing", "_tls")

    def __init__(self, connection: Connection, context: ssl.SSLContext, name: str) -> None:
        self._connection = connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        # bytes, because a str would go through the slow and older IDNA codec once more
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name.encode("ascii"))

    @property
    def address(self) -> str:
        """The address that answered."""
        return self._connection.address

    @property
    def ready_at_ns(self) -> int:
        """When the server's last sign of life was there to be read."""
        return self._connection.ready_at_ns

    @property
    def certificate_expires_at(self) -> int:
        """Milliseconds since the epoch; 0 when that cannot be read."""
        return expiry_of(self._tls.getpeercert(binary_form=True) or b"")

    async def handshake(self) -> None:
        """Agree on keys. Raises OSError (ssl.SSLError is one)."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take_in()
            except ssl.SSLError:
                with suppress(OSError):
                    await self._flush()  # the alert that says why
                raise
            else:
                await self._flush()
                return

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises OSError."""
        self._tls.write(data)
        await self._flush()

    async def receive(self) -> bytes:
        """What there is; nothing when the server has ended its side. Raises OSError."""
        while True:
            try:
                return self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take_in()
            except ssl.SSLEOFError:
                return b""

    def close(self) -> None:
        """Close it, without a farewell."""
        self._connection.close()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._connection.send(self._outgoing.read())

    async def _take_in(self) -> None:
        data = await self._connection.receive()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


async def secure(connection: Connection, context: ssl.SSLContext, name: str) -> TlsConnection:
    """TLS over `connection`, for the server `name`. Raises FetchFailed."""
    tls = TlsConnection(connection, context, name)
    try:
        connection.send_at_once()
        await tls.handshake()
    except OSError as error:
        raise FetchFailed(Reason.TLS_ERROR, _describe(error, name)) from None
    return tls


def words_of(error: ssl.SSLError) -> str:
    """OpenSSL's reason, for people: `sslv3 alert handshake failure`."""
    return (error.reason or "no reason given").replace("_", " ").lower()


def _describe(error: OSError, name: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        fault = _FAULTS.get(error.verify_code, f"is not trusted: {error.verify_message}")
        return f"the certificate {fault.format(name=name)}"
    if isinstance(error, ssl.SSLEOFError | ConnectionError):
        return "the TLS handshake failed: the server closed the connection"
    if isinstance(error, ssl.SSLError):
        words = words_of(error)
        hint = " (does it speak TLS on this port?)" if error.reason == "WRONG_VERSION_NUMBER" else ""
        return f"the TLS handshake failed: {words}{hint}"
    return f"the TLS handshake failed: {error.strerror or error}"


@lru_cache(maxsize=4_096)
def expiry_of(certificate: bytes) -> int:
    """When a DER certificate expires, in milliseconds since the epoch; 0 when it cannot be read."""
    try:
        _, body, _ = _element(certificate, 0)
        _, at, _ = _element(certificate, body)
        kind, _, end = _element(certificate, at)
        if kind == _EXPLICIT_VERSION:
            _, _, end = _element(certificate, end)  # the serial number
        for _ in ("signature algorithm", "issuer"):
            _, _, end = _element(certificate, end)
        _, not_before, _ = _element(certificate, end)
        _, _, not_after = _element(certificate, not_before)
        kind, start, end = _element(certificate, not_after)
        return _time_ms(kind, certificate[start:end].decode("ascii"))
    except (IndexError, ValueError):
        return 0


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """The tag of the DER element at `at`, where its content starts, and where it ends."""
    size, start = der[at + 1], at + 2
    if size & 0x80:
        width = size & 0x7F
        size, start = int.from_bytes(der[start : start + width]), start + width
    return der[at], start, start + size


def _time_ms(kind: int, text: str) -> int:
    if kind == _UTC_TIME:  # two digits of a year, 1950 to 2049 (RFC 5280)
        text = ("19" if text >= "5" else "20") + text
    moment = datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000)
