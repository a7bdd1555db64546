"""Trying again until it works: the stream waits for the engines, it never gives up what it holds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import aiohttp
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import DataError, Error, ProgrammingError

from infra.logs import get_logger
from stream import metrics

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
T = TypeVar("T")
_log = get_logger(__name__)


async def until_it_works(what: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """The attempt's answer, however often an engine was away before.

    Raises DataError and ProgrammingError at once: the same attempt would fail in the same way.
    """
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await attempt()
        except (DataError, ProgrammingError):
            raise
        except (Error, KafkaError, aiohttp.ClientError, OSError, TimeoutError) as error:
            metrics.RETRIES.labels(what).inc()
            _log.warning("failed, will be tried again", what=what, error=str(error)[:500], pause_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
