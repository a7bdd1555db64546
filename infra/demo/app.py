"""A small shop in FastAPI, as a team would write it, with switches that break it for real."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from infra.demo.dependencies import DatabaseFolder, Dependency, RedisServer, Upstream, Worker
from infra.demo.health import health_router
from infra.demo.switch import Switch
from infra.demo.worker import JOBS

BLOCK_S = 1.2
BREATH_S = 0.05


class Order(BaseModel):
    """An order, as version 1 of the API promised it."""

    id: int
    total: float
    currency: str


class OrderWithoutCurrency(BaseModel):
    """The same after somebody tidied the model up."""

    id: int
    total: float


ORDERS = [Order(id=1, total=19.9, currency="EUR"), Order(id=2, total=5.0, currency="USD")]


class Shop:
    """The app's dependencies, and which of them are broken."""

    def __init__(self, folder: Path) -> None:
        self.database = DatabaseFolder(folder / "database")
        self.cache = RedisServer()
        self.queue = RedisServer()
        self.upstream = Upstream()
        self.worker = Worker(self.queue)
        self.broken: set[Switch] = set()
        self._blocker: asyncio.Task[None] | None = None
        self._dependencies: dict[Switch, Dependency] = {
            Switch.DATABASE: self.database,
            Switch.CACHE: self.cache,
            Switch.UPSTREAM: self.upstream,
            Switch.WORKER: self.worker,
        }

    async def start(self) -> None:
        """Start what the app depends on."""
        self.queue.start()
        for dependency in self._dependencies.values():
            await asyncio.to_thread(dependency.start)

    async def stop(self) -> None:
        """Stop all of it."""
        await self.mend()
        self.worker.stop()
        for server in (self.cache, self.queue, self.upstream):
            await asyncio.to_thread(server.stop)

    async def break_(self, switch: Switch) -> None:
        """Cause the failure that `switch` names."""
        self.broken.add(switch)
        if switch is Switch.LOOP:
            self._blocker = self._blocker or asyncio.create_task(_block_the_loop())
        elif switch in self._dependencies:
            await asyncio.to_thread(self._dependencies[switch].stop)

    async def mend(self) -> None:
        """Undo every breakage."""
        if self._blocker is not None:
            self._blocker.cancel()
            with suppress(asyncio.CancelledError):
                await self._blocker
            self._blocker = None
        for switch in self.broken & self._dependencies.keys():
            await asyncio.to_thread(self._dependencies[switch].start)
        self.broken.clear()


async def _block_the_loop() -> None:
    while True:
        time.sleep(BLOCK_S)  # noqa: ASYNC251 - the very mistake that PulseAPI is to catch
        await asyncio.sleep(BREATH_S)


def create_app(folder: Path) -> FastAPI:
    """The shop; `folder` is where its database lives."""
    shop = Shop(folder)
    engine = create_async_engine(shop.database.url, poolclass=NullPool)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await shop.start()
        app.state.queue = Redis(port=shop.queue.port)
        upstream = f"http://127.0.0.1:{shop.upstream.port}"
        app.state.client = httpx.AsyncClient(base_url=upstream, timeout=5, trust_env=False)  # no proxy leads there
        app.include_router(health_router(engine, Redis(port=shop.cache.port)))
        yield
        await app.state.client.aclose()
        await shop.stop()

    app = FastAPI(title="Demo shop", lifespan=lifespan)
    _add_shop_routes(app, shop)
    _add_switches(app, shop)
    return app


async def _upstream(request: Request) -> httpx.AsyncClient:
    client: httpx.AsyncClient = request.app.state.client
    return client


async def _queue(request: Request) -> Redis:
    queue: Redis = request.app.state.queue
    return queue


def _add_shop_routes(app: FastAPI, shop: Shop) -> None:
    @app.get("/orders", response_model=None)
    async def orders() -> list[Order] | list[OrderWithoutCurrency]:
        if Switch.SCHEMA in shop.broken:
            return [OrderWithoutCurrency(**order.model_dump()) for order in ORDERS]
        return ORDERS

    @app.get("/report")
    async def report() -> dict[str, int]:
        await asyncio.sleep(0.12)
        return {"orders": len(ORDERS)}

    @app.get("/payments")
    async def payments(upstream: Annotated[httpx.AsyncClient, Depends(_upstream)]) -> dict[str, str]:
        try:
            answer = await upstream.get("/")
        except httpx.TransportError as error:
            raise HTTPException(502, "the payment provider does not answer") from error
        return dict(answer.json())

    @app.get("/health/worker")
    async def worker(response: Response, queue: Annotated[Redis, Depends(_queue)]) -> dict[str, str]:
        answer_key = f"answer:{uuid.uuid4()}"
        await queue.lpush(JOBS, answer_key)
        alive = await queue.brpop([answer_key], timeout=2) is not None
        response.status_code = 200 if alive else 503
        return {"status": "healthy" if alive else "unhealthy", "worker": "ok" if alive else "fail"}


def _add_switches(app: FastAPI, shop: Shop) -> None:
    @app.get("/_demo", include_in_schema=False)
    async def broken() -> dict[str, list[Switch]]:
        return {"broken": sorted(shop.broken)}

    @app.post("/_demo/break/{switch}", include_in_schema=False)
    async def break_(switch: Switch) -> dict[str, list[Switch]]:
        await shop.break_(switch)
        return await broken()

    @app.post("/_demo/mend", include_in_schema=False)
    async def mend() -> dict[str, list[Switch]]:
        await shop.mend()
        return await broken()
