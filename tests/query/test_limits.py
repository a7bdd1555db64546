"""Rates by key, on a clock that moves when told."""

import pytest

from query.limits import BUCKETS_KEPT, RateLimiter, RatePolicy
from query.problems import ProblemError, ProblemKind

POLICY = RatePolicy("test", quota=3, window_s=60)


def test_a_key_that_has_used_its_quota_is_told_when_to_come_back() -> None:
    now = [0.0]
    limiter = RateLimiter(POLICY, lambda: now[0])
    assert [limiter.take("a")["RateLimit"] for _ in range(3)] == [
        '"test";r=2;t=20',
        '"test";r=1;t=40',
        '"test";r=0;t=60',
    ]
    with pytest.raises(ProblemError) as refused:
        limiter.take("a")
    assert refused.value.kind is ProblemKind.TOO_MANY_REQUESTS
    assert refused.value.headers["Retry-After"] == "20"
    assert refused.value.headers["RateLimit-Policy"] == '"test";q=3;w=60'
    now[0] = 19.9
    with pytest.raises(ProblemError):
        limiter.take("a")
    now[0] = 20.1
    assert limiter.take("a")["RateLimit"] == '"test";r=0;t=60'


def test_keys_have_buckets_of_their_own() -> None:
    limiter = RateLimiter(POLICY, lambda: 0.0)
    for _ in range(3):
        limiter.take("a")
    assert limiter.take("b")["RateLimit"] == '"test";r=2;t=20'


def test_a_bucket_never_holds_more_than_its_quota() -> None:
    now = [0.0]
    limiter = RateLimiter(POLICY, lambda: now[0])
    limiter.take("a")
    now[0] = 10_000.0
    assert limiter.take("a")["RateLimit"] == '"test";r=2;t=20'


def test_keys_without_number_do_not_grow_the_memory() -> None:
    limiter = RateLimiter(POLICY, lambda: 0.0)
    for number in range(BUCKETS_KEPT + 100):
        limiter.take(str(number))
    assert len(limiter._buckets) == BUCKETS_KEPT
