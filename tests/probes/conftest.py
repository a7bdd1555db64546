"""The test servers, one set a worker, and processes in which to observe a fetch."""

import multiprocessing
from collections.abc import Callable, Iterator
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
def observed(servers: Servers) -> Observe:
    """`observed(path, server=..., **request)`: fetch in a fresh process, and see what it did to it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.probes.servers.running"])

    def run(path: str, server: str = "http", at_once: int = 1, **options: Any) -> Observed:
        url = parse_url(servers.url(path, server))
        request = Request(**{"method": "GET", "url": url, "timeout_ms": 500} | options)
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=observe, args=(sender, request, servers.ca_file, at_once))
        process.start()
        sender.close()
        try:
            seen: Observed = receiver.recv()
            return seen
        finally:
            receiver.close()
            process.join(timeout=30)

    return run
