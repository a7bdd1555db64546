"""What a caller may ask for: requests a minute by key. Bodies are bounded by the application itself."""

import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Response

from query.keys import Caller
from query.problems import ProblemError, ProblemKind

MAX_BODY_BYTES: Final = 1 << 20
BUCKETS_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """`quota` requests of a key in any `window_s` seconds, as a bucket that refills evenly."""

    name: str
    quota: int
    window_s: int


class RateLimiter:
    """Buckets by key, in memory: each query process counts for itself. The least used are forgotten first."""

    def __init__(self, policy: RatePolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
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
            f"a key may send {policy.quota} such requests in {policy.window_s} s; try again in {wait_s} s",
            headers={**self._answer(0), "Retry-After": str(wait_s)},
        )


def limited(policy: RatePolicy, authenticate: Callable[..., Awaitable[Caller]]) -> Callable[..., Awaitable[Caller]]:
    """A dependency like `authenticate` that also counts the request against the policy."""
    limiter = RateLimiter(policy)

    async def take(response: Response, caller: Annotated[Caller, Depends(authenticate)]) -> Caller:
        response.headers.update(limiter.take(caller.by))
        return caller

    return take
