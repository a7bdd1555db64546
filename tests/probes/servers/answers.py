"""What servers say, by the path that is asked for: fixed bytes, or bytes without an end."""

import gzip
import zlib
from collections.abc import Iterator

import cramjam

LIMIT = 262_144
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = b'{"status":"healthy"}'


def sized(body: bytes, *headers: str) -> bytes:
    """A 200 with a length."""
    lines = "".join(f"{header}\r\n" for header in headers)
    return OK + f"Content-Length: {len(body)}\r\n{lines}\r\n".encode("latin-1") + body


def encoded(coding: str, body: bytes) -> bytes:
    """A 200 that says how its body is encoded."""
    return sized(body, f"Content-Encoding: {coding}")


def deflated(body: bytes, window_bits: int) -> bytes:
    """zlib's format, or with negative `window_bits` the bare one."""
    compressor = zlib.compressobj(wbits=window_bits)
    return compressor.compress(body) + compressor.flush()


ZEROS = bytes(16 << 20)

HONEST: dict[str, bytes] = {
    "plain": sized(HELLO, "Content-Type: application/json"),
    "no-reason-phrase": b"HTTP/1.1 200\r\nContent-Length: 20\r\n\r\n" + HELLO,
    "http-1.0": b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + HELLO,
    "no-headers": OK + b"\r\n" + HELLO,
    "bare-line-feeds": b"HTTP/1.1 200 OK\nContent-Length: 20\n\n" + HELLO,
    "space-before-colon": OK + b"Content-Length : 20\r\n\r\n" + HELLO,
    "no-space-after-colon": b"HTTP/1.1 200 OK\r\ncontent-length:20\r\nX-Empty:\r\n\r\n" + HELLO,
    "latin-1-header": sized(HELLO, "X-City: M\xfcnchen"),
    "utf-8-reason": "HTTP/1.1 200 Très bien\r\nContent-Length: 20\r\n\r\n".encode() + HELLO,
    "continue-first": b"HTTP/1.1 100 Continue\r\n\r\n" + sized(HELLO),
    "early-hints-first": b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" * 2 + sized(HELLO),
    "chunked": CHUNKED + b'6\r\n{"stat\r\nE\r\nus":"healthy"}\r\n0\r\n\r\n',
    "chunked-with-spaces": CHUNKED + b"14  \r\n" + HELLO + b"\r\n0  \r\n\r\n",
    "folded-header": sized(HELLO, "P3P: policyref=x,\r\n CP=y"),
    "chunked-with-extensions": CHUNKED + b"14;name=value\r\n" + HELLO + b"\r\n0;last\r\n\r\n",
    "chunked-with-trailers": CHUNKED + b"0014\r\n" + HELLO + b"\r\n0\r\nX-Checksum: abc\r\n\r\n",
    "length-and-chunked": OK
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n"
    + HELLO
    + b"\r\n0\r\n\r\n",
    "more-than-the-length": sized(HELLO) + b"and some more",
    "two-answers": sized(HELLO) + b"HTTP/1.1 500 Later\r\nContent-Length: 0\r\n\r\n",
    "offers-h2c": sized(HELLO, "Upgrade: h2c", "Connection: Upgrade"),
    "long-header": sized(HELLO, "Content-Security-Policy: " + "a" * 20_000),
    "doubled-headers": sized(HELLO, "Set-Cookie: a=1", "Set-Cookie: b=2", "Vary: x", "Vary: y"),
    "identity": sized(HELLO, "Content-Encoding: identity"),
    "charset-as-encoding": encoded("UTF-8", HELLO),
    "no-encoding-at-all": encoded("none", HELLO),
    "gzip": encoded("gzip", gzip.compress(HELLO)),
    "deflate": encoded("deflate", deflated(HELLO, 15)),
    "bare-deflate": encoded("deflate", deflated(HELLO, -15)),
    "br": encoded("br", bytes(cramjam.brotli.compress(HELLO))),
    "zstd": encoded("zstd", bytes(cramjam.zstd.compress(HELLO))),
}
"""All of these carry HELLO, and are up."""

