"""Prepared answers in memory: bytes, ETag and encodings, kept within a bound of bytes, the least used out first."""

import hashlib
import time
from collections import OrderedDict
from typing import Final

import cramjam
import msgspec

MAX_BYTES: Final = 320 << 20
OVERHEAD_BYTES: Final = 700
MIN_COMPRESSED_BYTES: Final = 1_000
BROTLI_QUALITY: Final = 5
GZIP_LEVEL: Final = 6
GZIP_AT_BEST: Final = 64
"""How many times smaller gzip makes what Brotli makes smaller still, roughly: it repeats 258 bytes at most at once."""

PLAIN: Final = b""
GZIP: Final = b"gzip"
BROTLI: Final = b"br"

Headers = list[tuple[bytes, bytes]]

SECURITY: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
]
ETAG_ENDS: Final = {PLAIN: b'"', GZIP: b'g"', BROTLI: b'b"'}
STATUS_LINES: Final = {200: b"HTTP/1.1 200 OK\r\n", 304: b"HTTP/1.1 304 Not Modified\r\n"}


class Kind:
    """What all answers of a kind have in common: media type, caching and further headers."""

    __slots__ = ("lines",)

    def __init__(self, media_type: bytes, cache_control: bytes, more: Headers | None = None) -> None:
        common = [(b"cache-control", cache_control), (b"vary", b"accept-encoding"), *(more or []), *SECURITY]
        self.lines: Final[dict[tuple[int, bytes], bytes]] = {}
        """The headers that all its answers of a status and an encoding have, as HTTP/1.1 writes them."""
        for encoding in (PLAIN, GZIP, BROTLI):
            encoded = [*common, (b"content-encoding", encoding)] if encoding else common
            self.lines[200, encoding] = lines([(b"content-type", media_type), *encoded])
            self.lines[304, encoding] = lines(encoded)


class Edition:
    """All that a page tells while nothing of it changes: its statuses are the same."""

    __slots__ = ("is_over",)

    def __init__(self) -> None:
        self.is_over = False


TIMELESS: Final = Edition()
"""Of what never changes."""


class Snapshot:
    """An answer as it was at `made_at` (int ms). What is long is kept compressed, and unpacked if asked.

    Where it says what the one `before` said, their bodies are the same and are not compressed again.
    """

    __slots__ = ("_content", "_etag", "_zipped", "edition", "kind", "made_at", "size_bytes", "stale_since")

    def __init__(
        self,
        kind: Kind,
        content: bytes,
        made_at: int = 0,
        edition: Edition = TIMELESS,
        stale_since: int | None = None,
        before: "Snapshot | None" = None,
    ) -> None:
        self.kind = kind
        self.made_at = made_at
        self.edition = edition
        self.stale_since = stale_since
        """When its data were read, int ms, if nothing newer could be read then."""
        self._etag = b'"' + hashlib.sha256(content).hexdigest()[:20].encode()
        self._content = content
        self._zipped: bytes | None = None
        """In gzip, once somebody has asked for that; None for ever where it is short."""
        self.size_bytes = OVERHEAD_BYTES + len(content)
        """What it may come to take in memory, about."""
        if before is not None and before._etag == self._etag:
            self._content, self._zipped, self.size_bytes = before._content, before._zipped, before.size_bytes
        elif len(content) >= MIN_COMPRESSED_BYTES:
            self._content = bytes(cramjam.brotli.compress(content, level=BROTLI_QUALITY))
            self._zipped = b""
            self.size_bytes = OVERHEAD_BYTES + 3 * len(self._content) + len(content) // GZIP_AT_BEST

    def choose(self, encoding: bytes) -> bytes:
        """The encoding in which a client gets it that would best have this one."""
        return PLAIN if self._zipped is None else encoding

    def body(self, encoding: bytes) -> bytes:
        """The answer in this encoding, which `choose` has named."""
        if encoding == BROTLI or self._zipped is None:
            return self._content
        if encoding == GZIP and self._zipped:
            return self._zipped
        content = bytes(cramjam.brotli.decompress(self._content))
        if encoding == PLAIN:
            return content
        self._zipped = bytes(cramjam.gzip.compress(content, level=GZIP_LEVEL))
        return self._zipped

    def etag(self, encoding: bytes) -> bytes:
        """Its content's identity in this encoding."""
        return self._etag + ETAG_ENDS[encoding]


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A snapshot as it goes to a client: whole, or 304 where the client has it already."""

    status: int
    lines: bytes
    """Its headers, as HTTP/1.1 writes them."""
    body: bytes

    @classmethod
    def of(cls, snapshot: Snapshot, encoding: bytes, status: int = 200, without_body: bool = False) -> "Reply":
        """The reply in an encoding that `choose` has named; HEAD asks for it without body."""
        etag = snapshot.etag(encoding)
        if status == 200:
            body = snapshot.body(encoding)
            own = b"etag: %b\r\ncontent-length: %d\r\n" % (etag, len(body))
        else:
            body, own = b"", b"etag: %b\r\n" % etag
        if snapshot.stale_since is not None:
            own = b"%bage: %d\r\n" % (own, time.time() - snapshot.stale_since / 1000)
        return cls(status, own + snapshot.kind.lines[status, encoding], b"" if without_body else body)

    def headers(self) -> Headers:
        """All headers."""
        names_and_values = (line.partition(b": ") for line in self.lines.splitlines())
        return [(name, value) for name, _, value in names_and_values]

    def http(self, more: bytes) -> bytes:
        """The whole answer as HTTP/1.1 writes it, after more lines of headers."""
        return b"".join((STATUS_LINES[self.status], more, self.lines, b"\r\n", self.body))


def lines(headers: Headers) -> bytes:
    """Headers as HTTP/1.1 writes them."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


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
