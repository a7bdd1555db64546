"""The lexer finds an INSERT's data, an output format and what must be refused, as ClickHouse's own lexer would."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.embedded.clickhouse.errors import EngineError
from infra.embedded.clickhouse.statements import Insert, NeedsMore, find_insert, mark, read_statement, tokens

NOISE = st.sampled_from(
    [
        b" ",
        b"\n\t ",
        b"/* FORMAT CSV */",
        b"/* a /* nested */ VALUES */",
        b" -- VALUES (1)\n",
        b"# FORMAT x\n",
        b"#! SELECT\n",
        b"// VALUES\n",
        b"\xc2\xa0",
    ]
)
TABLES = st.sampled_from(
    [
        b"t",
        b"values",
        b"format",
        b"db.values",
        b"`FORMAT CSV `",
        b'"a""b".`x``y`',
        b"{name:Identifier}",
        b"TABLE t",
        b"FUNCTION file('VALUES.csv', 'CSV', 'a String')",
    ]
)
COLUMNS = st.sampled_from([b"", b"(a, b)", b'(`VALUES`, "FORMAT")', b"(* EXCEPT(values))"])
SETTINGS = st.sampled_from([b"", b"SETTINGS a = 1, b = 'FORMAT CSV'"])


@given(NOISE, TABLES, COLUMNS, SETTINGS, st.sampled_from(["CSV", "Native", "JSONEachRow"]), st.binary(max_size=40))
def test_data_begin_after_format_and_one_newline(
    noise: bytes, table: bytes, columns: bytes, settings: bytes, data_format: str, data: bytes
) -> None:
    head = noise.join([b"", b"insert", b"INTO", table, columns, settings, b""])

    found = find_insert(head + b"Format " + data_format.encode() + b"  \n" + data, complete=True)

    assert found is not None
    assert found.data_format == data_format
    assert found.head.encode("utf-8", "surrogateescape") == head
    assert found.data_start == len(head) + len("Format ") + len(data_format) + 3


@given(NOISE, TABLES, COLUMNS, st.binary(max_size=40))
def test_data_begin_right_after_values(noise: bytes, table: bytes, columns: bytes, data: bytes) -> None:
    head = noise.join([b"INSERT", b"INTO", table, columns, b""])

    found = find_insert(head + b"VALUES (" + data, complete=True)

    assert found == Insert(head.decode(), "Values", len(head) + len("VALUES"))


@given(TABLES, COLUMNS, st.sampled_from([b"FORMAT CSV\n", b"VALUES "]), st.binary(min_size=1, max_size=20), st.data())
def test_however_the_text_is_cut_the_answer_is_the_same(
    table: bytes, columns: bytes, end: bytes, rows: bytes, draw: st.DataObject
) -> None:
    text = b" ".join([b"INSERT INTO", table, columns, end]) + rows
    cut = draw.draw(st.integers(0, len(text)))

    try:
        early = find_insert(text[:cut], complete=False)
    except NeedsMore:
        return

    assert early == find_insert(text, complete=True)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(text: bytes) -> None:
    found = list(tokens(text))

    assert all(one.end <= other.start for one, other in pairwise(found))
    find_insert(text, complete=True)


@pytest.mark.parametrize(
    "text",
    [
        b"INSERT INTO t SELECT * FROM values",
        b"INSERT INTO t (a) WITH 1 AS x SELECT x",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        b"WITH insert AS (SELECT 'INSERT INTO t VALUES') SELECT * FROM insert",
        b"WITH {INSERT:Int32} AS value SELECT value",
        b"SELECT 'INSERT INTO t VALUES (1)'",
        b"",
    ],
)
def test_other_statements_have_no_data(text: bytes) -> None:
    assert find_insert(text, complete=True) is None


def test_with_may_lead_to_an_insert() -> None:
    found = find_insert(b"WITH 1 AS y INSERT INTO t (s) FORMAT TSV\nvalue;\n", complete=True)

    assert found == Insert("WITH 1 AS y INSERT INTO t (s) ", "TSV", 41)


@pytest.mark.parametrize(
    ("sql", "output_format"),
    [
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"SELECT 1 format JSON SETTINGS max_threads = 1;", "JSON"),
        (b"SELECT * FROM (SELECT 1 FORMAT CSV)", None),
        (b"SELECT 'FORMAT CSV' -- FORMAT JSON", None),
        (b"SELECT 1 AS `FORMAT`", None),
    ],
)
def test_the_output_format_is_the_last_one_outside_brackets(sql: bytes, output_format: str | None) -> None:
    assert read_statement(sql).output_format == output_format


@given(NOISE, NOISE)
def test_harm_is_refused_whatever_stands_between(one: bytes, other: bytes) -> None:
    for words in ([b"SELECT 1 INTO", b"outfile", b"'x'"], [b"INSERT INTO t FROM", b"infile", b"'x'"]):
        with pytest.raises(EngineError, match="497"):
            read_statement(one.join(words) + other)
    for words in ([b"", b"SYSTEM", b"SHUTDOWN"], [b"", b"system", b"kill"]):
        with pytest.raises(EngineError, match="497"):
            read_statement(one.join(words) + other)


def test_what_only_looks_like_harm_is_not() -> None:
    for sql in (
        b"SELECT 'INTO OUTFILE'",
        b"SELECT outfile FROM t",
        b"SELECT 1 -- SYSTEM SHUTDOWN",
        b"SYSTEM FLUSH LOGS",
    ):
        read_statement(sql)


@given(st.text(max_size=30))
def test_a_query_id_cannot_leave_its_comment(query_id: str) -> None:
    comment = mark(query_id)

    assert comment.count("*/") == 1
    assert comment.endswith("*/")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_kill_finds_a_query_by_its_mark(query_id: str) -> None:
    literal = query_id.replace("\\", "\\\\").replace("'", "\\'")

    statement = read_statement(f"KILL QUERY WHERE query_id = '{literal}' ASYNC".encode())

    assert statement.text == f"KILL QUERY WHERE endsWith(query, '{mark(query_id)}') ASYNC"