WITHOUT_BODY: dict[str, bytes] = {
    "empty": sized(b""),
    "no-content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not-modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 20\r\nETag: x\r\n\r\n",
    "status-599": b"HTTP/1.1 599 Own\r\nContent-Length: 0\r\n\r\n",
    "multiple-choices": b"HTTP/1.1 300 Multiple Choices\r\nLocation: /plain\r\nContent-Length: 0\r\n\r\n",
    "redirect-to-nowhere": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
}

BAD: dict[str, bytes] = {
    "garbage": bytes(range(256)) * 4,
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "smtp": b"220 mail.example.com ESMTP\r\n",
    "json-without-http": HELLO,
    "header-without-colon": OK + b"nonsense\r\n\r\n",
    "nul-in-header": OK + b"X: a\x00b\r\n\r\n",
    "cr-in-header": OK + b"X: a\rb\r\n\r\n",
    "http-3.0": b"HTTP/3.0 200 OK\r\n\r\n",
    "http-2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "status-999": b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    "status-000": b"HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n",
    "status-in-words": b"HTTP/1.1 two hundred\r\n\r\n",
    "switching-protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nxx",
    "switching-silently": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "headers-cut-off": OK + b"Content-Le",
    "two-lengths": OK + b"Content-Length: 20\r\nContent-Length: 7\r\n\r\n" + HELLO,
    "negative-length": OK + b"Content-Length: -20\r\n\r\n" + HELLO,
    "absurd-length": OK + b"Content-Length: 99999999999999999999999\r\n\r\n" + HELLO,
    "body-cut-off": OK + b"Content-Length: 200\r\n\r\n" + HELLO,
    "chunk-cut-off": CHUNKED + b"100\r\n" + HELLO,
    "last-chunk-missing": CHUNKED + b"14\r\n" + HELLO + b"\r\n",
    "chunk-size-in-words": CHUNKED + b"zz\r\n" + HELLO,
    "chunk-size-absurd": CHUNKED + b"FFFFFFFFFFFFFFFFFF\r\n" + HELLO,
    "chunk-longer-than-said": CHUNKED + b"3\r\n" + HELLO + b"\r\n0\r\n\r\n",
    "gzip-transfer": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "not-gzip": encoded("gzip", HELLO),
    "gzip-cut-off": encoded("gzip", gzip.compress(HELLO)[:-9]),
    "gzip-twice": encoded("gzip, gzip", gzip.compress(gzip.compress(HELLO))),
    "not-brotli": encoded("br", HELLO),
    "not-zstd": encoded("zstd", HELLO),
    "unknown-encoding": encoded("compress", HELLO),
}

BOMBS: dict[str, bytes] = {
    "gzip-bomb": encoded("gzip", gzip.compress(ZEROS)),
    "deflate-bomb": encoded("deflate", deflated(ZEROS, 15)),
    "brotli-bomb": encoded("br", bytes(cramjam.brotli.compress(ZEROS, 1))),
    "zstd-bomb": encoded("zstd", bytes(cramjam.zstd.compress(ZEROS))),
    "deep-json": sized(b"[" * 200_000 + b"]" * 200_000),
    "long-json": sized(b"[" + b"{}," * 400_000 + b"{}]"),
}
"""More than the limit: cut there, and up."""


