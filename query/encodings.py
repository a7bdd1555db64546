"""Bodies that were compressed for the way here, unpacked into bounded memory."""

import sys
import zlib
from typing import Final

from query.problems import ProblemError, ProblemKind

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_ZSTD_WINDOW: Final[dict[int, int]] = {zstd.DecompressionParameter.window_log_max: 23}
"""8 MB, as RFC 8878 asks of every decoder; a frame may claim gigabytes."""
_GZIP: Final = zlib.MAX_WBITS | 16


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
