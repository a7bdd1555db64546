"""Celery: a task goes through the broker and comes back, or the endpoint answers 503.

Worker: celery -A infra.demo.recipes.worker_celery:celery worker    App: uvicorn infra.demo.recipes.worker_celery:app
"""

import os

from celery import Celery
from fastapi import FastAPI, Response

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
celery = Celery("shop", broker=REDIS_URL, backend=REDIS_URL)
celery.conf.result_backend_transport_options = {"retry_policy": {"timeout": 2}}  # else it tries 20 s for a lost Redis
app = FastAPI()


@celery.task(name="ping")
def ping() -> str:
    """The task that only comes back."""
    return "pong"


@app.get("/health/worker")
def worker_health(response: Response) -> dict[str, str]:
    """200 if a task came back within 2 s, else 503. The task expires, so that none pile up behind a dead worker."""
    try:
        ping.apply_async(expires=2).get(timeout=2)
    except Exception:  # no answer in time, or no broker
        response.status_code = 503
        return {"status": "unhealthy", "worker": "fail"}
    return {"status": "healthy", "worker": "ok"}
