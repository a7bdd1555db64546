"""The query service as an ASGI app: prepared bytes for the public, FastAPI behind them for everything else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from infra.settings import Settings
from query.abandoned import EndAbandoned
from query.analytics.routes import router as analytics
from query.answers import Answers
from query.context import Context
from query.examples import description, install_examples
from query.ingestion import router as ingestion
from query.limits import MAX_BODY_BYTES, TellLimits
from query.management.lines import Lines
from query.management.routes import router as management
from query.problems import TellTooLarge, install_problem_handlers
from query.public import PublicFace
from query.routes import public


def create_app(settings: Settings) -> PublicFace:
    """The service. Its lifespan connects to Kafka and ClickHouse, and starts whether or not they answer."""
    return app_of(Context.of(settings))


def app_of(context: Context) -> PublicFace:
    """The service over a context, which its lifespan runs."""
    answers = Answers(context.settings, context.catalog, context.facts)
    return PublicFace(TellTooLarge(_create_api(context, answers)), context.catalog, answers)


def _create_api(context: Context, answers: Answers) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with context.running():
            yield

    api = FastAPI(
        title="PulseAPI",
        version=version("pulseapi"),
        description=description(),
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,  # to an address made of the request's Host, and of http:// behind a proxy
        max_body_size=MAX_BODY_BYTES,
        separate_input_output_schemas=False,
    )
    api.state.context = context
    api.state.answers = answers
    api.state.lines = Lines(context.catalog, context.facts)
    api.add_middleware(TellLimits)
    api.add_middleware(EndAbandoned)
    install_problem_handlers(api)
    api.include_router(public)
    api.include_router(management)
    api.include_router(ingestion)
    api.include_router(analytics)
    install_examples(api)

    @api.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return api
