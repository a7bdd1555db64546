"""What a service's process writes to stderr."""

import subprocess
import sys

import orjson
import pytest

SAYS = """
import logging
from infra.logs import configure_logs, get_logger
configure_logs("stream", {level!r})
for logger in (get_logger("stream.worker"), logging.getLogger("aiokafka")):
    logger.debug("a detail")
    logger.info("something was done")
    logger.warning("something is wrong")
"""


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("debug", ["a detail", "something was done", "something is wrong", "something is wrong"]),
        ("info", ["something was done", "something is wrong", "something is wrong"]),
        ("warning", ["something is wrong", "something is wrong"]),
        ("error", []),
    ],
)
def test_ours_are_told_from_the_asked_level_on_and_libraries_only_what_is_wrong(level: str, told: list[str]) -> None:
    ran = subprocess.run([sys.executable, "-c", SAYS.format(level=level)], capture_output=True, check=True, timeout=60)
    lines = [orjson.loads(line) for line in ran.stderr.splitlines()]
    assert [line["event"] for line in lines] == told
    assert {line["service"] for line in lines} <= {"stream"}
