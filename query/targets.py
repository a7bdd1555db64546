"""What a public address asks for, and the one address, of all that ask for the same, that its answer is kept by."""

from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode

from query.badges import MAX_LABEL, BadgeKind
from query.feeds import FEEDS
from query.status_document import Window
from query.statuspage import FILES

MAX_QUERY_BYTES: Final = 1_000
MAX_FIELDS: Final = 20
DEFAULT_WINDOW: Final = Window.MONTH
PATHS: Final = {
    "page": "/p/{slug}",
    "status": "/status/{slug}",
    "v2": "/p/{slug}/api/v2/{file}.json",
    "feed": "/p/{slug}/{file}",
}
WINDOWS: Final = frozenset(window.value for window in Window)
BADGE_VIEWS: Final = ("svg", "json")
BADGE_FILES: Final = {f"{kind}.{extension}": (kind, extension) for kind in BadgeKind for extension in BADGE_VIEWS}


class Target(NamedTuple):
    """`view` is `page`, `status`, `svg`, `json`, `v2` or `feed`.

    `file` names one of the last two; `monitor` to `label` tell which badge.
    """

    view: str
    slug: str
    monitor: str = ""
    badge: BadgeKind = BadgeKind.STATUS
    window: Window = DEFAULT_WINDOW
    label: str = ""
    file: str = ""

    @property
    def address(self) -> bytes:
        """Of the addresses that have this target the usual one: its answer is kept by it."""
        if self.view in PATHS:
            return PATHS[self.view].format(slug=self.slug, file=self.file).encode()
        of_monitor = f"{self.monitor}/" if self.monitor else ""
        wish = {"window": self.window, "label": self.label}
        query = urlencode({name: value for name, value in wish.items() if value not in (DEFAULT_WINDOW, "")})
        return f"/badges/{self.slug}/{of_monitor}{self.badge}.{self.view}{query and '?'}{query}".encode()


def target_of(address: bytes) -> Target | None:
    """The target of a public address; None when it is none, or has a parameter that FastAPI has to refuse.

    A slash at its end changes nothing.
    """
    path, _, query = address.partition(b"?")
    parts = unquote(path.decode("latin-1")).removesuffix("/").split("/")
    if len(parts) == 3 and parts[1] == "p":
        return Target("page", parts[2])
    if len(parts) > 3 and parts[1] == "p":
        return file_target(parts[2], "/".join(parts[3:]))
    if len(parts) == 3 and parts[1] == "status":
        return Target("status", parts[2]) if not query or _fields(query).get("v", "1") == "1" else None
    if len(parts) not in (4, 5) or parts[1] != "badges" or parts[-1] not in BADGE_FILES:
        return None
    badge, view = BADGE_FILES[parts[-1]]
    monitor = parts[3] if len(parts) == 5 else ""
    if not query:
        return Target(view, parts[2], monitor, badge)
    wish = _wish(query)
    if wish is None:
        return None
    window, label = wish
    return Target(view, parts[2], monitor, badge, window if badge is BadgeKind.UPTIME else DEFAULT_WINDOW, label)


def file_target(slug: str, path: str) -> Target | None:
    """The target of a path below a page, or below the root of its domain; None when there is no such file."""
    if path in FEEDS:
        return Target("feed", slug, file=path)
    folder, _, name = path.partition("api/v2/")
    file = name.removesuffix(".json")
    return Target("v2", slug, file=file) if not folder and file in FILES and file != name else None


@lru_cache(maxsize=1_024)
def _wish(query: bytes) -> tuple[Window, str] | None:
    """The window and the label that a badge's query asks for; None when they are not valid."""
    fields = _fields(query)
    window, label = fields.get("window", DEFAULT_WINDOW.value), fields.get("label", "")
    return (Window(window), label) if window in WINDOWS and len(label) <= MAX_LABEL else None


def _fields(query: bytes) -> dict[str, str]:
    if len(query) > MAX_QUERY_BYTES:
        return {}
    try:
        return dict(parse_qsl(query.decode("latin-1"), max_num_fields=MAX_FIELDS))
    except ValueError:
        return {}
