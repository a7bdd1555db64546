"""What can be broken in the sample app, and what PulseAPI then sees."""

from enum import StrEnum


class Switch(StrEnum):
    """What can be broken."""

    DATABASE = "database"
    CACHE = "cache"
    LOOP = "loop"
    SCHEMA = "schema"
    UPSTREAM = "upstream"
    WORKER = "worker"


WHAT_HAPPENS = {
    Switch.DATABASE: "SQLite's folder is moved away: /health answers 503, the monitor `shop-api` is degraded",
    Switch.CACHE: "its Redis is shut down: /health answers 503, the monitor `shop-api` is degraded",
    Switch.LOOP: "blocking calls in the event loop: `shop-report` is slower than its threshold, so degraded",
    Switch.SCHEMA: "a response model lost a field: the JSONPath assertion of `shop-orders` fails",
    Switch.UPSTREAM: "the payment provider is gone: `shop-payments` answers 502",
    Switch.WORKER: "the worker is killed: the round trip of `shop-worker` answers 503",
}
