"""Who may do what: `default` everything, `reader` only statements that leave no trace, under its own limits."""

import hmac
from typing import Final

from infra.embedded.clickhouse.data_folder import DataFolder
from infra.embedded.clickhouse.errors import Code, refusal
from infra.embedded.clickhouse.request import Request
from infra.embedded.clickhouse.statements import Statement

READER: Final = "reader"
READER_SETTINGS: Final = {"readonly": "1", "max_execution_time": "60", "max_memory_usage": str(256 << 20)}
LIMITS: Final = frozenset(
    {
        "max_execution_time",
        "max_memory_usage",
        "max_result_rows",
        "max_result_bytes",
        "max_rows_to_read",
        "max_bytes_to_read",
    }
)
"""Settings that a reader may give: they only make its own queries smaller."""

NAMES_OUTSIDE: Final = frozenset({"file", "python", "?"})
"""Names that a reader may not use: file() reads host files, Python() this process; an escape may spell either."""


def authenticate(request: Request, folder: DataFolder) -> str:
    """The user's name. Raises EngineError."""
    user, password = request.credentials
    expected = {"default": folder.password, READER: folder.reader_password}.get(user)
    if expected is None or not hmac.compare_digest(password.encode("utf-8", "replace"), expected.encode()):
        raise refusal(
            Code.AUTHENTICATION_FAILED,
            f"{user}: Authentication failed: password is incorrect, or there is no user with such name.",
        )
    return user


def settings_of(user: str, asked: dict[str, str]) -> dict[str, str]:
    """The settings to run with. Raises EngineError for what a reader may not change."""
    if user != READER:
        return asked
    for name, value in asked.items():
        if name not in LIMITS:
            raise refusal(Code.READONLY, f"Cannot modify '{name}' setting in readonly mode.")
        highest = READER_SETTINGS.get(name)
        if not value.isdecimal() or value == "0" or (highest is not None and int(value) > int(highest)):
            allowed = f"from 1 to {highest}" if highest else "from 1"
            raise refusal(Code.SETTING_CONSTRAINT_VIOLATION, f"Setting {name} must be a whole number {allowed}.")
    return READER_SETTINGS | asked


def allow(user: str, method: str, statement: Statement | None, query_class: str, outside: frozenset[str]) -> None:
    """Refuse what the user, or the method GET, may not do; `statement` is None for an INSERT with data.

    `outside` are the table functions that reach hosts or files. Raises EngineError. The engine's readonly=1 is not
    enough for a reader: it lets KILL, SET, the function file() and DESCRIBE of any URL through.
    """
    first_word = statement.first_word if statement is not None else "INSERT"
    reads = query_class in ("READ_ONLY", "UNKNOWN") and first_word not in ("INSERT", "KILL", "SET", "USE")
    if user == READER:
        if not reads or statement is None:
            raise refusal(Code.READONLY, f"{READER}: Cannot execute query in readonly mode.")
        refused = (statement.names & NAMES_OUTSIDE) | (statement.calls & outside)
        if refused:
            raise refusal(Code.ACCESS_DENIED, f"{READER}: `{min(refused)}` is refused: it leads outside the database.")
    elif method == "GET" and not reads and first_word not in ("SET", "USE"):
        raise refusal(
            Code.READONLY, "Cannot execute query in readonly mode: GET implies it; use POST to change things."
        )
