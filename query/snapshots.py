"""Prepared answers in memory: bytes, ETag and encodings, kept within a bound of bytes, the least used out first."""

import hashlib
from collections import OrderedDict
from typing import Final

import cramjam

MAX_BYTES: Final = 320 << 20
OVERHEAD_BYTES: Final = 700
MIN_COMPRESSED_BYTES: Final = 1_000
BROTLI_QUALITY: Final = 5
GZIP_LEVEL: Final = 6

PLAIN: Final = b""
GZIP: Final = b"gzip"
BROTLI: Final = b"br"

Headers = list[tuple[bytes, bytes]]

SECURITY: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
]


class Kind:
    """What all answers of a kind have in common: media type, caching and further headers."""

    __slots__ = ("_media_type", "_shared")

    def __init__(self, media_type: bytes, cache_control: bytes, more: Headers | None = None) -> None:
        self._media_type = (b"content-type", media_type)
        common = [(b"cache-control", cache_control), (b"vary", b"accept-encoding"), *(more or []), *SECURITY]
        self._shared = {
            encoding: [*common, (b"content-encoding", encoding)] if encoding else common
            for encoding in (PLAIN, GZIP, BROTLI)
        }

    def headers(self, encoding: bytes, etag: bytes, length: int) -> Headers:
        """The headers of a whole answer."""
        size = (b"content-length", b"%d" % length)
        return [self._media_type, size, (b"etag", etag), *self._shared[encoding]]

    def headers_304(self, encoding: bytes, etag: bytes) -> Headers:
        """The headers of an answer that the client has already."""
        return [(b"etag", etag), *self._shared[encoding]]


class Snapshot:
    """An answer as it was at `made_at` (int ms), in each encoding that somebody asked for."""

    __slots__ = ("_bodies", "_etag", "kind", "made_at", "revision", "stale_since")

    def __init__(
        self, kind: Kind, content: bytes, made_at: int = 0, revision: int = 0, stale_since: int | None = None
    ) -> None:
        self.kind = kind
        self.made_at = made_at
        self.revision = revision
        """Of what it tells: while that is equal, its statuses are."""
        self.stale_since = stale_since
        """When its data were read, int ms, if nothing newer could be read then."""
        self._etag = b'"' + hashlib.sha256(content).hexdigest()[:20].encode()
        self._bodies: tuple[bytes, bytes | None, bytes | None] = (content, None, None)

    def choose(self, accepted: tuple[bytes, ...]) -> bytes:
        """The best encoding that the client accepts: BROTLI, GZIP or PLAIN."""
        if not accepted or len(self._bodies[0]) < MIN_COMPRESSED_BYTES:
            return PLAIN
        return BROTLI if BROTLI in accepted else GZIP if GZIP in accepted else PLAIN

    def body(self, encoding: bytes) -> bytes:
        """The answer in this encoding, which is made once."""
        content, zipped, brotli = self._bodies
        if encoding == PLAIN:
            return content
        if encoding == BROTLI:
            if brotli is None:
                brotli = bytes(cramjam.brotli.compress(content, level=BROTLI_QUALITY))
                self._bodies = (content, zipped, brotli)
            return brotli
        if zipped is None:
            zipped = bytes(cramjam.gzip.compress(content, level=GZIP_LEVEL))
            self._bodies = (content, zipped, brotli)
        return zipped

    def etag(self, encoding: bytes) -> bytes:
        """Its content's identity in this encoding."""
        return self._etag + encoding[:1] + b'"'

    @property
    def size_bytes(self) -> int:
        """What it may come to take in memory, about: itself, and a third of that again compressed twice."""
        return len(self._bodies[0]) * 4 // 3 + OVERHEAD_BYTES


class Snapshots:
    """The snapshots by key, at most `max_bytes` of them together."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._kept: OrderedDict[object, Snapshot] = OrderedDict()

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
        before = self._kept.get(key)
        self.size_bytes += snapshot.size_bytes - (before.size_bytes if before else 0)
        self._kept[key] = snapshot
        self._kept.move_to_end(key)
        while self.size_bytes > self._max_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self.size_bytes -= oldest.size_bytes
