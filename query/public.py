"""The public face: answers prepared bytes before FastAPI is reached, and hands everything else on to it."""

import time
from functools import lru_cache
from typing import Final

from query.answers import Answers
from query.asgi import Asgi, Receive, Scope, Send
from query.assets import ASSETS
from query.catalog import Catalog
from query.encodings import accepted
from query.metrics import PUBLIC_ANSWERS
from query.snapshots import Snapshot
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
        if scope["type"] != "http" or scope["method"] not in READING:
            await self._behind(self._fenced(scope), receive, send)
            return
        host = encodings = known = b""
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                encodings = value
            elif name == b"if-none-match":
                known = value
            elif name == b"host":
                host = value
        snapshot = self._find(scope, host)
        if snapshot is None:
            await self._behind(self._fenced(scope), receive, send)
            return
        await self._send(snapshot, scope["method"], encodings, known, send)

    def _find(self, scope: Scope, host: bytes) -> Snapshot | None:
        path: str = scope["path"]
        page = self._catalog.page_of_domain(_host_name(host))
        if page is not None and not path.startswith(PUBLIC):
            below = Target("page", page.id) if path == "/" else file_target(page.id, path[1:])
            return None if below is None else self.answers.find(below)
        asset = ASSETS.get(path)
        if asset is not None:
            return asset
        target = target_of(path, scope["query_string"])
        return None if target is None else self.answers.find(target)

    async def _send(self, snapshot: Snapshot, method: str, encodings: bytes, known: bytes, send: Send) -> None:
        encoding = snapshot.choose(accepted(encodings))
        etag = snapshot.etag(encoding)
        unchanged = bool(known) and (etag in known or known == b"*")
        body = b"" if unchanged else snapshot.body(encoding)
        kind = snapshot.kind
        headers = kind.headers_304(encoding, etag) if unchanged else kind.headers(encoding, etag, len(body))
        if snapshot.stale_since is not None:
            headers.append((b"age", b"%d" % (time.time() - snapshot.stale_since / 1000)))
        PUBLIC_ANSWERS[unchanged].inc()
        await send({"type": "http.response.start", "status": 304 if unchanged else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})

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
