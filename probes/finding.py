"""JSONPath on plain values: what jsonpath-ng parses, found without a node of its own for each value on the way.

While a long answer is searched no other check goes on; those nodes take most of the time.
"""

import operator
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Final, cast

from jsonpath_ng import jsonpath
from jsonpath_ng.ext import filter as jsonpath_filter

from probes.text import clean
from schemas.expressions import compile_jsonpath, steps_of

Finder = Callable[[Any], tuple[list[Any], str]]
"""From a document to the values that match, and where there are none, what is missing."""
_NO_LOOK: Final = (jsonpath.Root, jsonpath.This, jsonpath.Child)
Find = Callable[[Any], list[Any]]
"""From a value to those below it that a part of a path leads to."""


@lru_cache(maxsize=4_096)
def compile_finder(path: str) -> Finder:
    """A finder for a JSONPath. Raises InvalidExpression."""
    expression = compile_jsonpath(path)
    steps = _plain_steps(expression)
    if steps is not None:
        return partial(_walk, steps)
    find, missing = _find(expression), f"nothing matches {path}"
    return lambda document: (find(document), missing)


def looks_of(path: str) -> int:
    """At how many places a finder looks for each value of a document: none where the path only leads somewhere."""
    expression = compile_jsonpath(path)
    if _plain_steps(expression) is not None:
        return 0
    steps = [step for step in steps_of(expression) if type(step) not in _NO_LOOK]
    return sum(len(getattr(step, "fields", getattr(step, "indices", (0,)))) for step in steps)


def _plain_steps(expression: Any) -> tuple[str | int, ...] | None:
    """The names and indices of a path that can match once at most, else None."""
    steps: list[str | int] = []
    while type(expression) is jsonpath.Child:
        step = expression.right
        if type(step) is jsonpath.Fields and len(step.fields) == 1:
            steps.append(step.fields[0])
        elif type(step) is jsonpath.Index and len(step.indices) == 1:
            steps.append(step.indices[0])
        else:
            return None
        expression = expression.left
    return tuple(reversed(steps)) if type(expression) is jsonpath.Root else None


def _walk(steps: tuple[str | int, ...], document: Any) -> tuple[list[Any], str]:
    value = document
    for depth, step in enumerate(steps):
        if not _has(value, step):
            return [], f"{_path(steps[: depth + 1])} is missing"
        value = value[step]
    return [value], ""


def _has(value: Any, step: str | int) -> bool:
    if type(step) is str:
        return type(value) is dict and step in value
    return type(value) is list and -len(value) <= cast(int, step) < len(value)


def _path(steps: tuple[str | int, ...]) -> str:
    return clean("$" + "".join(f"[{step}]" if type(step) is int else f".{step}" for step in steps))


def _find(node: Any) -> Find:
    return _FINDS[type(node)](node)


def _itself(_: Any) -> Find:
    return lambda value: [value]


def _child(node: jsonpath.Child) -> Find:
    left, right = _find(node.left), _find(node.right)
    return lambda value: [found for each in left(value) for found in right(each)]


def _descendants(node: jsonpath.Descendants) -> Find:
    left, right = _find(node.left), _find(node.right)

    def find(value: Any) -> list[Any]:
        found: list[Any] = []
        pending = left(value)[::-1]
        while pending:
            each = pending.pop()
            found += right(each)
            pending += _children(each)[::-1]
        return found

    return find


def _fields(node: jsonpath.Fields) -> Find:
    names = node.fields
    return lambda value: [value[name] for name in names if name in value] if type(value) is dict else []


def _index(node: jsonpath.Index) -> Find:
    indices = node.indices
    return lambda value: [value[index] for index in indices if _has(value, index)]


def _slice(node: jsonpath.Slice) -> Find:
    part = slice(node.start, node.end, node.step)
    return lambda value: value[part] if type(value) is list and part.step != 0 else []


def _filter(node: jsonpath_filter.Filter) -> Find:
    conditions = [_condition(each) for each in node.expressions]
    return lambda value: [each for each in _children(value) if all(holds(each) for holds in conditions)]


def _children(value: Any) -> list[Any]:
    if type(value) is list:
        return value
    return list(value.values()) if type(value) is dict else []


_FINDS: Final[Mapping[type, Callable[[Any], Find]]] = {
    jsonpath.Root: _itself,
    jsonpath.This: _itself,
    jsonpath.Child: _child,
    jsonpath.Descendants: _descendants,
    jsonpath.Fields: _fields,
    jsonpath.Index: _index,
    jsonpath.Slice: _slice,
    jsonpath.Wildcard: lambda _: _children,
    jsonpath_filter.Filter: _filter,
}

Compare = Callable[[Any, Any], bool]


def _condition(condition: jsonpath_filter.Expression) -> Callable[[Any], bool]:
    """RFC 9535: what is missing equals only what is missing, too."""
    target, word, operand = _find(condition.target), condition.op, condition.value
    if word is None:
        return lambda value: bool(target(value))
    if word == "!":
        return lambda value: not target(value)
    compare = _COMPARES[word]
    others = _find(operand) if isinstance(operand, jsonpath.JSONPath) else lambda _: [operand]

    def holds(value: Any) -> bool:
        found, wanted = target(value), others(value)
        if not found or not wanted:
            return compare(bool(found), bool(wanted))
        return any(compare(left, right) for left in found for right in wanted)

    return holds


def _ordered(strictly: Compare, *, or_equal: bool) -> Compare:
    """Numbers and texts have an order; of other values some are equal."""

    def compare(left: Any, right: Any) -> bool:
        kind = json_type(left)
        if kind in ("number", "string") and kind == json_type(right):
            return strictly(left, right)
        return or_equal and json_equal(left, right)

    return compare


def json_type(value: Any) -> str:
    """The JSON name of a value's type."""
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def json_equal(left: Any, right: Any) -> bool:
    """Equality of JSON values: 1 equals 1.0, and true never equals 1, at any depth of `right`."""
    if type(left) is type(right) is str:
        return bool(left == right)
    if json_type(left) != json_type(right):
        return False
    if isinstance(right, list):
        return len(left) == len(right) and all(map(json_equal, left, right))
    if isinstance(right, dict):
        return left.keys() == right.keys() and all(json_equal(left[key], right[key]) for key in right)
    return bool(left == right)


_COMPARES: Final[Mapping[str, Compare]] = {
    "==": json_equal,
    "=": json_equal,
    "!=": lambda left, right: not json_equal(left, right),
    "<": _ordered(operator.lt, or_equal=False),
    ">": _ordered(operator.gt, or_equal=False),
    "<=": _ordered(operator.le, or_equal=True),
    ">=": _ordered(operator.ge, or_equal=True),
}
