"""Expressions of users (JSONPath, regular expressions): what may run, decided before it runs.

A thread cannot be stopped, so an expression that could take long is refused when the monitor is written.
"""

from functools import lru_cache
from typing import Any, Final

import jsonpath_ng.ext
import re2
from jsonpath_ng import jsonpath
from jsonpath_ng.ext import filter as jsonpath_filter

MAX_JSONPATH_LENGTH: Final = 512
MAX_JSONPATH_STEPS: Final = 96
MAX_REGEX_LENGTH: Final = 500
REGEX_MEMORY_BYTES: Final = 1 << 20

_ALLOWED: Final = (
    jsonpath.Root,
    jsonpath.This,
    jsonpath.Child,
    jsonpath.Descendants,
    jsonpath.Fields,
    jsonpath.Index,
    jsonpath.Slice,
    jsonpath.Wildcard,
    jsonpath.Union,
    jsonpath_filter.Filter,
)


class InvalidExpression(ValueError):
    """The expression is malformed or could run away; the message says which part."""


@lru_cache(maxsize=4_096)
def compile_jsonpath(text: str) -> Any:
    """A jsonpath-ng expression with bounded cost. Raises InvalidExpression."""
    if len(text) > MAX_JSONPATH_LENGTH:
        raise InvalidExpression(f"the JSONPath is longer than {MAX_JSONPATH_LENGTH} characters")
    if not text.startswith("$"):
        raise InvalidExpression(f"a JSONPath starts with $, like $.database; got {text!r}")
    for token, name in (("=~", "=~"), ("`", "backtick functions")):
        if token in text:
            raise InvalidExpression(f"{name} is not allowed in a JSONPath here; use the operator `matches`")
    try:
        expression = jsonpath_ng.ext.parse(text)
    except RecursionError:
        raise InvalidExpression("the JSONPath is nested too deep") from None
    except Exception as error:  # jsonpath-ng raises bare Exception, ply errors and more
        raise InvalidExpression(f"not a JSONPath: {error}") from None
    _bound(expression)
    return expression


def _bound(expression: Any) -> None:
    steps = descendants = 0
    pending = [expression]
    while pending:
        node = pending.pop()
        steps += 1
        if type(node) not in _ALLOWED:
            raise InvalidExpression(f"{type(node).__name__.lower()} is not allowed in a JSONPath here")
        if isinstance(node, jsonpath.Descendants):
            descendants += 1
        if isinstance(node, jsonpath_filter.Filter):
            pending.extend(condition.target for condition in node.expressions)
        pending.extend(getattr(node, side) for side in ("left", "right") if hasattr(node, side))
    if steps > MAX_JSONPATH_STEPS:
        raise InvalidExpression(f"the JSONPath has more than {MAX_JSONPATH_STEPS} steps")
    if descendants > 1:
        raise InvalidExpression("a JSONPath may use `..` once")


@lru_cache(maxsize=4_096)
def compile_regex(text: str) -> Any:
    """An RE2 expression: linear in time, bounded in memory. Raises InvalidExpression."""
    if len(text) > MAX_REGEX_LENGTH:
        raise InvalidExpression(f"the regular expression is longer than {MAX_REGEX_LENGTH} characters")
    options = re2.Options()
    options.max_mem = REGEX_MEMORY_BYTES
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise InvalidExpression(f"not a regular expression (RE2): {error}") from None
