"""The public face: answers prepared bytes before FastAPI is reached, and hands everything else on to it."""

from typing import Final
from urllib.parse import quote

from query.answers import OPEN_TO_ALL, Answers
from query.asgi import Asgi, Receive, Scope, Send
from query.asked import Asked
from query.assets import asset
from query.catalog import Catalog
from query.metrics import PUBLIC_ANSWERS
from query.snapshots import Headers, Reply, Snapshot

READING: Final = (b"GET", b"HEAD")
PREFLIGHT: Final[Headers] = [
    *OPEN_TO_ALL,
    (b"access-control-allow-methods", b"GET, HEAD"),
    (b"access-control-allow-headers", b"*"),
    (b"access-control-max-age", b"86400"),
]
"""What a browser wants to hear before it asks with a script's own headers; which origins may read is in the answer."""
STATIC: Final = b"/static/"
OF_PAGES: Final = (b"p", b"status", b"badges")
"""Where the addresses of pages begin; the page's slug follows."""


class PublicFace:
    """An ASGI app in front of another one."""

    def __init__(self, behind: Asgi, catalog: Catalog, answers: Answers) -> None:
        self._behind = behind
        self._catalog = catalog
        self.answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, as ASGI has it."""
        if scope["type"] != "http":
            await self._behind(scope, receive, send)
            return
        address, asked = _address(scope), Asked.by(dict(scope["headers"]))
        if scope["method"] == "OPTIONS" and self._find(address, asked.host) is not None:
            await send({"type": "http.response.start", "status": 204, "headers": PREFLIGHT})
            await send({"type": "http.response.body"})
            return
        reply = self.reply(scope["method"].encode(), address, asked)
        if reply is None:
            await self._behind(self._handed_on(scope, address, asked.host), receive, send)
            return
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers()})
        await send({"type": "http.response.body", "body": reply.body})

    def reply(self, method: bytes, address: bytes, asked: Asked) -> Reply | None:
        """The prepared reply to a request; None when the app behind has to answer."""
        if method not in READING:
            return None
        snapshot = self._find(address, asked.host)
        if snapshot is None:
            return None
        encoding, known = snapshot.choose(asked.encoding), asked.known
        status = 304 if known and (snapshot.etag(encoding) in known or known == b"*") else 200
        PUBLIC_ANSWERS[status] += 1
        return Reply.of(snapshot, encoding, status, method == b"HEAD")

    def _find(self, address: bytes, host: str) -> Snapshot | None:
        page = self._catalog.page_of_domain(host)
        if page is not None and not _is_of(page.id, address):
            return self.answers.at(_below(page.id, address))
        return self.answers.at(address) or asset(address)

    def _handed_on(self, scope: Scope, address: bytes, host: str) -> Scope:
        """What the app behind is asked for: GET in place of HEAD, since the server leaves the body out.

        On a custom domain nothing but its page exists: what else was asked for is hidden from it.
        """
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        page = self._catalog.page_of_domain(host)
        if page is None or _is_of(page.id, address):
            return asked
        return {**asked, "path": NOWHERE, "raw_path": NOWHERE.encode()}


NOWHERE: Final = "/p/-"
"""No page has such a slug: here people are told that there is none."""


def _address(scope: Scope) -> bytes:
    """Path and query, as a client writes them that quotes no more than it must: `/p/%61cme` is `/p/acme`."""
    path, query = quote(scope["path"]).encode(), scope["query_string"]
    return b"%b?%b" % (path, query) if query else path


def _is_of(slug: str, address: bytes) -> bool:
    """Whether the page, its data, its badges or what all pages share has this address on every name."""
    _, *parts = address.partition(b"?")[0].split(b"/")
    return address.startswith(STATIC) or (len(parts) > 1 and parts[0] in OF_PAGES and parts[1] == slug.encode())


def _below(slug: str, address: bytes) -> bytes:
    """Where on the installation's own name that is which a page has at this address of its domain."""
    path = b"/p/" + slug.encode()
    return path + address[1:] if address.partition(b"?")[0] == b"/" else path + address
