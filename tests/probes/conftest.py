"""The test servers, one set a worker, and processes in which to observe a fetch."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from probes.fetch import Request
from schemas.urls import parse_url
from tests.probes.servers.running import Observed, Servers, observe, running_servers

Observe = Callable[..., Observed]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The servers of tests/probes/servers."""
    with running_servers(tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture(scope="session")
def observed(servers: Servers) -> Iterator[Observe]:
    """`observed(path, server=..., **request)`: fetch in a fresh process, and see what it did to it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.probes.servers.running"])
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:

        def run(path: str, server: str = "http", at_once: int = 1, **options: Any) -> Observed:
            request = Request(
                **{"method": "GET", "url": parse_url(servers.url(path, server)), "timeout_ms": 500} | options
            )
            return pool.submit(observe, request, servers.ca_file, at_once).result()

        yield run
