"""The probe's own network: before an all-down minute is believed, the probe asks whether it is the one that is cut off.

With canaries (addresses that the operator names) each network failure is believed only while one of them can be
reached. Without them it is us when nothing answers, and there is no route to the world, or the resolver finds nothing
out; and when targets in many places fail in a row before anyone has answered. All that runs on one server may well
vanish at once. What is near (this machine, a private network) is reached without the world, so that its answers say
nothing of targets out there.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from secrets import token_hex
from typing import Final

import aiodns

from infra.logs import get_logger
from infra.shared import Shared
from probes.guard import is_local
from schemas.enums import Reason
from schemas.events import CheckResult
from schemas.urls import InvalidUrl, parse_url

UNREACHED: Final = frozenset({Reason.DNS_ERROR, Reason.CONNECT_ERROR, Reason.TIMEOUT})
LOST: Final = "the probe has lost its own network"
TAKEN_FOR_LOST: Final = (
    "no target answers, so the probe takes its own network for lost; it would know with PULSE_PROBE_CANARIES"
)
LEAST_TARGETS: Final = 5
ENOUGH_TARGETS: Final = 30
MANY_PLACES: Final = 5
CANARY_TIMEOUT_S: Final = 2.0
ANSWER_KEPT_S: Final = 5.0
PRUNED_EVERY_S: Final = 60.0
FORGOTTEN_AFTER_S: Final = 7_200.0
_NO_SUCH_NAME: Final = frozenset({aiodns.error.ARES_ENOTFOUND, aiodns.error.ARES_ENODATA})
_NOWHERE: Final = {socket.AF_INET: ("192.0.2.1", 9), socket.AF_INET6: ("2001:db8::1", 9)}
"""Documentation addresses: connecting a datagram socket to one asks for a route and sends nothing."""
_log = get_logger(__name__)

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
    try:
        url = parse_url(f"tcp://{text.strip()}", ("tcp",))
    except InvalidUrl as error:
        raise InvalidCanary(f"not a canary: {text!r} ({error}); write host:port, like 1.1.1.1:443") from None
    return Canary(url.host, url.port)


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


async def finds_out(domain: str) -> bool:
    """Whether the resolver finds out about a name of `domain` that no cache on the way can know."""
    channel = aiodns.DNSResolver()
    try:
        async with asyncio.timeout(CANARY_TIMEOUT_S):
            await channel.query_dns(f"pulse-{token_hex(8)}.{domain}", "A")
    except aiodns.error.DNSError as error:
        return error.args[0] in _NO_SUCH_NAME
    except TimeoutError:
        return False
    finally:
        await channel.close()
    return True


@dataclass(slots=True)
class _Targets:
    """Those on one side of the way to the world: when each was seen, and which have failed since any answered."""

    seen: dict[Target, float] = field(default_factory=dict)
    failing: dict[Target, str] = field(default_factory=dict)
    """The address at which each was tried; none where its name led to none."""


class OwnNetwork:
    """Judges whether a network failure is the target's or ours. A target is a host and a port."""

    def __init__(
        self,
        canaries: Sequence[Canary] = (),
        route: Callable[[], bool] = has_route,
        resolver: Callable[[str], Awaitable[bool]] = finds_out,
    ) -> None:
        self.offline = False
        """What was found last."""
        self.verdict = LOST if canaries else TAKEN_FOR_LOST
        """What to tell of a failure that is our own."""
        self._canaries = canaries
        self._route = route
        self._resolver = resolver
        self._resolver_answered: bool | None = None
        """Whether it found things out when all was well; one that does not tells nothing by not doing it later."""
        self._near = _Targets()
        self._far = _Targets()
        self._pruned_at = 0.0
        self._canary_answers = Shared(self._ask_canaries, ANSWER_KEPT_S)
        self._resolver_answers = Shared(self._ask_resolver, ANSWER_KEPT_S)

    async def is_to_blame(self, target: Target, address: str, result: CheckResult) -> bool:
        """Take a result, and where it was looked for, into account; True when its failure is the probe's own."""
        near = _is_near(address or target[0])
        if reached(result):
            self._see(target, near=near)
            self._near.failing.clear()
            if not near:
                self._far.failing.clear()
                await self._learn_of_resolver(target[0])
        elif result.reason in UNREACHED:
            self._see(target, near=near).failing[target] = address
            ours = await self._is_offline(near=near)
            self._conclude(offline=ours or (near and self.offline))
            return ours
        elif result.dns_us:  # nobody but a resolver was asked
            self._far.failing.pop(target, None)
        self._conclude(offline=self.offline and bool(self._far.failing))
        return False

    def _see(self, target: Target, *, near: bool) -> _Targets:
        """Its side from now on: a name may lead elsewhere, or nowhere for a while."""
        side, other = (self._near, self._far) if near else (self._far, self._near)
        other.seen.pop(target, None)
        other.failing.pop(target, None)
        side.seen[target] = asyncio.get_running_loop().time()
        return side

    def _conclude(self, *, offline: bool) -> None:
        if offline != self.offline:
            self.offline = offline
            _log.warning(self.verdict if offline else "the probe has its network again")

    async def _is_offline(self, *, near: bool) -> bool:
        if self._canaries:
            return not await self._canary_answers.get()
        self._prune()
        sides = (self._near, self._far) if near else (self._far,)
        failing, seen = sum(len(side.failing) for side in sides), sum(len(side.seen) for side in sides)
        everything = not near and failing >= seen
        if not everything and failing < _many(seen):
            return False
        if everything and not self._route():
            return True
        places = {_place(address) for side in sides for address in side.failing.values() if address}
        if len(places) >= MANY_PLACES:
            return True
        return self._resolver_answered is not False and not await self._resolver_answers.get()

    def _prune(self) -> None:
        """Forget targets that are checked no more."""
        now = asyncio.get_running_loop().time()
        if now - self._pruned_at > PRUNED_EVERY_S:
            self._pruned_at = now
            for side in (self._near, self._far):
                side.seen = {target: at for target, at in side.seen.items() if now - at < FORGOTTEN_AFTER_S}

    async def _ask_canaries(self) -> bool:
        """Whether any canary answers."""
        answers = await asyncio.gather(*map(reachable, self._canaries))
        return any(answers)

    async def _ask_resolver(self) -> bool:
        """Whether it finds things out; where only addresses fail there is nothing to ask."""
        domains = filter(None, (_domain_of(host) for host, _ in self._far.failing))
        domain = next(domains, None)
        return domain is None or await self._resolver(domain)

    async def _learn_of_resolver(self, host: str) -> None:
        """Ask it once while all is well; with canaries nobody asks it."""
        domain = _domain_of(host)
        if domain is not None and self._resolver_answered is None and not self._canaries:
            self._resolver_answered = True  # what is meant until it is known
            self._resolver_answered = await self._resolver(domain)


def _many(seen: int) -> int:
    """So many different targets in a row fail by chance no more: half of those there are, from 5 to 30."""
    return max(LEAST_TARGETS, min(seen // 2 + 1, ENOUGH_TARGETS))


def _domain_of(host: str) -> str | None:
    """The last label of a name, None of an address."""
    label = host.rpartition(".")[2]
    return None if ":" in host or label.isdigit() else label


@lru_cache(maxsize=4_096)
def _is_near(host: str) -> bool:
    """A private address needs no way to the world, nor does a name without a dot."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return is_local(host)


@lru_cache(maxsize=4_096)
def _place(address: str) -> bytes:
    """Public addresses side by side are one place: a server has several, and its neighbours vanish with it."""
    where = ip_address(address)
    if where.is_private:
        return where.packed
    return where.packed[: 3 if where.version == 4 else 8]


def reached(result: CheckResult) -> bool:
    """Whether anybody was reached, on the way of redirects too: a refusal is a sign of life."""
    return result.connect_us > 0 or result.reason is Reason.CONNECT_REFUSED
