"""Assertions on a command line: `$.database == "ok"`, `status == 200`, `latency < 500ms`, `body contains ok`."""

import json
import re
from typing import Any, Final

from pydantic import ValidationError

from schemas.expressions import InvalidExpression, compile_jsonpath
from schemas.monitors import Assertion

_OPERATORS: Final = {
    "==": "equals",
    "!=": "not_equals",
    "<=": "le",
    ">=": "ge",
    "<": "lt",
    ">": "gt",
    "=~": "matches",
    "matches": "matches",
    "contains": "contains",
    "in": "in",
    "exists": "exists",
    "absent": "absent",
}
_OPERATOR: Final = re.compile(r"\s(==|!=|<=|>=|<|>|=~|matches|contains|in|exists|absent)(?=\s|$)")
_NAMED: Final = re.compile(r"status|latency|certificate_days|body|header\s+\S+")
EXAMPLE: Final = """'$.database == "ok"' or 'status == 200'"""


class InvalidAssertion(ValueError):
    """The text is not an assertion; the message shows one."""


def parse_assertion(text: str) -> Assertion:
    """The assertion that the text means. Raises InvalidAssertion."""
    try:
        return Assertion.model_validate(_document(*_split(text)))
    except ValueError as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InvalidAssertion(f"not an assertion: {text!r}: {reason}; write one like {EXAMPLE}") from None


def _split(text: str) -> tuple[str, str, str]:
    """Subject, operator, operand: at the first operator that has a whole subject before it. Raises ValueError."""
    problem = "there is no operator"
    for match in _OPERATOR.finditer(text):
        subject, operator, operand = text[: match.start()].strip(), match[1], text[match.end() :].strip()
        if _NAMED.fullmatch(subject):
            return subject, operator, operand
        try:
            compile_jsonpath(subject)
        except InvalidExpression as error:
            problem = str(error)
        else:
            return subject, operator, operand
    raise ValueError(problem)


def _document(subject: str, operator: str, operand: str) -> dict[str, Any]:
    if subject == "status":
        _only(operator in ("==", "in"), "status knows == and in, like 'status in 200-299, 404'")
        return {"status": operand.strip("[] ")}
    if subject == "latency":
        _only(operator in ("<", "<="), "latency knows <, like 'latency < 500ms'")
        return {"latency": f"{operand}ms" if operand.isdigit() else operand}
    if subject == "certificate_days":
        _only(operator in (">", ">="), "certificate_days knows >=, like 'certificate_days >= 14'")
        return {"certificate_days": int(operand) + (operator == ">")}
    alone = operator in ("exists", "absent")
    _only(alone == (not operand), f"{operator} {'stands alone' if alone else 'needs a value after it'}")
    value = True if alone else _value(operand)
    document: dict[str, Any] = {_OPERATORS[operator]: value}
    if subject == "body":
        return document | {"body": "text"}
    if subject.startswith("header"):
        return document | {"header": subject.split()[1]}
    return document | {"jsonpath": subject}


def _only(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _value(operand: str) -> Any:
    """JSON, or else the text itself: `== ok` is what people type."""
    try:
        return json.loads(operand)
    except ValueError:
        return operand.strip("'")
