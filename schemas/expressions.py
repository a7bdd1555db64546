"""Expressions of users (JSONPath, regular expressions): what may run, decided before it runs.

A thread cannot be stopped, so an expression that could take long is refused when the monitor is written.
"""

from functools import lru_cache
from math import prod
from typing import Any, Final

import jsonpath_ng.ext
import re2
from jsonpath_ng import jsonpath
from jsonpath_ng.ext import filter as jsonpath_filter

MAX_JSONPATH_LENGTH: Final = 512
MAX_JSONPATH_STEPS: Final = 96
MAX_JSONPATH_WIDTH: Final = 64
MAX_REGEX_LENGTH: Final = 500
REGEX_MEMORY_BYTES: Final = 1 << 20

_SINGULAR: Final = (jsonpath.Root, jsonpath.This, jsonpath.Child, jsonpath.Fields, jsonpath.Index)
_ALLOWED: Final = (
    *_SINGULAR,
    jsonpath.Descendants,
    jsonpath.Slice,
    jsonpath.Wildcard,
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
    """Refuse what could take long: many steps, `..` twice, names that multiply, filters that search."""
    nodes = steps_of(expression)
    if len(nodes) > MAX_JSONPATH_STEPS:
        raise InvalidExpression(f"the JSONPath has more than {MAX_JSONPATH_STEPS} steps")
    for node in nodes:
        if type(node) not in _ALLOWED:
            raise InvalidExpression(f"{type(node).__name__.lower()} is not allowed in a JSONPath here")
    if sum(isinstance(node, jsonpath.Root) for node in nodes) > 1:
        raise InvalidExpression("`$` stands at the beginning of a JSONPath and nowhere else")
    if sum(isinstance(node, jsonpath.Descendants) for node in nodes) > 1:
        raise InvalidExpression("a JSONPath may use `..` once")
    if prod(len(getattr(node, "fields", getattr(node, "indices", (0,)))) for node in nodes) > MAX_JSONPATH_WIDTH:
        raise InvalidExpression(f"the JSONPath names more than {MAX_JSONPATH_WIDTH} combinations")


def steps_of(expression: Any) -> list[Any]:
    """The steps of a path, those inside its filters too."""
    nodes, pending = [], [expression]
    while pending:
        node = pending.pop()
        nodes.append(node)
        if isinstance(node, jsonpath_filter.Filter):
            for condition in node.expressions:
                nodes.extend(_condition_nodes(condition))
        elif isinstance(node, jsonpath.Child | jsonpath.Descendants):
            pending += [node.left, node.right]
    return nodes


def _condition_nodes(condition: Any) -> list[Any]:
    """The steps of a filter's condition: at each element it may look at one place, and not at the whole document."""
    if not isinstance(condition, jsonpath_filter.Expression):
        raise InvalidExpression(f"{type(condition).__name__.lower()} is not allowed in a JSONPath's filter here")
    sides = [side for side in (condition.target, condition.value) if isinstance(side, jsonpath.JSONPath)]
    nodes = [node for side in sides for node in steps_of(side)]
    if any(type(node) not in _SINGULAR or isinstance(node, jsonpath.Root) for node in nodes):
        raise InvalidExpression("a JSONPath's filter may only look at names and indices below @")
    return nodes


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
        told = error.args[0].decode("utf-8", "replace")
        raise InvalidExpression(f"not a regular expression (RE2): {told}") from None
