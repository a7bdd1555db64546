"""The public face: answers prepared bytes before FastAPI is reached, and hands everything else on to it."""

from functools import lru_cache
from typing import Final

from query.answers import Answers
from query.asgi import Asgi, Receive, Scope, Send
from query.assets import ASSETS
from query.catalog import Catalog
from query.encodings import accepted
from query.metrics import PUBLIC_ANSWERS
from query.snapshots import Reply, Snapshot
from query.targets import Target, file_target, target_of

READING: Final = ("GET", "HEAD")
PUBLIC: Final = ("/p/", "/status/", "/badges/", "/static/")
"""What a custom domain serves besides its page; management stays on the installation's own name."""


class PublicFace:
    """An ASGI app in front of another one."""

    def __init__(self, behind: Asgi, catalog: Catalog, answers: Answers) -> None:
        self._behind = behind
        self._catalog = catalog
        self.answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, as ASGI has it."""
        reply = None
        if scope["type"] == "http":
            reply = self.reply(scope["method"], scope["path"], scope["query_string"], dict(scope["headers"]))
        if reply is None:
            await self._behind(self._fenced(scope), receive, send)
            return
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers()})
        await send({"type": "http.response.body", "body": reply.body})

    def reply(self, method: str, path: str, query: bytes, headers: dict[bytes, bytes]) -> Reply | None:
        """The prepared reply to a request; None when the app behind has to answer."""
        if method not in READING:
            return None
        snapshot = self._find(path, query, headers.get(b"host", b""))
        if snapshot is None:
            return None
        encoding = snapshot.choose(accepted(headers.get(b"accept-encoding", b"")))
        known = headers.get(b"if-none-match")
        status = 304 if known and (snapshot.etag(encoding) in known or known == b"*") else 200
        PUBLIC_ANSWERS[status] += 1
        return Reply.of(snapshot, encoding, status, method == "HEAD")

    def _find(self, path: str, query: bytes, host: bytes) -> Snapshot | None:
        page = self._catalog.page_of_domain(_host_name(host))
        if page is not None and not path.startswith(PUBLIC):
            below = Target("page", page.id) if path == "/" else file_target(page.id, path[1:])
            return None if below is None else self.answers.find(below)
        asset = ASSETS.get(path)
        if asset is not None:
            return asset
        target = target_of(path, query)
        return None if target is None else self.answers.find(target)

    def _fenced(self, scope: Scope) -> Scope:
        """On a custom domain nothing but the public face exists: hide what was asked for from the app behind."""
        if scope["type"] != "http" or scope["path"].startswith(PUBLIC):
            return scope
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        if self._catalog.page_of_domain(_host_name(host)) is None:
            return scope
        return {**scope, "path": NOWHERE, "raw_path": NOWHERE.encode()}


NOWHERE: Final = "/p/"


@lru_cache(maxsize=1_024)
def _host_name(header: bytes) -> str:
    """The Host header without its port, in lower case."""
    return header.decode("latin-1").rpartition("]")[2].partition(":")[0].lower().removesuffix(".")
