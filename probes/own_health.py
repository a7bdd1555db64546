"""The probe's own network: before an all-down minute is believed, the probe asks whether it is the one that is cut off.

With canaries (addresses that the operator names) each network failure is believed only while one of them can be
reached. Without them the share decides: when many targets in a row fail before anyone has answered, it is us.
Either way a machine without any route to the world is offline.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from infra.shared import Shared
from schemas.enums import Reason
from schemas.events import CheckResult

UNREACHED: Final = frozenset({Reason.DNS_ERROR, Reason.CONNECT_ERROR})
LEAST_TARGETS: Final = 5
ENOUGH_TARGETS: Final = 30
CANARY_TIMEOUT_S: Final = 2.0
CANARY_KEPT_S: Final = 5.0
PRUNED_EVERY_S: Final = 60.0
FORGOTTEN_AFTER_S: Final = 7_200.0
_NOWHERE: Final = ("192.0.2.1", 9)
"""A documentation address: connecting a datagram socket to it asks for a route and sends nothing."""


Target = tuple[str, int]


class InvalidCanary(ValueError):
    """The text names no canary; the message shows one."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A host and port that answer as long as the probe's network works."""

    host: str
    port: int


def parse_canary(text: str) -> Canary:
    """`host:port` or `[v6]:port`. Raises InvalidCanary."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not host or not port.isdigit():
        raise InvalidCanary(f"not a canary: {text!r}; write host:port, like 1.1.1.1:443")
    return Canary(host.strip("[]"), int(port))


def has_route() -> bool:
    """Whether the machine knows any way to the world."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_NOWHERE)
        except OSError:
            return False
    return True


async def reachable(canary: Canary) -> bool:
    """Whether it takes a connection."""
    try:
        async with asyncio.timeout(CANARY_TIMEOUT_S):
            _, writer = await asyncio.open_connection(canary.host, canary.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


class OwnNetwork:
    """Judges whether a network failure is the target's or ours. A target is a host and a port."""

    def __init__(self, canaries: Sequence[Canary] = (), route: Callable[[], bool] = has_route) -> None:
        self.offline = False
        """What was found last."""
        self._canaries = canaries
        self._route = route
        self._seen: dict[Target, float] = {}
        self._failing: set[Target] = set()
        self._pruned_at = 0.0
        self._canary_answers = Shared(self._ask, CANARY_KEPT_S)

    async def is_to_blame(self, target: Target, result: CheckResult) -> bool:
        """Take a result into account; True when its failure is the probe's own."""
        self._seen[target] = asyncio.get_running_loop().time()
        if not unreached(result):
            self._failing.clear()
            self.offline = False
            return False
        self._failing.add(target)
        self.offline = await self._is_offline(target)
        return self.offline

    async def _is_offline(self, target: Target) -> bool:
        if self._canaries:
            return not await self._canary_answers.get()
        if len(self._failing) >= self._many():
            return True
        return not _is_private(target[0]) and len(self._failing) == len(self._seen) and not self._route()

    def _many(self) -> int:
        """So many different targets in a row fail by chance no more: half of those there are, from 5 to 30."""
        now = asyncio.get_running_loop().time()
        if now - self._pruned_at > PRUNED_EVERY_S:
            self._pruned_at = now
            self._seen = {target: at for target, at in self._seen.items() if now - at < FORGOTTEN_AFTER_S}
        return max(LEAST_TARGETS, min(len(self._seen) // 2 + 1, ENOUGH_TARGETS))

    async def _ask(self) -> bool:
        """Whether any canary answers."""
        answers = await asyncio.gather(*map(reachable, self._canaries))
        return any(answers)


def _is_private(host: str) -> bool:
    """A private address needs no way to the world."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return False


def unreached(result: CheckResult) -> bool:
    """Whether nobody at all was reached: a refusal and a late answer are signs of life."""
    if result.reason is Reason.TIMEOUT:
        return result.connect_us == 0
    return result.reason in UNREACHED
