"""Arq: a job goes through the queue and comes back, or the endpoint answers 503.

Worker: arq infra.demo.recipes.worker_arq.WorkerSettings    App: uvicorn infra.demo.recipes.worker_arq:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from fastapi import FastAPI, Request, Response

REDIS = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"))


async def ping(context: dict[str, Any]) -> str:
    """The job that only comes back."""
    return "pong"


class WorkerSettings:
    """What `arq` runs; add `ping` to your own functions."""

    functions = (ping,)
    redis_settings = REDIS


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One pool for the whole app."""
    app.state.arq = await create_pool(REDIS)
    yield
    await app.state.arq.aclose()


app = FastAPI(lifespan=lifespan)


@app.get("/health/worker")
async def worker_health(request: Request, response: Response) -> dict[str, str]:
    """200 if a job came back within 2 s, else 503. The job expires, so that none pile up behind a dead worker."""
    try:
        job = await request.app.state.arq.enqueue_job("ping", _expires=2)
        await job.result(timeout=2, poll_delay=0.05)
    except Exception:  # no answer in time, or no queue
        response.status_code = 503
        return {"status": "unhealthy", "worker": "fail"}
    return {"status": "healthy", "worker": "ok"}
