"""What a request's headers say that a prepared answer depends on."""

import msgspec

from query.encodings import accepted
from query.snapshots import BROTLI, GZIP, PLAIN


class Asked(msgspec.Struct, frozen=True, gc=False):
    """Under which name, in which encoding, and whether for something newer than the client has."""

    host: str
    """Without its port, in lower case."""
    encoding: bytes
    """The best one that the client takes: BROTLI, GZIP or PLAIN."""
    known: bytes
    """If-None-Match."""

    @classmethod
    def by(cls, headers: dict[bytes, bytes]) -> "Asked":
        """What these headers say; their names are in lower case."""
        takes = accepted(headers.get(b"accept-encoding", b""))
        return cls(
            _host_name(headers.get(b"host", b"")),
            next((encoding for encoding in (BROTLI, GZIP) if encoding in takes), PLAIN),
            headers.get(b"if-none-match", b""),
        )


def _host_name(header: bytes) -> str:
    return header.decode("latin-1").rpartition("]")[2].partition(":")[0].lower().removesuffix(".")
