"""Dramatiq: a message goes through the broker and comes back, or the endpoint answers 503.

Worker: dramatiq infra.demo.recipes.worker_dramatiq    App: uvicorn infra.demo.recipes.worker_dramatiq:app
"""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from fastapi import FastAPI, Response

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
broker = RedisBroker(url=REDIS_URL)
broker.add_middleware(Results(backend=RedisBackend(url=REDIS_URL)))
dramatiq.set_broker(broker)
app = FastAPI()


@dramatiq.actor(max_age=2_000, store_results=True, result_ttl=10_000)
def ping() -> str:
    """The message that only comes back; it expires, so that none pile up behind a dead worker."""
    return "pong"


@app.get("/health/worker")
def worker_health(response: Response) -> dict[str, str]:
    """200 if a message came back within 2 s, else 503."""
    try:
        ping.send().get_result(block=True, timeout=2_000)
    except Exception:  # no answer in time, or no broker
        response.status_code = 503
        return {"status": "unhealthy", "worker": "fail"}
    return {"status": "healthy", "worker": "ok"}
