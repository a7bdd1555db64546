"""The query service as an ASGI app: FastAPI for what is asked seldom, prepared bytes in front of it for the rest."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from infra.settings import Settings
from query.context import Context


def create_app(settings: Settings) -> FastAPI:
    """The service. Its lifespan connects to Kafka and ClickHouse, and starts whether or not they answer."""
    context = Context.of(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with context.running():
            yield

    app = FastAPI(title="PulseAPI", openapi_url="/openapi.json", docs_url="/docs", redoc_url=None, lifespan=lifespan)
    app.state.context = context
    return app
