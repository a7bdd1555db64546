"""URLs that users give, parsed strictly and once: what is parsed here is what is connected to.

Refuse rather than repair. Source of the rules: WHATWG URL and Fetch ("bad ports"), UTS 46 for names.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import idna

MAX_URL_LENGTH: Final = 2_048
DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443, "tls": 443, "dns": 53, "tcp": 0}
HTTP: Final = ("http", "https")
CHECKED: Final = (*HTTP, "ws", "wss", "tcp", "tls", "dns")
"""The schemes of what can be checked."""
ANY_PORT: Final = frozenset({"tcp", "tls", "dns"})
BAD_PORTS: Final = frozenset(
    {
        1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103,
        104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513,
        514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720,
        1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
    }
)  # fmt: skip
_SHAPE: Final = re.compile(
    r"([a-z]{2,5})://(\[[0-9A-Fa-f:.]+\]|[^/?#\[\]:@]+)(?::([0-9]{1,5}))?([/?][^#]*)?(?:#.*)?", re.IGNORECASE
)
_UNCLEAN: Final = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*")


class InvalidUrl(ValueError):
    """The URL is not one we connect to; the message says which part and why."""


@dataclass(frozen=True, slots=True)
class Url:
    """A parsed URL. `host` is lower case ASCII, or an address without brackets; `target` starts with `/`."""

    scheme: str
    host: str
    port: int
    target: str
    is_address: bool = field(init=False)
    """The host is an address, not a name."""

    def __post_init__(self) -> None:
        is_address = ":" in self.host or self.host.rsplit(".", 1)[-1].isdigit()
        object.__setattr__(self, "is_address", is_address)

    @property
    def origin(self) -> tuple[str, str, int]:
        """What two URLs share when headers may travel between them."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The Host header's value."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_url(text: str, schemes: Sequence[str] = HTTP) -> Url:
    """Parse `scheme://host[:port][/path][?query]`, http or https by default. Raises InvalidUrl."""
    if len(text) > MAX_URL_LENGTH:
        raise InvalidUrl(f"the URL is longer than {MAX_URL_LENGTH} characters")
    if _UNCLEAN.search(text):
        raise InvalidUrl("the URL has a space, a control character, a backslash or half a character")
    match = _SHAPE.fullmatch(text)
    if match is None or match[1].lower() not in schemes:
        raise InvalidUrl("write http:// or https://, a host, and no user name or password in the URL")
    scheme, host, port_text, target = match.groups()
    scheme = scheme.lower()
    port = int(port_text) if port_text else DEFAULT_PORTS[scheme]
    if scheme == "tcp" and not port_text:
        raise InvalidUrl("a tcp:// URL needs a port, like tcp://db.example.com:5432")
    if not 1 <= port <= 65_535:
        raise InvalidUrl(f"port {port} is not between 1 and 65535")
    if port in BAD_PORTS and scheme not in ANY_PORT:
        raise InvalidUrl(f"port {port} belongs to another protocol and is not checked over HTTP")
    target = target or "/"
    if target.startswith("?"):
        target = "/" + target
    return Url(scheme, _parse_host(host), port, _ascii_target(target))


def _parse_host(host: str) -> str:
    if host.startswith("["):
        try:
            return ipaddress.IPv6Address(host[1:-1]).compressed
        except ValueError:
            raise InvalidUrl(f"{host} is not an IPv6 address") from None
    if "%" in host:
        raise InvalidUrl("the host has a % in it")
    name = host if host.isascii() else _to_ascii(host)
    name = name.lower().removesuffix(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise InvalidUrl(f"{host!r} is not a host name")
    if _NUMBER.fullmatch(name.rsplit(".", 1)[-1]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise InvalidUrl(f"{host} is not an IPv4 address in its usual form") from None
    return name


def _to_ascii(host: str) -> str:
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise InvalidUrl(f"{host!r} is not a host name: {error}") from None


def _ascii_target(target: str) -> str:
    if target.isascii():
        return target
    return "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in target)
