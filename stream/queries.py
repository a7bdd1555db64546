"""The queries of `stream/sql`, by name."""

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> str:
    """The text of `stream/sql/{name}.sql`."""
    return files("stream").joinpath("sql", f"{name}.sql").read_text("utf-8")
