"""Reads SQL as far as a gateway must: where an INSERT's data begin, the output format, and what to refuse.

The lexer follows ClickHouse's own (comments, strings, heredocs, quoted names); all else is left to the engine.
It works on bytes, since what follows an INSERT may be binary.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import quote

from infra.embedded.clickhouse.errors import Code, refusal

_TOKEN: Final = re.compile(
    rb"""
      (?P<blank>    [\s\x00]+ | --[^\n]* | //[^\n]* | \#[!\ ][^\n]*
                    | \xc2[\x85\xa0] | \xe1\xa0\x8e | \xe2\x80[\x80-\x8d\xa8\xa9\xaf]
                    | \xe2\x81[\x9f\xa0] | \xe3\x80\x80 | \xef\xbb\xbf )
    | (?P<comment>  /\* )
    | (?P<string>   '(?:[^'\\]|\\.|'')*' )
    | (?P<heredoc>  \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<quoted>   `(?:[^`\\]|\\.|``)*` | "(?:[^"\\]|\\.|"")*" )
    | (?P<word>     [A-Za-z_][A-Za-z0-9_$]* )
    | (?P<number>   [0-9][A-Za-z0-9_.]* )
    | (?P<symbol>   . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE: Final = re.compile(rb"/\*|\*/")
_ESCAPED: Final = re.compile(r"(?:\\|'(?='))(.)", re.DOTALL)
_DEPTH: Final = {b"(": 1, b"[": 1, b"{": 1, b")": -1, b"]": -1, b"}": -1}


class Token(NamedTuple):
    """A piece of SQL that means something; `word` is upper case and empty for all but bare words."""

    kind: str
    start: int
    end: int
    word: bytes


def tokens(sql: bytes) -> Iterator[Token]:
    """The tokens of `sql` without blanks and comments."""
    position = 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        assert match is not None, "the last alternative takes any byte"
        kind = match.lastgroup or ""
        if kind == "comment":
            position = _end_of_comment(sql, match.end())
            continue
        if kind != "blank":
            yield Token(kind, position, match.end(), match[0].upper() if kind == "word" else b"")
        position = match.end()


def _end_of_comment(sql: bytes, position: int) -> int:
    depth = 1  # ClickHouse's block comments nest
    for edge in _COMMENT_EDGE.finditer(sql, position):
        depth += 1 if edge[0] == b"/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose data follow it: what to send before them, their format, and where they begin."""

    head: str
    data_format: str
    data_start: int


class NeedsMore(Exception):
    """The text may be an INSERT whose data begin later."""


def find_insert(text: bytes, *, complete: bool) -> Insert | None:
    """The INSERT with data that `text` begins with; None when it is any other statement.

    `complete` says that no more text will come. Raises NeedsMore where that would tell.
    """
    stream = tokens(text) if complete else _closed(tokens(text), text)
    first = next(stream, None)
    if first is None or first.end == len(text):
        _undecided(complete)
        return None
    if first.word == b"WITH" and not _skip_to_insert(stream, text):
        _undecided(complete)
        return None
    if first.word not in (b"INSERT", b"WITH"):
        return None
    for token in _after_table(stream, text):
        if token.word == b"VALUES" and (complete or token.end < len(text)):
            return Insert(_decode(text[: token.start]), "Values", token.end)
        if token.word == b"FORMAT":
            return _with_format(text, token, next(stream, None), complete)
        if token.word in (b"SELECT", b"WITH", b"FROM", b"EXPLAIN"):
            return None
    _undecided(complete)
    return None


def _closed(stream: Iterator[Token], text: bytes) -> Iterator[Token]:
    """The tokens of a text that goes on: a quote that is still open may hide any word. Raises NeedsMore."""
    for token in stream:
        if token.kind == "symbol" and text[token.start : token.end] in (b"'", b'"', b"`", b"$"):
            raise NeedsMore
        yield token


def _skip_to_insert(stream: Iterator[Token], text: bytes) -> bool:
    """Whether `WITH ...` leads to INSERT INTO: outside all brackets, and not as a name."""
    depth = 0
    previous = b""
    for token in stream:
        if token.kind == "symbol":
            depth += _DEPTH.get(text[token.start : token.end], 0)
        if depth == 0 and previous == b"INSERT" and token.word == b"INTO":
            return True
        previous = token.word if depth == 0 else b""
    return False


def _undecided(complete: bool) -> None:
    if not complete:
        raise NeedsMore


