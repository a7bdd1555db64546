"""The probe's own network: before an all-down minute is believed, the probe asks whether it is the one that is cut off.

With canaries (addresses that the operator names) each network failure is believed only while one of them can be
reached. Without them the share decides: when many targets in a row fail before anyone has answered, it is us.
Either way a machine without any route to the world is offline. What is near (this machine, a private network) is
reached without the world, so that its answers say nothing of targets out there.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from infra.shared import Shared
from probes.guard import is_local
from schemas.enums import Reason
from schemas.events import CheckResult

UNREACHED: Final = frozenset({Reason.DNS_ERROR, Reason.CONNECT_ERROR})
NOTHING_SENT: Final = frozenset(
    {Reason.BAD_REQUEST, Reason.BLOCKED_ADDRESS, Reason.PROBE_OVERLOADED, Reason.PROBE_ERROR}
)
"""The probe itself held back what it should have sent."""
LOST: Final = "the probe has lost its own network"
TAKEN_FOR_LOST: Final = (
    "no target answers, so the probe takes its own network for lost; it would know with PULSE_PROBE_CANARIES"
)
LEAST_TARGETS: Final = 5
ENOUGH_TARGETS: Final = 30
CANARY_TIMEOUT_S: Final = 2.0
CANARY_KEPT_S: Final = 5.0
PRUNED_EVERY_S: Final = 60.0
FORGOTTEN_AFTER_S: Final = 7_200.0
_NOWHERE: Final = {socket.AF_INET: ("192.0.2.1", 9), socket.AF_INET6: ("2001:db8::1", 9)}
"""Documentation addresses: connecting a datagram socket to one asks for a route and sends nothing."""


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
    return any(map(_has_route, _NOWHERE))


def _has_route(family: socket.AddressFamily) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(_NOWHERE[family])
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


@dataclass(slots=True)
class _Targets:
    """Those on one side of the way to the world: when each was seen, and which have failed since any answered."""

    seen: dict[Target, float] = field(default_factory=dict)
    failing: set[Target] = field(default_factory=set)


class OwnNetwork:
    """Judges whether a network failure is the target's or ours. A target is a host and a port."""

    def __init__(self, canaries: Sequence[Canary] = (), route: Callable[[], bool] = has_route) -> None:
        self.offline = False
        """What was found last."""
        self.verdict = LOST if canaries else TAKEN_FOR_LOST
        """What to tell of a failure that is our own."""
        self._canaries = canaries
        self._route = route
        self._near = _Targets()
        self._far = _Targets()
        self._pruned_at = 0.0
        self._canary_answers = Shared(self._ask, CANARY_KEPT_S)

    async def is_to_blame(self, target: Target, result: CheckResult) -> bool:
        """Take a result into account; True when its failure is the probe's own."""
        if result.reason in NOTHING_SENT and not result.connect_us:
            return False
        near = _is_near(target[0])
        side = self._near if near else self._far
        side.seen[target] = asyncio.get_running_loop().time()
        if not unreached(result):
            self._near.failing.clear()
            if not near:
                self._far.failing.clear()
            self.offline = self.offline and bool(self._far.failing)
            return False
        side.failing.add(target)
        self.offline = await self._is_offline(near=near)
        return self.offline

    async def _is_offline(self, *, near: bool) -> bool:
        if self._canaries:
            return not await self._canary_answers.get()
        self._prune()
        sides = (self._near, self._far) if near else (self._far,)
        failing, seen = sum(len(side.failing) for side in sides), sum(len(side.seen) for side in sides)
        return failing >= _many(seen) or (not near and failing == seen and not self._route())

    def _prune(self) -> None:
        """Forget targets that are checked no more."""
        now = asyncio.get_running_loop().time()
        if now - self._pruned_at > PRUNED_EVERY_S:
            self._pruned_at = now
            for side in (self._near, self._far):
                side.seen = {target: at for target, at in side.seen.items() if now - at < FORGOTTEN_AFTER_S}

    async def _ask(self) -> bool:
        """Whether any canary answers."""
        answers = await asyncio.gather(*map(reachable, self._canaries))
        return any(answers)


def _many(seen: int) -> int:
    """So many different targets in a row fail by chance no more: half of those there are, from 5 to 30."""
    return max(LEAST_TARGETS, min(seen // 2 + 1, ENOUGH_TARGETS))


@lru_cache(maxsize=4_096)
def _is_near(host: str) -> bool:
    """A private address needs no way to the world, nor does a name without a dot."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return is_local(host)


def unreached(result: CheckResult) -> bool:
    """Whether nobody at all was reached: a refusal and a late answer are signs of life."""
    if result.reason is Reason.TIMEOUT:
        return result.connect_us == 0
    return result.reason in UNREACHED
