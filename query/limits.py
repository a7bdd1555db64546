"""What a caller may ask for: requests a minute of what is expensive, by key and by address.

Answers that are prepared are given before this is reached, and are never limited. Bodies are bounded by the
application itself, windows and points by their routes.
"""

import math
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Final, Protocol, TypeVar, cast

from fastapi import Depends, Request

from infra.settings import Settings
from query.asgi import Asgi, Receive, Scope, Send
from query.problems import ProblemError, ProblemKind

MAX_BODY_BYTES: Final = 1 << 20
BUCKETS_KEPT: Final = 10_000
KEYS_AT_AN_ADDRESS: Final = 4
"""How many keys may use their whole quota from one address: an office, or a cluster, has one for all."""
MAX_HOPS: Final = 32

_TOLD: Final = "pulse.limits"
"""The scope's place for what the answer says of limits."""


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """`quota` requests in any `window_s` seconds, as a bucket that refills evenly."""

    name: str
    quota: int
    window_s: int

    def times(self, factor: float, suffix: str = "") -> "RatePolicy":
        """The same with another quota."""
        return RatePolicy(self.name + suffix, max(1, round(self.quota * factor)), self.window_s)


FAILED_AUTHENTICATION: Final = RatePolicy("failed-authentication", quota=60, window_s=60)


class RateLimiter:
    """Buckets by name, in memory: each query process counts for itself. The least used are forgotten first."""

    def __init__(self, policy: RatePolicy, whose: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._whose = whose
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str) -> dict[str, str]:
        """Count a request; returns the headers of its answer. Raises ProblemError when the bucket is empty."""
        policy, now = self._policy, self._clock()
        left, at = self._buckets.pop(who, (float(policy.quota), now))
        left = min(policy.quota, left + (now - at) * policy.quota / policy.window_s)
        allowed = left >= 1
        self._buckets[who] = (left - 1 if allowed else left, now)
        if len(self._buckets) > BUCKETS_KEPT:
            self._buckets.popitem(last=False)
        return self._answer(left - 1) if allowed else self._refuse(left)

    def _answer(self, left: float) -> dict[str, str]:
        policy = self._policy
        full_in_s = math.ceil((policy.quota - left) * policy.window_s / policy.quota)
        return {
            "RateLimit-Policy": f'"{policy.name}";q={policy.quota};w={policy.window_s}',
            "RateLimit": f'"{policy.name}";r={max(0, int(left))};t={full_in_s}',
        }

    def _refuse(self, left: float) -> dict[str, str]:
        policy = self._policy
        wait_s = math.ceil((1 - left) * policy.window_s / policy.quota)
        raise ProblemError(
            ProblemKind.TOO_MANY_REQUESTS,
            f"{self._whose} may send {policy.quota} such requests in {policy.window_s} s; try again in {wait_s} s",
            headers={**self._answer(0), "Retry-After": str(wait_s)},
        )


class Limits:
    """The limiters of one service. PULSE_RATE_FACTOR multiplies every quota."""

    def __init__(self, settings: Settings) -> None:
        self._proxies = settings.proxies
        self._factor = settings.rate_factor
        self._by_key: dict[RatePolicy, RateLimiter] = {}
        self._by_address: dict[RatePolicy, RateLimiter] = {}

    def count(self, policy: RatePolicy, scope: Scope, by: str) -> None:
        """Count a request of a key; its answer will tell what is left. Raises ProblemError for one too many."""
        if policy not in self._by_key:
            shared = policy.times(self._factor * KEYS_AT_AN_ADDRESS, "-of-address")
            self._by_key[policy] = RateLimiter(policy.times(self._factor), "a key")
            self._by_address[policy] = RateLimiter(shared, "an address")
        told: defaultdict[str, list[str]] = defaultdict(list)
        for limiter, who in ((self._by_key[policy], by), (self._by_address[policy], address_of(scope, self._proxies))):
            for name, value in limiter.take(who).items():
                told[name].append(value)
        scope[_TOLD] = told

    def count_failure(self, scope: Scope) -> None:
        """Count a request without a good key. A good key is never refused for what others at its address send."""
        policy = FAILED_AUTHENTICATION
        if policy not in self._by_address:
            self._by_address[policy] = RateLimiter(policy.times(self._factor), "an address")
        self._by_address[policy].take(address_of(scope, self._proxies))


class Places:
    """So many at the same time, and of one key fewer, so that it leaves some to others."""

    def __init__(self, whole: int, of_a_key: int, what: str) -> None:
        self._whole = whole
        self._of_a_key = of_a_key
        self._what = what
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, by: str) -> Iterator[None]:
        """Hold a place. Raises ProblemError: all are taken, or all that a key may have."""
        if self._held.total() >= self._whole or self._held[by] >= self._of_a_key:
            raise ProblemError(
                ProblemKind.BUSY, f"too many {self._what} are under way; try again", headers={"Retry-After": "1"}
            )
        self._held[by] += 1
        try:
            yield
        finally:
            self._held[by] -= 1
            if not self._held[by]:
                del self._held[by]


class Named(Protocol):
    """Who is counted."""

    @property
    def by(self) -> str:
        """The key's name."""


NamedT = TypeVar("NamedT", bound=Named)


def limited(policy: RatePolicy, authenticate: Callable[..., Awaitable[NamedT]]) -> Callable[..., Awaitable[NamedT]]:
    """A dependency like `authenticate` that also counts the request against the policy."""

    async def take(request: Request, caller: Annotated[Any, Depends(authenticate)]) -> NamedT:
        limits: Limits = request.app.state.context.limits
        limits.count(policy, request.scope, caller.by)
        return cast(NamedT, caller)

    return take


class TellLimits:
    """ASGI middleware: an answer to a request that was counted says what is left, whatever it answers."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI has it."""
        await self._app(scope, receive, partial(_send_told, scope, send))


async def _send_told(scope: Scope, send: Send, message: MutableMapping[str, Any]) -> None:
    told: dict[str, list[str]] = scope.get(_TOLD, {})
    if told and message["type"] == "http.response.start":
        lines = [(name.lower().encode(), ", ".join(values).encode()) for name, values in told.items()]
        message["headers"] = [*message["headers"], *lines]
    await send(message)


def address_of(scope: Scope, proxies: Iterable[IPv4Network | IPv6Network]) -> str:
    """Who sent a request: an IPv4 address or an IPv6 /64, the nearest hop that is none of our proxies.

    X-Forwarded-For counts only as far as listed proxies wrote it: what stands before that, anybody can write.
    """
    client = scope.get("client")
    hops = [client[0] if client else ""]
    for name, value in reversed(scope["headers"]):
        if name == b"x-forwarded-for":
            hops += reversed(value.decode("latin-1").split(","))
    nearest: IPv4Address | IPv6Address | None = None
    for hop in hops[:MAX_HOPS]:
        try:
            nearest = _plain(ip_address(_host_of(hop.strip())))
        except ValueError:
            break
        if not any(nearest in proxy for proxy in proxies):
            break
    if isinstance(nearest, IPv6Address):
        return str(ip_network((nearest, 64), strict=False))
    return str(nearest or "unknown")


def _host_of(hop: str) -> str:
    """A hop without the port that some proxies write behind it."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that came over IPv6 is an IPv4 address."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
