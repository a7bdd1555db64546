"""Content-Encoding both ways, in streams: gzip, deflate, br, zstd and lz4 frames."""

import sys
import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

import cramjam
import lz4.frame

from infra.embedded.clickhouse.errors import Code, refusal

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_COMPRESSORS: Final[dict[str, Any]] = {
    "gzip": cramjam.gzip,
    "deflate": cramjam.zlib,
    "br": cramjam.brotli,
    "zstd": cramjam.zstd,
    "lz4": cramjam.lz4,
}
LEVELS: Final = {"gzip": 3, "deflate": 3, "br": 3, "zstd": 1, "lz4": 1}
"""Fast ones: the peer is near."""


class Compressor(Protocol):
    """A stream of one encoding; `flush` gives what has been compressed so far, `finish` the end."""

    def compress(self, data: bytes) -> int: ...
    def flush(self) -> Any: ...
    def finish(self) -> Any: ...


def choose_encoding(accepted: str) -> str | None:
    """The first encoding of an Accept-Encoding header that the gateway knows."""
    for part in accepted.split(","):
        name, _, quality = part.partition(";")
        if name.strip() in _COMPRESSORS and quality.replace(" ", "") != "q=0":
            return name.strip()
    return None


def compressor(encoding: str) -> Compressor:
    """A new stream."""
    stream: Compressor = _COMPRESSORS[encoding].Compressor(level=LEVELS[encoding])
    return stream


def compress(encoding: str, data: bytes) -> bytes:
    """All of `data` at once."""
    stream = compressor(encoding)
    stream.compress(data)
    return bytes(stream.finish())


class _Frame(Protocol):
    """One frame of a compressed stream; more frames may follow it."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes) -> bytes: ...


_FRAMES: Final[dict[str, Callable[[], _Frame]]] = {
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "deflate": zlib.decompressobj,
    "zstd": zstd.ZstdDecompressor,
    "lz4": lz4.frame.LZ4FrameDecompressor,
}
_BROKEN: Final = (zlib.error, zstd.ZstdError, RuntimeError, EOFError)


class Decompressor:
    """Decodes a body piece by piece. Raises EngineError for an unknown encoding or broken data."""

    def __init__(self, encoding: str) -> None:
        if encoding not in _FRAMES:
            raise refusal(
                Code.NOT_IMPLEMENTED, f"Unknown Content-Encoding: {encoding}; one of br, {', '.join(_FRAMES)}."
            )
        self._encoding = encoding
        self._frame = _FRAMES[encoding]()
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """What `data` adds to the plain text."""
        plain = []
        try:
            while data:
                plain.append(self._frame.decompress(data))
                self._begun = not self._frame.eof
                if self._begun:
                    break
                data = self._frame.unused_data
                self._frame = _FRAMES[self._encoding]()
        except _BROKEN as error:
            raise self._broken(str(error)) from None
        return b"".join(plain)

    def finish(self) -> bytes:
        """The end of the plain text; a frame that was cut off is an error."""
        if self._begun:
            raise self._broken("it ends too early")
        return b""

    def _broken(self, why: str) -> Exception:
        return refusal(Code.CANNOT_DECOMPRESS, f"The body is not {self._encoding}: {why}.")


class BrotliDecompressor:
    """Brotli, decoded when all of it is there. Raises EngineError."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """Nothing yet."""
        self._parts.append(data)
        return b""

    def finish(self) -> bytes:
        """All of it."""
        try:
            return bytes(cramjam.brotli.decompress(b"".join(self._parts)))
        except cramjam.DecompressionError as error:
            raise refusal(Code.CANNOT_DECOMPRESS, f"The body is not br: {error}.") from None


def decompressor(encoding: str) -> Decompressor | BrotliDecompressor:
    """A decoder for a body. Raises EngineError for an encoding that the gateway does not know."""
    return BrotliDecompressor() if encoding == "br" else Decompressor(encoding)
