"""Errors as ClickHouse tells them: a code, a text, and the HTTP status that its clients expect."""

import re
from enum import IntEnum
from typing import Final

_CODE: Final = re.compile(r"Code: (\d+)\.")


class Code(IntEnum):
    """ClickHouse's error codes that the gateway itself raises."""

    UNKNOWN_FORMAT = 73
    UNKNOWN_SETTING = 115
    NOT_IMPLEMENTED = 48
    SYNTAX_ERROR = 62
    BAD_ARGUMENTS = 36
    READONLY = 164
    TOO_MANY_SIMULTANEOUS_QUERIES = 202
    CANNOT_DECOMPRESS = 271
    SESSION_NOT_FOUND = 372
    SESSION_IS_LOCKED = 373
    SETTING_CONSTRAINT_VIOLATION = 452
    ACCESS_DENIED = 497
    AUTHENTICATION_FAILED = 516
    UNKNOWN_EXCEPTION = 1002


_STATUS_OF_CODE: Final = {
    27: 400,
    36: 400,
    62: 400,
    46: 404,
    47: 404,
    60: 404,
    81: 404,
    115: 404,
    48: 501,
    159: 408,
    202: 503,
    516: 403,
}


class EngineError(Exception):
    """What the engine or the gateway refused; `code` is ClickHouse's, the text names it at its end."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code."""
        return _STATUS_OF_CODE.get(self.code, 500)


def refusal(code: Code, text: str) -> EngineError:
    """An error of the gateway's own, written as the engine writes its."""
    return EngineError(code, f"Code: {code.value}. DB::Exception: {text} ({code.name})")


def from_engine(text: str) -> EngineError:
    """The engine's exception, its code taken out of its text."""
    text = text.partition(", Stack trace (when copying")[0]
    match = _CODE.search(text)
    return EngineError(int(match[1]) if match else Code.UNKNOWN_EXCEPTION.value, text)
