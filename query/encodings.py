"""Compression: bodies that came compressed, unpacked into bounded memory; long answers, packed off the event loop."""

import asyncio
import sys
import zlib
from functools import lru_cache
from typing import Final

import cramjam
from fastapi import Request, Response

from query.problems import ProblemError, ProblemKind

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_ZSTD_WINDOW: Final[dict[int, int]] = {zstd.DecompressionParameter.window_log_max: 23}
"""8 MB, as RFC 8878 asks of every decoder; a frame may claim gigabytes."""
_GZIP: Final = zlib.MAX_WBITS | 16
LONG_BYTES: Final = 10_000
QUICK: Final = 1
"""The level at which a megabyte takes some milliseconds."""
_PACKERS: Final = {"zstd": cramjam.zstd.compress, "gzip": cramjam.gzip.compress}
"""The better one first."""


def decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it was before its Content-Encoding. Raises ProblemError: unknown, broken, or more than `limit`."""
    try:
        match encoding.strip().lower():
            case "" | "identity":
                return _within(body, limit)
            case "gzip":
                return _unpacked(zlib.decompressobj(_GZIP), body, limit)
            case "zstd":
                return _unpacked(zstd.ZstdDecompressor(options=MAX_ZSTD_WINDOW), body, limit)
    except (zlib.error, zstd.ZstdError, EOFError) as error:
        raise ProblemError(ProblemKind.BAD_REQUEST, f"the body is not {encoding}: {error}") from None
    raise ProblemError(
        ProblemKind.UNSUPPORTED,
        f"the encoding {encoding[:40]!r} is not supported; send gzip, zstd or none",
        headers={"Accept-Encoding": "gzip, zstd"},
    )


def _unpacked(unpacker: "zlib._Decompress | zstd.ZstdDecompressor", body: bytes, limit: int) -> bytes:
    unpacked = _within(unpacker.decompress(body, limit + 1), limit)
    if not unpacker.eof:
        raise EOFError("it ends too early")
    return unpacked


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise ProblemError(ProblemKind.TOO_LARGE, f"the body is larger than {limit >> 20} MB")
    return body


@lru_cache(maxsize=256)
def accepted(header: bytes) -> tuple[bytes, ...]:
    """The encodings of an Accept-Encoding header, without those that it refuses by `q=0`."""
    found = []
    for part in header.lower().split(b","):
        name, _, quality = part.partition(b";")
        if quality.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000"):
            found.append(name.strip())
    return tuple(found)


async def json_answer(request: Request, body: bytes) -> Response:
    """JSON, compressed if it is long and the client takes it: quickly, and in a thread."""
    headers = {"Vary": "Accept-Encoding"}
    wanted = accepted(request.headers.get("accept-encoding", "").encode())
    encoding = next((each for each in _PACKERS if each.encode() in wanted), None)
    if encoding and len(body) >= LONG_BYTES:
        body = bytes(await asyncio.to_thread(_PACKERS[encoding], body, QUICK))
        headers["Content-Encoding"] = encoding
    return Response(body, headers=headers, media_type="application/json")
