"""Stylesheets and scripts, read once; their addresses carry a hash of their content, so that caches keep them."""

import hashlib
from importlib.resources import files
from typing import Final

from query.snapshots import Kind, Snapshot

FOREVER: Final = b"public, max-age=31536000, immutable"
CHECKED: Final = b"no-cache"
_MEDIA_TYPES: Final = {".css": b"text/css; charset=utf-8", ".js": b"text/javascript; charset=utf-8"}


SWAGGER_UI: Final = ("swagger-ui-bundle.js", "swagger-ui.css")


def asset_url(name: str) -> str:
    """The address of one of these files."""
    return f"/static/{name}?{_HASHES[name]}"


def asset(address: bytes) -> Snapshot | None:
    """The file at an address. A page of another release finds this one's too, but no cache keeps it under that hash."""
    return _ASSETS.get(address) or _ASSETS.get(address.partition(b"?")[0])


def _load() -> dict[bytes, Snapshot]:
    found = {}
    swagger_ui = [files("fastapi_offline").joinpath("static", name) for name in SWAGGER_UI]
    for path in [*files("query").joinpath("static").iterdir(), *swagger_ui]:
        suffix = path.name[path.name.rindex(".") :]
        content = path.read_bytes()
        _HASHES[path.name] = hashlib.sha256(content).hexdigest()[:12]
        kept = Snapshot(Kind(_MEDIA_TYPES[suffix], FOREVER), content)
        found[asset_url(path.name).encode()] = kept
        found[f"/static/{path.name}".encode()] = Snapshot(Kind(_MEDIA_TYPES[suffix], CHECKED), content, before=kept)
    return found


_HASHES: Final[dict[str, str]] = {}
_ASSETS: Final = _load()
