"""Where a check may go: addresses are judged after resolving, all of them, again at each redirect.

Own tables, because ipaddress's `is_private` and `is_global` differ between Pythons and miss what reaches a
private network by another form. Denied by default is everything that is not plain public unicast.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from probes.wire.failed import FetchFailed
from schemas.enums import Reason

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_DENIED_V4: Final = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carrier-grade NAT",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "protocol assignments",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "6to4 relays",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
_DENIED_V6: Final = {
    "::1/128": "loopback",
    "::ffff:0:0/96": "IPv4-mapped",
    "64:ff9b::/96": "NAT64",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "ff00::/8": "multicast",
    "2001::/23": "protocol assignments",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "3fff::/20": "documentation",
}
_UNICAST_V6: Final = IPv6Network("2000::/3")
_METADATA: Final = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",  # AWS, Azure, Google, Oracle and more
        "168.63.129.16/32",  # Azure's wireserver, a public address to look at
        "100.100.100.200/32",  # Alibaba
        "100.100.2.136/31",  # Alibaba's resolvers
        "192.0.0.192/32",  # Oracle
        "fd00:ec2::/32",  # AWS
        "fd20:ce::254/128",  # Google
        "fd00:42::42/128",  # Scaleway
        "fe80::/10",
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})

_HOW_TO_ALLOW: Final = "an operator can open networks with PULSE_PROBE_ALLOW"
_TABLE: Final = tuple((ip_network(text), what) for text, what in (_DENIED_V4 | _DENIED_V6).items())


class Guard:
    """Says no to addresses that a check must not reach.

    `allow` lists networks that the operator opens; `deny` lists more to close, such as a site's own NAT64
    prefix. Cloud metadata stays closed whatever `allow` says.
    """

    def __init__(self, allow: Sequence[Network] = (), deny: Sequence[Network] = ()) -> None:
        self._allow = tuple(allow)
        self._deny = tuple(deny)
        self.refusal = lru_cache(maxsize=4_096)(self._refusal)

    def check_name(self, host: str) -> None:
        """Local names are refused before anything is asked. Raises FetchFailed.

        Where the operator has opened networks, names are judged by their addresses alone.
        """
        if not self._allow and is_local(host):
            raise FetchFailed(Reason.BLOCKED_ADDRESS, f"{host} is a local name; {_HOW_TO_ALLOW}")

    def check(self, addresses: Sequence[str]) -> None:
        """One bad address refuses them all. Raises FetchFailed."""
        for address in addresses:
            refusal = self.refusal(address)
            if refusal is not None:
                raise FetchFailed(Reason.BLOCKED_ADDRESS, refusal)

    def _refusal(self, text: str) -> str | None:
        try:
            address = ip_address(text)
        except ValueError:
            return f"{text[:100]!r} is not an address"
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            return f"{text[:100]} names a network interface"
        if _holds(_METADATA, address) or _holds(_METADATA, _embedded(address)):
            return f"{address} belongs to cloud metadata services and is never checked"
        if _holds(self._deny, address):
            return f"{address} is in a network that this probe denies (PULSE_PROBE_DENY)"
        if _holds(self._allow, address):
            return None
        what = _denied_as(address)
        return None if what is None else f"{address} is not public ({what}); {_HOW_TO_ALLOW}"


def is_local(host: str) -> bool:
    """Whether a name means this machine, or one beside it."""
    if ":" in host:
        return False
    last = host.rsplit(".", 1)[-1]
    return "." not in host or last == "localhost" or last.startswith("localdomain")


def _holds(networks: Sequence[Network], address: Address | None) -> bool:
    return any(address in network for network in networks if address is not None)


def _denied_as(address: Address) -> str | None:
    for network, what in _TABLE:
        if address in network:
            return what
    if isinstance(address, IPv6Address):
        if address not in _UNICAST_V6:
            return "not unicast"
        if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP:
            return "ISATAP"
    return None


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to."""
    if isinstance(address, IPv4Address):
        return None
    value = int(address)
    if address in _NAT64 or address in _COMPATIBLE or value >> 32 & 0xFFFF_FFFF in _ISATAP:
        return IPv4Address(value & 0xFFFF_FFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour
