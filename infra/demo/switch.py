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
    Switch.DATABASE: "SQLite's folder is moved away: /health answers 503, the monitor `api` is degraded",
    Switch.CACHE: "its Redis is shut down: /health answers 503, the monitor `api` is degraded",
    Switch.LOOP: "blocking calls in the event loop: `report` is slower than its threshold, so degraded",
    Switch.SCHEMA: "a response model lost a field: the JSONPath assertion of `orders` fails",
    Switch.UPSTREAM: "the payment provider is gone: `payments` answers 502",
    Switch.WORKER: "the worker is killed: the round trip of `worker` answers 503",
}
