"""Assertions on a command line: `$.database == "ok"`, `status == 200`, `latency < 500ms`, `body contains ok`."""

import json
import re
from typing import Any, Final

from pydantic import ValidationError

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
_FORM: Final = re.compile(
    r"\s*(?P<subject>\$.*?|status|latency|certificate_days|body|header\s+\S+)"
    r"\s+(?P<operator>==|!=|<=|>=|<|>|=~|matches|contains|in|exists|absent)(?:\s+(?P<operand>.+?))?\s*"
)


EXAMPLE: Final = """'$.database == "ok"' or 'status == 200'"""


class InvalidAssertion(ValueError):
    """The text is not an assertion; the message shows one."""


def parse_assertion(text: str) -> Assertion:
    """The assertion that the text means. Raises InvalidAssertion."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidAssertion(
            f"""not an assertion: {text!r}; write one like '$.database == "ok"' or 'status == 200'"""
        )
    subject, operator, operand = match["subject"], match["operator"], match["operand"] or ""
    try:
        return Assertion.model_validate(_document(subject, operator, operand))
    except (ValidationError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InvalidAssertion(f"not an assertion: {text!r}: {reason}") from None


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
    value = True if operator in ("exists", "absent") else _value(operand)
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
