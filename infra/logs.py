"""Logs: one JSON object a line on stderr; no target data in the message, no request headers anywhere."""

import logging
import os
import sys
from pathlib import Path
from typing import Final

import orjson
import structlog

_TAIL_BYTES: Final = 16 << 10
_LAST_LINE_CHARACTERS: Final = 300
PACKAGES: Final = ("infra", "probes", "query", "schemas", "stream")
"""Ours: they say what they do from the asked level on, libraries only what is wrong."""
LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(service: str, level: str = "info") -> None:
    """Send structlog and the standard library's loggers through one JSON renderer."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(LEVELS[level], logging.WARNING))
    for package in PACKAGES:
        logging.getLogger(package).setLevel(LEVELS[level])
    structlog.contextvars.bind_contextvars(service=service)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines name their module."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger


def last_line(log: Path) -> str:
    """What a program has said last, for people: no frame of a stack trace; of a JSON line, the event and the error."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    told = (line for line in reversed(lines) if line and not line[0].isspace())
    return _readable(next(told, ""))[:_LAST_LINE_CHARACTERS]


def _readable(line: str) -> str:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line
    if not isinstance(entry, dict):
        return line
    parts = (str(entry[name]) for name in ("event", "error", "exception") if entry.get(name))
    return ": ".join(part.strip().splitlines()[-1] for part in parts if part.strip()) or line
