"""`pulse query`: the query service as a process."""

import typer
import uvicorn

from infra.cli import Exit, fail
from infra.clickhouse import ClickHouseNotConfigured, address_of
from infra.kafka import KafkaNotConfigured, connection_options
from infra.logs import configure_logs
from infra.quiet import quieten
from infra.settings import get_settings

SHUTDOWN_LIMIT_S = 5
KEEP_ALIVE_S = 75
BACKLOG = 2_048


def register(app: typer.Typer) -> None:
    """Add `pulse query`."""
    app.command("query")(query_command)


def query_command() -> None:
    """Serve pages, badges and the API on PULSE_HTTP until SIGTERM.

    Example: PULSE_KAFKA=kafka:9092 PULSE_CLICKHOUSE=http://clickhouse:8123/pulse pulse query
    """
    settings = get_settings()
    configure_logs("query", settings.log_level)
    quieten("aiokafka")
    try:
        connection_options(settings)
        address_of(settings)
    except (KafkaNotConfigured, ClickHouseNotConfigured) as error:
        fail(str(error), Exit.USAGE)
    from query.app import create_app  # here, so that the other commands start without FastAPI
    from query.protocol import PublicProtocol

    uvicorn.run(
        create_app(settings),
        host=settings.http_host.strip("[]"),
        port=settings.http_port,
        loop="uvloop",
        http=PublicProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # PULSE_PROXIES says whom to believe, where it matters
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_LIMIT_S,
        backlog=BACKLOG,
    )
