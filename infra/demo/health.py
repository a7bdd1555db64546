"""The /health recipe: copy it into a FastAPI app, and give it your engine and your Redis client."""

import asyncio
from collections.abc import Awaitable

from fastapi import APIRouter, Response
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine


def health_router(engine: AsyncEngine, cache: Redis) -> APIRouter:
    """GET /health: 200 while the database and the cache answer, 503 with the name of what does not."""
    router = APIRouter()

    async def database() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def answer(part: Awaitable[object]) -> str:
        try:
            await asyncio.wait_for(part, timeout=2)
        except Exception:  # whatever it is, the part does not answer
            return "fail"
        return "ok"

    @router.get("/health")
    async def health(response: Response) -> dict[str, str]:
        parts = await asyncio.gather(answer(database()), answer(cache.ping()))
        healthy = all(part == "ok" for part in parts)
        response.status_code = 200 if healthy else 503
        return {"status": "healthy" if healthy else "degraded", "database": parts[0], "cache": parts[1]}

    return router
