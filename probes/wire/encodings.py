"""Bodies that come encoded although `identity` was asked for: decoded once, and never past a limit."""

import zlib
from typing import Final

import cramjam

_NOT_DECODED: Final = frozenset({"compress", "x-compress", "exi", "pack200-gzip", "aes128gcm", "dcb", "dcz"})
"""IANA's other codings. What is none at all (`UTF-8`, `none`) changes nothing, as in browsers."""
_GZIP: Final = b"\x1f\x8b"
"""How each member of a gzip begins; several in a row are one body (RFC 1952)."""
MAX_MEMBERS: Final = 256
"""Each copies what follows it."""
_OVERFLOW: Final = "failed to write whole buffer"
"""How cramjam says that the output did not fit."""


class Undecodable(Exception):
    """The body cannot be read; the message says why."""


def decode(body: bytes, content_encoding: str, limit_bytes: int, *, truncated: bool) -> tuple[bytes, bool]:
    """The decoded body, at most `limit_bytes` of it, and whether it was cut. Raises Undecodable.

    `truncated` says that `body` is only the beginning of what the server had to send.
    """
    coding = content_encoding.strip().lower()
    if not body:
        return body, truncated
    if coding in ("gzip", "x-gzip"):
        return _inflate(body, 16 + zlib.MAX_WBITS, coding, limit_bytes, truncated)
    if coding == "deflate":
        wrapped = body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
        return _inflate(body, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS, coding, limit_bytes, truncated)
    if coding in ("br", "zstd"):
        return _decompress(body, coding, limit_bytes, truncated)
    if coding in _NOT_DECODED or "," in coding:
        raise Undecodable(f"the body is encoded as {content_encoding[:60]!r}, which is not decoded here")
    return body, truncated


def _inflate(body: bytes, window_bits: int, coding: str, limit_bytes: int, truncated: bool) -> tuple[bytes, bool]:
    decoded = b""
    for _ in range(MAX_MEMBERS):
        inflater = zlib.decompressobj(window_bits)
        try:
            decoded += inflater.decompress(body, limit_bytes + 1 - len(decoded))
        except zlib.error:
            raise Undecodable(f"the body is not the {coding} that its headers announce") from None
        if len(decoded) > limit_bytes:
            return decoded[:limit_bytes], True
        if not inflater.eof and not truncated:
            raise Undecodable(f"the {coding} of the body ends too early")
        body = inflater.unused_data
        if not body.startswith(_GZIP):  # what else follows is padding
            return decoded, truncated
    return decoded, True


def _decompress(body: bytes, coding: str, limit_bytes: int, truncated: bool) -> tuple[bytes, bool]:
    codec = cramjam.brotli if coding == "br" else cramjam.zstd
    decoded = bytearray(limit_bytes)
    try:
        size = codec.decompress_into(body, decoded)
    except cramjam.DecompressionError as error:
        if _OVERFLOW not in str(error):
            raise Undecodable(f"the body is not the {coding} that its headers announce, or is cut off") from None
        return bytes(decoded), True
    return bytes(decoded[:size]), truncated
