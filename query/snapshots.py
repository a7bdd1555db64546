"""Prepared answers in memory: bytes, ETag and encodings, kept within a bound of bytes, the least used out first."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cramjam

MAX_BYTES: Final = 256 << 20
OVERHEAD_BYTES: Final = 1_500
MIN_COMPRESSED_BYTES: Final = 1_000
BROTLI_QUALITY: Final = 5
GZIP_LEVEL: Final = 6

Headers = list[tuple[bytes, bytes]]

SECURITY: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
]


@dataclass(frozen=True, slots=True)
class Kind:
    """What all answers of a kind have in common: media type, caching and further headers."""

    media_type: bytes
    cache_control: bytes
    more: tuple[tuple[bytes, bytes], ...] = ()

    def headers(self, etag: bytes, encoding: bytes | None) -> Headers:
        """The headers that every answer of it has, but for Content-Type, Content-Length and Age."""
        headers = [(b"cache-control", self.cache_control), (b"etag", etag), (b"vary", b"accept-encoding")]
        if encoding is not None:
            headers.append((b"content-encoding", encoding))
        return [*headers, *self.more, *SECURITY]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A body in one encoding, and everything that goes before it."""

    body: bytes
    etag: bytes
    headers: Headers
    headers_304: Headers


class Snapshot:
    """An answer as it was at `made_at` (int ms), in each encoding that somebody asked for."""

    __slots__ = ("_content", "_encoded", "_kind", "made_at", "revision", "stale_since")

    def __init__(
        self, kind: Kind, content: bytes, made_at: int = 0, revision: int = 0, stale_since: int | None = None
    ) -> None:
        self.made_at = made_at
        self.revision = revision
        """Of what it tells: while that is equal, its statuses are."""
        self.stale_since = stale_since
        """When its data were read, int ms, if nothing newer could be read then."""
        self._kind = kind
        self._content = content
        self._encoded: dict[bytes | None, Encoded] = {}

    def encoded(self, accepted: tuple[bytes, ...]) -> Encoded:
        """The answer in the best encoding that the client accepts."""
        encoding = self._choose(accepted)
        found = self._encoded.get(encoding)
        if found is None:
            found = self._encoded[encoding] = self._encode(encoding)
        return found

    @property
    def size_bytes(self) -> int:
        """What it may come to take in memory, about: itself, and a third of that again compressed twice."""
        return len(self._content) * 4 // 3 + OVERHEAD_BYTES

    def _choose(self, accepted: tuple[bytes, ...]) -> bytes | None:
        if not accepted or len(self._content) < MIN_COMPRESSED_BYTES:
            return None
        return next((encoding for encoding in (b"br", b"gzip") if encoding in accepted), None)

    def _encode(self, encoding: bytes | None) -> Encoded:
        body = self._content if encoding is None else COMPRESS[encoding](self._content)
        etag = b'"' + hashlib.sha256(self._content).hexdigest()[:20].encode() + (encoding or b"")[:1] + b'"'
        headers = self._kind.headers(etag, encoding)
        sized = [(b"content-type", self._kind.media_type), (b"content-length", str(len(body)).encode())]
        return Encoded(body, etag, [*sized, *headers], headers)


def _brotli(content: bytes) -> bytes:
    return bytes(cramjam.brotli.compress(content, level=BROTLI_QUALITY))


def _gzip(content: bytes) -> bytes:
    return bytes(cramjam.gzip.compress(content, level=GZIP_LEVEL))


COMPRESS: Final[dict[bytes, Callable[[bytes], bytes]]] = {b"br": _brotli, b"gzip": _gzip}


class Snapshots:
    """The snapshots by key, at most `max_bytes` of them together."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._kept: OrderedDict[object, Snapshot] = OrderedDict()
        self._sizes: dict[object, int] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: object) -> Snapshot | None:
        """The snapshot of this key, which is now the last one to go."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: object, snapshot: Snapshot) -> None:
        """Keep it in place of the one before; others may have to go."""
        size = snapshot.size_bytes
        self.size_bytes += size - self._sizes.get(key, 0)
        self._kept[key] = snapshot
        self._sizes[key] = size
        self._kept.move_to_end(key)
        while self.size_bytes > self._max_bytes and len(self._kept) > 1:
            oldest, _ = self._kept.popitem(last=False)
            self.size_bytes -= self._sizes.pop(oldest)