def _flood(head: bytes, block: bytes) -> Iterator[bytes]:
    yield head
    blocks = block * max(1, 65_536 // len(block))
    while True:
        yield blocks


def endless(name: str) -> Iterator[bytes] | None:
    """Bytes without an end, by name."""
    heads: dict[str, tuple[bytes, bytes]] = {
        "endless-body": (OK + b"\r\n", b"x"),
        "endless-chunks": (CHUNKED, b"400\r\n" + b"x" * 1024 + b"\r\n"),
        "endless-tiny-chunks": (CHUNKED, b"1\r\nx\r\n"),
        "endless-padded-chunks": (CHUNKED, b"000000000000001\r\nx\r\n"),
        "endless-headers": (OK, b"X-Header: value\r\n"),
        "endless-header": (OK + b"X-Header: ", b"value"),
        "endless-header-name": (OK, b"x"),
        "endless-reason": (b"HTTP/1.1 200 ", b"very "),
        "endless-empty-headers": (OK, b"a:\r\n"),
        "endless-interim": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        "endless-extension": (CHUNKED + b"1", b";a=b"),
        "endless-trailers": (CHUNKED + b"1\r\nx\r\n0\r\n", b"X-Trailer: value\r\n"),
        "endless-line-feeds": (b"", b"\r\n"),
        "endless-garbage": (b"", b"\x00\xff"),
    }
    return _flood(*heads[name]) if name in heads else None


DRIPS: dict[str, bytes] = {
    "slow-status-line": b"HTTP/1.1 200 OK and much more to say",
    "slow-headers": OK + b"X-Slow: " + b"v" * 1_000,
    "slow-body": OK + b"Content-Length: 1000\r\n\r\n" + b"x" * 1_000,
    "slow-chunks": CHUNKED + b"1\r\nx\r\n" * 1_000,
    "slow-interim": b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000,
}
"""A byte at a time, five a second after the first line's worth."""

HANGS: dict[str, bytes] = {
    "silence": b"",
    "half-a-status-line": b"HTTP/1.1 20",
    "headers-without-end": OK + b"Content-Type: text/plain\r\n",
    "body-that-stops": OK + b"Content-Length: 1000\r\n\r\n" + HELLO,
    "chunks-that-stop": CHUNKED + b"14\r\n" + HELLO + b"\r\n",
    "last-line-missing": CHUNKED + b"14\r\n" + HELLO + b"\r\n0\r\n",
    "open-ended-and-open": OK + b"\r\n" + HELLO,
}
"""Said, and then nothing more, with the connection held."""


def redirect(location: str, *headers: str, status: int = 302) -> bytes:
    """A redirect with a body that nobody needs."""
    lines = "".join(f"{header}\r\n" for header in headers)
    head = f"HTTP/1.1 {status} Found\r\nLocation: {location}\r\nContent-Length: 9\r\n{lines}\r\n"
    return head.encode("latin-1") + b"elsewhere"


REDIRECTS: dict[str, bytes] = {
    "to-plain": redirect("/plain"),
    "to-plain-relative": redirect("plain?x=1#top"),
    "to-plain-without-the-body": redirect("/plain")[:-9],
    "to-itself": redirect("/to-itself"),
    "to-ftp": redirect("ftp://127.0.0.1/"),
    "to-file": redirect("file:///etc/hostname"),
    "to-script": redirect("javascript:alert(1)"),
    "to-private": redirect("http://10.45.67.95/"),
    "to-metadata": redirect("http://169.254.169.254/latest/meta-data/"),
    "to-mapped": redirect("http://[::ffff:10.45.67.96]/"),
    "to-octal": redirect("http://0300.0250.0.7/"),
    "to-userinfo": redirect("http://user:secret@127.0.0.1/"),
    "to-smtp-port": redirect("http://127.0.0.1:25/"),
    "to-far-away": redirect("/" + "a" * 5_000),
    "to-a-space": redirect("/plain and simple"),
    "to-a-backslash": redirect("\\\\127.0.0.1\\plain"),
    "to-an-open-bracket": redirect("http://[::1/"),
    "to-cookie-wall": redirect("/cookie-wall", "Set-Cookie: seen=1; Path=/", "Set-Cookie: other=2; Path=/"),
    "to-many-cookies": redirect("/plain", *(f"Set-Cookie: c{n}={'v' * 80}; Path=/" for n in range(200))),
    "to-bad-cookies": redirect("/plain", "Set-Cookie: " + ";" * 20_000, "Set-Cookie: =; expires=never"),
}
