"""What a check sends, as bytes built once, and how a redirect changes it."""

import re
import ssl
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Final
from urllib.parse import urljoin

import httpx

from probes.resolve import IpVersion
from probes.wire.failed import FetchFailed
from schemas.enums import Reason
from schemas.urls import Url, parse_url

BODY_LIMIT_BYTES: Final = 262_144
MAX_LOCATION_LENGTH: Final = 4_096
USER_AGENT: Final = f"PulseAPI/{version('pulseapi')}"

OWN_HEADERS: Final = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)
"""Headers that say how the bytes travel: the probe's own."""
_TOLD_ANYWHERE: Final = frozenset({"accept", "content-type"})
"""Headers that go along to another origin: they say how to read a body, and nothing of who asks."""
_BODY_EXPECTED: Final = frozenset({"POST", "PUT", "PATCH"})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSENDABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PLAIN: Final = re.compile(r"[\t\x20-\x7e]*")
_UNCLEAN: Final = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class Request:
    """What to send, built once a monitor version.

    `fault` says why it cannot be sent; a fetch of it ends with BAD_REQUEST.
    """

    method: str
    url: Url
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    timeout_ms: int = 10_000
    follow_redirects: bool = True
    verify_tls: bool = True
    body_limit_bytes: int = BODY_LIMIT_BYTES
    ip_version: IpVersion = None
    decode: bool = True
    """Decode a body that comes encoded all the same."""
    identity: ssl.SSLContext | None = None
    """Shows a client certificate; else the fetcher's own contexts serve."""
    fault: str = field(init=False, default="")
    wire: bytes = field(init=False, repr=False, default=b"")
    """The request as it goes over the connection."""

    def __post_init__(self) -> None:
        fault = _fault(self)
        object.__setattr__(self, "fault", fault)
        object.__setattr__(self, "wire", b"" if fault else _build(self))


def _fault(request: Request) -> str:
    if not _TOKEN.fullmatch(request.method):
        return f"{request.method[:40]!r} is not an HTTP method"
    for name, value in request.headers:
        if not _TOKEN.fullmatch(name):
            return f"{name[:100]!r} is not a header's name"
        if name.lower() in OWN_HEADERS:
            return f"the probe sets the header {name} itself"
        if _UNSENDABLE.search(value) or not _encodes(value):
            return f"the value of the header {name} has characters that cannot be sent"
    return ""


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _build(request: Request) -> bytes:
    given = {name.lower() for name, _ in request.headers}
    defaults = {
        "host": request.url.authority,
        "user-agent": USER_AGENT,
        "accept": "*/*",
        "accept-encoding": "identity",
    }
    headers = [(name, value) for name, value in defaults.items() if name not in given]
    headers += request.headers
    if request.body or request.method in _BODY_EXPECTED:
        headers.append(("content-length", str(len(request.body))))
    headers.append(("connection", "close"))
    lines = [f"{request.method} {request.url.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode() + request.body


class CheckCookies:
    """What servers set on the way of one check, for its next hops. httpx keeps them, once there are any."""

    def __init__(self) -> None:
        self._cookies: httpx.Cookies | None = None

    def take(self, url: Url, headers: list[tuple[str, str]]) -> None:
        """Keep what an answer from `url` sets in plain characters. Raises FetchFailed."""
        lines = [value for name, value in headers if name == "set-cookie" and _PLAIN.fullmatch(value)]
        if not lines:
            return
        if self._cookies is None:
            self._cookies = httpx.Cookies()
        raw = [(b"set-cookie", line.encode("ascii")) for line in lines]
        self._cookies.extract_cookies(httpx.Response(200, headers=raw, request=_asked(url)))

    def put_into(self, request: Request) -> Request:
        """The request with what belongs to its URL, after the user's own cookies. Raises FetchFailed."""
        if self._cookies is None:
            return request
        asked = _asked(request.url)
        self._cookies.set_cookie_header(asked)
        if "cookie" not in asked.headers:
            return request
        own = [value for name, value in request.headers if name.lower() == "cookie"]
        others = tuple((name, value) for name, value in request.headers if name.lower() != "cookie")
        return replace(request, headers=(*others, ("cookie", "; ".join([*own, asked.headers["cookie"]]))))


def _asked(url: Url) -> httpx.Request:
    try:
        return httpx.Request("GET", str(url))
    except (httpx.InvalidURL, UnicodeError) as error:  # IDNA's errors are UnicodeErrors
        raise FetchFailed(Reason.REDIRECT, f"cannot keep cookies: {error}: {str(url)!r}") from None


def redirected(request: Request, status: int, location: str) -> Request:
    """The request that an answer leads to, without cookies. Raises FetchFailed.

    The method changes as in browsers and httpx; to another origin neither headers of the user, but for what says how
    to read a body, nor the client certificate travel.
    """
    url = _target(request.url, location)
    method = _next_method(request.method, status)
    same = url.origin == request.url.origin
    headers = tuple(header for header in request.headers if same or header[0].lower() in _TOLD_ANYWHERE)
    body = request.body
    if method != request.method:
        body = b""
        headers = tuple((name, value) for name, value in headers if not name.lower().startswith("content-"))
    identity = request.identity if same else None
    return replace(request, method=method, url=url, headers=headers, body=body, identity=identity)


def _next_method(method: str, status: int) -> str:
    to_get = (status in (302, 303) and method != "HEAD") or (status == 301 and method == "POST")
    return "GET" if to_get else method


def _target(url: Url, location: str) -> Url:
    """Messages have the whole location, at their end: what is secret in it is found before it is cut."""
    if len(location) > MAX_LOCATION_LENGTH:
        raise FetchFailed(Reason.REDIRECT, f"the Location is longer than {MAX_LOCATION_LENGTH} characters")
    if _UNCLEAN.search(location):
        what = "has a space, a control character or a backslash"
        raise FetchFailed(Reason.REDIRECT, f"the Location {what}: {location!r}")
    try:
        return parse_url(urljoin(str(url), _as_text(location)))
    except ValueError as error:  # InvalidUrl, or urljoin's own
        raise FetchFailed(Reason.REDIRECT, f"cannot follow the Location: {error}: {location!r}") from None


def _as_text(header: str) -> str:
    """Headers are read as Latin-1; what is beyond ASCII is UTF-8 in practice."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        return header
