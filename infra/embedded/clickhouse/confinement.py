"""The role `pulse_sql`: SQL of people who are no operators, held to the views `pulse_*` of one database.

The engine in this process knows no grants, so this goes by what a statement spells. What runs is made of the tokens
that were looked at, without comments. In doubt it is refused.
"""

import re
from dataclasses import replace
from typing import Final

from infra.embedded.clickhouse.errors import Code, EngineError, refusal
from infra.embedded.clickhouse.statements import Statement, Token, tokens

ROLE: Final = "pulse_sql"
VIEWS: Final = "pulse_"
"""How the names of the views begin; other tables of the database are inside."""

FIRST_WORDS: Final = frozenset({"SELECT", "WITH", "FROM"})
WORDS_REFUSED: Final = frozenset({b"SETTINGS", b"EXPLAIN", b"INTO", b"OUTFILE"})
SYMBOLS: Final = frozenset(b"()[],.*+-/%=<>!|:?")
"""Not among them: braces (parameters), what ClickHouse takes for quotes beside ' \" and `, and quotes left open."""
TABLE_FUNCTIONS: Final = frozenset(
    {"generate_series", "generateseries", "numbers", "numbers_mt", "values", "zeros", "zeros_mt", "format"}
)
FUNCTIONS_REFUSED: Final = re.compile(
    r"ai(classify|embed|extract|filter|generate|redact|similarity|translate)|dict.*|joinget.*|file|filesystem.*|"
    r"get(clienthttpheader|macro|server.*|mergetreesetting)|hascolumnintable|currentrequesturl|evalmlmethod|"
    r"naivebayes.*|(full)?hostname|serveruuid|showcertificate|globalvariable|sleep.*"
)
"""Functions that read other tables, files, models, or tell of the process; arrayMap(file, ...) only names it."""

_NUMBER: Final = re.compile(rb"[0-9.]+(e[0-9]*)?|0[xb][0-9a-f]+", re.IGNORECASE)
_ESCAPE: Final = re.compile(rb"\\x(?P<hex>[0-9a-fA-F]{2})|\\.|''", re.DOTALL)


def confined(statement: Statement, inside: frozenset[str], table_functions: frozenset[str]) -> Statement:
    """The statement as it may run. Raises EngineError.

    `inside` are all databases, and the tables that are not for everybody, in lower case.
    """
    if statement.first_word not in FIRST_WORDS:
        raise _refused(f"{statement.first_word or 'this'}: only SELECT is allowed")
    text = statement.text.encode("utf-8", "surrogateescape")
    found = list(tokens(text))
    for token in found:
        _check(token, text[token.start : token.end])
    strings = {_content(text[token.start : token.end]) for token in found if token.kind == "string"}
    if hidden := (statement.names | strings) & inside:
        raise _refused(f"{min(hidden)!r} is inside; read the views {VIEWS}*, and choose another alias")
    functions = {name for name in statement.names if FUNCTIONS_REFUSED.fullmatch(name)}
    functions |= statement.calls & (table_functions - TABLE_FUNCTIONS)
    if functions:
        raise _refused(f"the function {min(functions)!r}")
    return replace(statement, text=_joined(text, found).decode("utf-8", "surrogateescape"))


def _check(token: Token, spelled: bytes) -> None:
    odd = (
        token.kind == "heredoc"
        or (token.kind == "symbol" and spelled[0] not in SYMBOLS)
        or (token.kind == "quoted" and b"\\" in spelled)
        or (token.kind == "number" and _NUMBER.fullmatch(spelled) is None)
    )
    if odd or token.word in WORDS_REFUSED:
        raise _refused(repr(spelled.decode("utf-8", "replace")))


def _content(spelled: bytes) -> str:
    """What a string says: ClickHouse takes one for a table's name, too, as in FROM 'incidents'."""
    return _ESCAPE.sub(_unescaped, spelled[1:-1]).decode("utf-8", "replace").lower()


def _unescaped(escape: re.Match[bytes]) -> bytes:
    if escape["hex"]:
        return bytes.fromhex(escape["hex"].decode())
    return b"" if escape[0] == b"\\N" else escape[0][1:]  # ClickHouse takes \N for nothing


def _joined(text: bytes, found: list[Token]) -> bytes:
    """The tokens, with a blank where something stood between two of them."""
    pieces, end = [], 0
    for token in found:
        pieces += [b" " if token.start > end else b"", text[token.start : token.end]]
        end = token.end
    return b"".join(pieces)


def _refused(what: str) -> EngineError:
    return refusal(Code.ACCESS_DENIED, f"{ROLE}: refused: {what}.")
