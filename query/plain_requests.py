"""Reads plain requests out of a connection's bytes, at a fraction of a parser's cost.

Plain is what browsers, proxies and scripts send for a page: GET or HEAD of HTTP/1.1, whole, without a body, and with
nothing in it that two parsers might read differently. Everything else is not read here at all.
"""

import re
from functools import lru_cache
from typing import Final

import msgspec

from query.asked import Asked

MAX_HEADERS_BYTES: Final = 2_048
HEADERS_KEPT: Final = 1_024
BETWEEN: Final = b"\r\n"
END: Final = BETWEEN + BETWEEN
NOT_PLAIN: Final = frozenset(
    {b"connection", b"content-length", b"expect", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
"""Headers that tell of a body, or of a connection that is to change or to end."""
KEEP_ALIVE: Final = (b"connection", b"keep-alive")
"""The exception: it says what is so anyway."""

_first_line: Final = re.compile(rb'(GET|HEAD) (/[!"$&-~]*) HTTP/1\.1\r\n')
_header: Final = re.compile(rb"([A-Za-z0-9-]+): ?((?:[!-~](?:[ -~]*[!-~])?)?)")


class PlainRequest(msgspec.Struct, frozen=True, gc=False):
    """The first request in some bytes."""

    method: bytes
    address: bytes
    asked: Asked
    size_bytes: int


def plain_request(data: bytes) -> PlainRequest | None:
    """The request at the beginning of `data`; None where that is not a plain one."""
    line = _first_line.match(data)
    if line is None:
        return None
    begin = line.end()
    end = data.find(END, begin - len(BETWEEN))  # where there are no headers it is found before `begin`
    if not 0 <= end - begin <= MAX_HEADERS_BYTES:
        return None
    asked = _asked(data[begin:end])
    if asked is None:
        return None
    method, address = line.groups()
    return PlainRequest(method, address, asked, end + len(END))


@lru_cache(maxsize=HEADERS_KEPT)
def _asked(lines: bytes) -> Asked | None:
    """What the last header of each name says; None where one is not plain. A client sends the same again and again."""
    headers = {}
    for line in lines.split(BETWEEN):
        header = _header.fullmatch(line)
        if header is None:
            return None
        name, value = header[1].lower(), header[2]
        if name in NOT_PLAIN and (name, value.lower()) != KEEP_ALIVE:
            return None
        headers[name] = value
    return Asked.by(headers)