def _after_table(stream: Iterator[Token], text: bytes) -> Iterator[Token]:
    """The tokens outside all brackets that follow the table's name, which may be any word."""
    depth = 0
    named = False
    after_dot = False
    for token in stream:
        symbol = text[token.start : token.end] if token.kind == "symbol" else b""
        depth += _DEPTH.get(symbol, 0)
        if depth or symbol in _DEPTH:
            named = True
        elif symbol == b".":
            after_dot = True
        elif not named and not after_dot:
            named = token.word not in (b"INTO", b"TABLE", b"FUNCTION")
        elif after_dot:
            after_dot = False
        else:
            yield token


def _with_format(text: bytes, keyword: Token, name: Token | None, complete: bool) -> Insert | None:
    if name is None or name.end == len(text):
        if not complete:
            raise NeedsMore
        if name is None:
            return None
    start = name.end
    while start < len(text) and text[start] in b" \t\r":
        start += 1
    if start == len(text) and not complete:
        raise NeedsMore
    if text[start : start + 1] == b"\n":
        start += 1
    return Insert(_decode(text[: keyword.start]), _decode(text[name.start : name.end]), start)


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, ready for the engine but for its query id."""

    text: str
    first_word: str
    output_format: str | None
    makes_temporary: bool
    names: frozenset[str]
    """Every word and quoted name in lower case; `?` stands for names with escapes."""
    calls: frozenset[str]
    """Those of them that a bracket follows: functions, and table functions."""

    def marked(self, query_id: str) -> str:
        """The text with the query id in a comment at its end, by which KILL QUERY finds it."""
        return f"{self.text}\n{mark(query_id)}"


def mark(query_id: str) -> str:
    """The comment that carries a query id."""
    return f"/*qid={quote(query_id, safe='', errors='surrogateescape')}*/"


def read_statement(sql: bytes) -> Statement:
    """Refuse what would harm the host or the process, and find the format. Raises EngineError."""
    found = list(tokens(sql))
    while found and sql[found[-1].start : found[-1].end] == b";":
        found.pop()
    if not found:
        raise refusal(Code.SYNTAX_ERROR, "Empty query.")
    words = [token.word for token in found if token.word]
    _refuse_harm(words)
    text = sql[: found[-1].end]
    if words[:1] == [b"KILL"]:
        text = _kill_by_mark(text, found)
    first_word = words[0].decode("ascii") if words else ""
    return Statement(
        text=_decode(text),
        first_word=first_word,
        output_format=_output_format(sql, found),
        makes_temporary=b"TEMPORARY" in words[:4],
        names=frozenset(_name(sql, token) for token in found if token.kind in ("word", "quoted")),
        calls=frozenset(
            _name(sql, token)
            for token, following in itertools.pairwise(found)
            if token.kind in ("word", "quoted") and sql[following.start : following.end] == b"("
        ),
    )


def _name(sql: bytes, token: Token) -> str:
    spelled = sql[token.start : token.end] if token.word else sql[token.start + 1 : token.end - 1]
    return "?" if b"\\" in spelled else _decode(spelled).lower()


def _refuse_harm(words: list[bytes]) -> None:
    for first, second in ((b"INTO", b"OUTFILE"), (b"FROM", b"INFILE")):
        if first in words and second in words[words.index(first) :]:
            raise refusal(Code.ACCESS_DENIED, f"{first.decode()} {second.decode()} is refused: it reaches host files.")
    if words[:1] == [b"SYSTEM"] and {b"SHUTDOWN", b"KILL"} & set(words):
        raise refusal(Code.ACCESS_DENIED, "SYSTEM SHUTDOWN and KILL are refused: send the process SIGTERM instead.")


def _kill_by_mark(text: bytes, found: list[Token]) -> bytes:
    """`query_id = 'x'` becomes a test of the query's mark: the engine gives queries ids of its own."""
    for name, equals, value in zip(found, found[1:], found[2:], strict=False):
        spelled = text[name.start : name.end].strip(b'`"').lower()
        if spelled == b"query_id" and text[equals.start : equals.end] == b"=" and value.kind == "string":
            query_id = _ESCAPED.sub(r"\1", _decode(text[value.start + 1 : value.end - 1]))
            test = f"endsWith(query, '{mark(query_id)}')".encode()
            return text[: name.start] + test + text[value.end :]
    return text


def _output_format(sql: bytes, found: list[Token]) -> str | None:
    depth = 0
    output_format = None
    for token, following in itertools.pairwise(found):
        if token.kind == "symbol":
            depth += _DEPTH.get(sql[token.start : token.end], 0)
        if depth == 0 and token.word == b"FORMAT" and following.word:
            output_format = _decode(sql[following.start : following.end])
    return output_format
