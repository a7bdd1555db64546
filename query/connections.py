"""Connections to what may be away: opened when it answers, asked for at each use, refused with words until then."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Generic, TypeVar

from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError

from infra.logs import get_logger

RETRY_S: Final = 1.0

ClientT = TypeVar("ClientT")
_log = get_logger(__name__)


class Away(RuntimeError):
    """Something that this needs cannot be reached now; the message names it."""


class Connection(Generic[ClientT]):
    """A client that is opened as soon as the other side answers, and then held until the service ends."""

    def __init__(self, name: str, open_client: Callable[[], AbstractAsyncContextManager[ClientT]]) -> None:
        self.trouble = f"{name} was not reached yet"
        """Why there is no client, in words; empty once there is one."""
        self.opened = asyncio.Event()
        """Set once the other side was reached."""
        self._name = name
        self._open_client = open_client
        self._client: ClientT | None = None

    def get(self) -> ClientT:
        """The client. Raises Away until the other side was reached once; later troubles are the client's own errors."""
        if self._client is None:
            raise Away(self.trouble)
        return self._client

    async def hold(self) -> None:
        """Open the client, trying again until it works, and close it when cancelled."""
        while True:
            try:
                async with self._open_client() as client:
                    self._client, self.trouble = client, ""
                    self.opened.set()
                    await asyncio.get_running_loop().create_future()
            except (KafkaError, ClickHouseError, OSError) as error:
                self.trouble = f"{self._name} cannot be reached: {error}"
                _log.warning("cannot connect; trying again", to=self._name, error=str(error))
                await asyncio.sleep(RETRY_S)
