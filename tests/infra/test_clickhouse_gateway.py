"""The gateway is ClickHouse to clickhouse-connect's clients, sync and async, and to anything that speaks HTTP."""

import asyncio
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

import clickhouse_connect
import cramjam
import httpx
import lz4.frame
import pytest
from clickhouse_connect import dbapi
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData
from clickhouse_connect.driver.summary import QuerySummary

from tests.infra.gateway import CLIENT, Gateway, start

pytestmark = pytest.mark.engines

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HALF_PAST = datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)
LATE_ERROR = "SELECT throwIf(number = 250000) FROM numbers(300000) SETTINGS max_block_size = 1000"
SLOW = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))"


class AnyClient:
    """A sync client, or an async one with the same calls."""

    def __init__(self, kind: str, gateway: Gateway, **options: Any) -> None:
        credentials = {"username": "default", "password": gateway.password} | options
        options = {"host": "127.0.0.1", "port": gateway.port} | credentials
        self._runner = asyncio.Runner() if kind == "async" else None
        if self._runner is None:
            self.client: Any = clickhouse_connect.get_client(**options)
        else:
            self.client = self._runner.run(clickhouse_connect.get_async_client(**options))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)
        return method if self._runner is None else lambda *args, **kwargs: self._run(method, args, kwargs)

    def _run(self, method: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        assert self._runner is not None

        async def call() -> Any:
            result = method(*args, **kwargs)
            return await result if asyncio.iscoroutine(result) else result

        return self._runner.run(call())

    def read(self, stream: Any, most: int | None = None) -> list[Any]:
        """The parts of a stream, or the first of them."""
        parts: list[Any] = []
        if self._runner is None:
            with stream:
                for part in stream:
                    parts.append(part)
                    if len(parts) == most:
                        break
            return parts

        async def read() -> None:
            async with stream:
                async for part in stream:
                    parts.append(part)
                    if len(parts) == most:
                        break

        self._runner.run(read())
        return parts

    def close(self) -> None:
        """Close the client."""
        if self._runner is None:
            self.client.close()
        else:
            self._runner.run(self.client.close())
            self._runner.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = start(tmp_path_factory.mktemp("gateway") / "data")
    yield gateway
    assert gateway.stop() == 0


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(kind: str, gateway: Gateway) -> Iterator[AnyClient]:
    with closing(AnyClient(kind, gateway)) as client:
        yield client


@pytest.fixture
def table(client: AnyClient) -> Iterator[str]:
    client.command("CREATE OR REPLACE TABLE things (key UInt32, name String, at DateTime64(3, 'UTC')) ORDER BY key")
    yield "things"
    client.command("DROP TABLE things")


def test_it_binds_parameters_of_every_kind(client: AnyClient) -> None:
    nasty = "it's \\ a \t tab\nand `more` \x00 空"
    values = {"s": nasty, "n": None, "i": -5, "a": ["x'y", "z"], "f": 1.5}

    result = client.query(
        "SELECT {s:String}, {n:Nullable(String)}, {i:Int32}, {a:Array(String)}, {f:Float64}",
        parameters=values,
    )

    assert result.result_rows == [(nasty, None, -5, ["x'y", "z"], 1.5)]


def test_a_parameter_may_be_an_identifier(client: AnyClient) -> None:
    assert client.command("SELECT count() FROM {t:Identifier}.one", parameters={"t": "system"}) == 1


def test_parameters_may_come_in_a_form(gateway: Gateway, kind: str) -> None:
    with closing(AnyClient(kind, gateway, form_encode_query_params=True)) as client:
        big = "x" * 100_000

        assert client.query("SELECT {s:String}", parameters={"s": big}).result_rows == [(big,)]
        assert client.query("SELECT {i:Int32} AS a LIMIT 0", parameters={"i": 1}).column_names == ("a",)


def test_settings_hold_for_their_query_only(client: AnyClient) -> None:
    read = "SELECT getSetting('max_block_size')"

    assert client.query(read, settings={"max_block_size": 77}).result_rows == [(77,)]
    assert client.query(read).result_rows != [(77,)]


def test_an_unknown_setting_is_an_error(gateway: Gateway) -> None:
    response = gateway.post("SELECT 1", no_such_setting=1)

    assert response.status_code == 404
    assert response.headers["x-clickhouse-exception-code"] == "115"


def test_a_database_holds_for_its_query_only(gateway: Gateway) -> None:
    assert gateway.rows("SELECT currentDatabase()", database="system") == [["system"]]
    assert gateway.rows("SELECT currentDatabase()") == [["default"]]


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT 13;", [(13,)]),
        ("SELECT 13;\u00a0", [(13,)]),
        ("SELECT 13; /* a /* nested; */ comment */ ;", [(13,)]),
        ("SELECT 13 -- FORMAT CSV", [(13,)]),
        ("SELECT 13 // FORMAT CSV", [(13,)]),
        ("SELECT 'a; INSERT INTO x FORMAT CSV' AS s; -- end", [("a; INSERT INTO x FORMAT CSV",)]),
        ("WITH insert AS (SELECT 13 AS n) SELECT * FROM insert", [(13,)]),
        ("WITH 13 AS insert SELECT insert", [(13,)]),
        ("SELECT $$it's; 'quoted'$$", [("it's; 'quoted'",)]),
        ("SELECT\u00a013", [(13,)]),
    ],
)
def test_a_statement_is_read_as_clickhouse_reads_it(client: AnyClient, sql: str, shown: list[tuple[Any]]) -> None:
    assert client.query(sql).result_rows == shown


def test_a_statement_may_hold_bytes_that_are_no_text(client: AnyClient) -> None:
    raw = b"\xff\xfe\x00'"

    assert client.raw_query("SELECT hex($raw$)", parameters={"$raw$": raw}) == b"FFFE0027\n"
    client.command("CREATE OR REPLACE TABLE raw (key String) ORDER BY key")
    client.command("INSERT INTO raw SELECT $raw$", parameters={"$raw$": raw})
    assert client.command("SELECT hex(key) FROM raw") == "FFFE0027"
    with pytest.raises(DatabaseError, match="Code: 395"):
        client.command("SELECT throwIf(1, $raw$)", parameters={"$raw$": raw})


def test_so_may_a_parameter_and_a_query_s_id(gateway: Gateway) -> None:
    response = CLIENT.post(
        f"{gateway.url}/?param_raw=%FF%FE&query_id=%FF",
        content="SELECT hex({raw:String})",
        auth=("default", gateway.password),
    )

    assert response.text == "FFFE\n"
    assert gateway.post(b"KILL QUERY WHERE query_id = '\xff'").status_code == 200


def test_a_parameter_s_name_is_no_way_to_more_sql(gateway: Gateway) -> None:
    name = "param_a%3D1%3BCREATE%20DATABASE%20smuggled%3BSET%20param_b"

    response = CLIENT.post(f"{gateway.url}/?{name}=%FF", content="SELECT 1", auth=("default", gateway.password))

    assert (response.status_code, response.headers["x-clickhouse-exception-code"]) == (400, "36")
    assert gateway.rows("SHOW DATABASES LIKE 'smuggled'") == []


def test_a_command_tells_an_empty_result_from_none(client: AnyClient) -> None:
    assert client.command("SELECT 1 WHERE 0") == ""
    assert not isinstance(client.command("SHOW DICTIONARIES"), QuerySummary)
    assert isinstance(client.command("DROP TABLE IF EXISTS no_such_table"), QuerySummary)
    assert client.command("SELECT 'one', 2") == ["one", "2"]


def test_rows_go_in_and_come_out(client: AnyClient, table: str) -> None:
    summary = client.insert(table, [[1, "a", HALF_PAST], [2, "空", EPOCH]], ["key", "name", "at"])

    assert summary.written_rows == 2
    assert client.query(f"SELECT key, name, toUnixTimestamp64Milli(at) FROM {table} ORDER BY key").result_rows == [
        (1, "a", 1_700_000_000_500),
        (2, "空", 0),
    ]


def test_many_rows_go_in_as_a_stream(client: AnyClient, table: str) -> None:
    names = [f"name {number}" * 10 for number in range(50_000)]

    client.insert(table, [list(range(50_000)), names], ["key", "name"], column_oriented=True)

    assert client.query(f"SELECT count(), uniq(name) > 49000 FROM {table}").result_rows == [(50_000, True)]


@pytest.mark.parametrize(
    ("data_format", "data"),
    [
        ("CSV", b'1,"a"\n2,"b,c"\n'),
        ("TSV", b"1\ta\n2\tb,c\n"),
        ("JSONEachRow", b'{"key":1,"name":"a"}\n\n{"key":2,"name":"b,c"}'),
        ("Values", b"(1, 'a'), (1 + 1, concat('b', ',c'))"),
        ("RowBinary", b"\x01\0\0\0\x01a\x02\0\0\0\x03b,c"),
        ("CustomSeparated", b"1\ta\n2\tb,c\n"),
    ],
)
def test_raw_data_go_in_in_any_format(client: AnyClient, table: str, data_format: str, data: bytes) -> None:
    assert client.raw_insert(table, ["key", "name"], data, fmt=data_format).written_rows == 2

    assert client.query(f"SELECT key, name FROM {table} ORDER BY key").result_rows == [(1, "a"), (2, "b,c")]


def test_data_may_stand_in_the_statement(client: AnyClient, table: str) -> None:
    client.command(f"INSERT INTO {table} (key, name) FORMAT CSV 1,one;\n2,two\n")
    client.query(f"WITH {{k:UInt8}} AS k INSERT INTO {table} (key, name) FORMAT TSV\n3\tthree;\n", parameters={"k": 1})
    client.command(f"INSERT INTO {table} (key, name) VALUES (2 + 2, 'a;b') -- end")

    rows = client.query(f"SELECT key, name FROM {table} ORDER BY key").result_rows
    assert rows == [(1, "one;"), (2, "two"), (3, "three;"), (4, "a;b")]


def test_types_of_every_family_go_in_and_come_out(client: AnyClient) -> None:
    row = {
        "u": (UUID(int=7), "UUID"),
        "v4": (IPv4Address("1.2.3.4"), "IPv4"),
        "v6": (IPv6Address("::1"), "IPv6"),
        "d": (Decimal("1.50000"), "Decimal(38, 5)"),
        "e": ("b", "Enum8('a' = 1, 'b' = 2)"),
        "m": ({"k": [1, 2]}, "Map(String, Array(Int8))"),
        "t": ({"x": 1, "y": "z"}, "Tuple(x Int8, y String)"),
        "l": (None, "LowCardinality(Nullable(String))"),
        "f": (b"abcd", "FixedString(4)"),
        "b": (True, "Bool"),
        "i": (2**200, "Int256"),
        "day": (date(2024, 2, 29), "Date32"),
        "j": ({"a": {"b": 1}}, "JSON"),
        "o": ("text", "Variant(Int32, String)"),
        "y": ("five", "Dynamic"),
    }
    columns = ", ".join(f"{name} {kind}" for name, (_, kind) in row.items())
    client.command(f"CREATE OR REPLACE TABLE families ({columns}) ORDER BY u")

    client.insert("families", [[value for value, _ in row.values()]], list(row))

    (found,) = client.query("SELECT * FROM families").result_rows
    assert dict(zip(row, found, strict=True)) == {name: value for name, (value, _) in row.items()}


def test_python_s_database_interface_works(gateway: Gateway) -> None:
    with closing(
        dbapi.connect(host="127.0.0.1", port=gateway.port, username="default", password=gateway.password)
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT number, toString(number) FROM numbers(2)")

        assert cursor.fetchall() == [(0, "0"), (1, "1")]


@pytest.mark.parametrize("compression", ["gzip", "lz4", "zstd", "deflate", "br"])
def test_bodies_may_be_compressed_both_ways(gateway: Gateway, compression: str) -> None:
    compress = {
        "gzip": gzip.compress,
        "lz4": lz4.frame.compress,
        "zstd": lambda data: bytes(cramjam.zstd.compress(data)),
        "deflate": lambda data: bytes(cramjam.zlib.compress(data)),
        "br": lambda data: bytes(cramjam.brotli.compress(data)),
    }[compression]
    decompress = {
        "gzip": gzip.decompress,
        "lz4": lz4.frame.decompress,
        "zstd": lambda data: bytes(cramjam.zstd.decompress(data)),
        "deflate": lambda data: bytes(cramjam.zlib.decompress(data)),
        "br": lambda data: bytes(cramjam.brotli.decompress(data)),
    }[compression]
    headers = {"Content-Encoding": compression, "Accept-Encoding": compression}

    for rows in (3, 400_000):
        sql = compress(f"SELECT number FROM numbers({rows})".encode())
        with httpx.stream(
            "POST", gateway.url, content=sql, auth=("default", gateway.password), headers=headers, trust_env=False
        ) as response:
            raw = b"".join(response.iter_raw())

        assert response.headers["content-encoding"] == compression
        assert decompress(raw) == b"".join(b"%d\n" % number for number in range(rows))


@pytest.mark.parametrize("compression", ["gzip", "lz4", "zstd", False])
def test_clients_may_compress(gateway: Gateway, kind: str, compression: str | bool) -> None:
    with closing(AnyClient(kind, gateway, compress=compression)) as client:
        client.command("CREATE OR REPLACE TABLE compressed (key UInt32, name String) ORDER BY key")

        client.insert("compressed", [[number, f"name {number}"] for number in range(70_000)], ["key", "name"])
        client.raw_insert("compressed", None, gzip.compress(b"70001,z"), fmt="CSV", compression="gzip")

        assert client.command("SELECT count() FROM compressed") == 70_001
        assert len(client.query("SELECT * FROM compressed").result_rows) == 70_001


def test_a_broken_compressed_body_is_an_error(gateway: Gateway) -> None:
    whole = gzip.compress(b"SELECT 1")

    assert gateway.post(whole[:-9], headers={"Content-Encoding": "gzip"}).status_code == 500
    assert gateway.post(b"SELECT 1", headers={"Content-Encoding": "gzip"}).status_code == 500
    assert gateway.post(b"SELECT 1", headers={"Content-Encoding": "rot13"}).status_code == 501


def test_results_come_as_streams(client: AnyClient) -> None:
    blocks = client.read(client.query_column_block_stream("SELECT number FROM numbers(300000)"))

    assert len(blocks) > 1
    assert sum(sum(block[0]) for block in blocks) == 44999850000
    raw = client.read(client.raw_stream("SELECT number FROM numbers(200000)", fmt="JSONEachRow"))
    assert b"".join(raw).count(b"\n") == 200_000


@pytest.mark.parametrize(
    "output_format", ["JSON", "Parquet", "ArrowStream", "CSVWithNames", "XML", "Pretty", "Markdown"]
)
def test_formats_with_a_frame_come_whole(client: AnyClient, output_format: str) -> None:
    data = client.raw_query("SELECT number FROM numbers(200000)", fmt=output_format)

    assert len(data) > 3000
    if output_format == "JSON":
        assert json.loads(data)["rows"] == 200_000


def test_a_stream_that_nobody_reads_on_is_cancelled(gateway: Gateway) -> None:
    with closing(AnyClient("async", gateway)) as client:
        stream = client.query_row_block_stream("SELECT number, 'endless' FROM system.numbers")

        assert len(client.read(stream, most=2)) == 2

    _wait_until(lambda: _running(gateway, "endless") == 0)


def test_a_late_error_is_told_inside_the_stream(client: AnyClient) -> None:
    with pytest.raises(StreamFailureError, match="Code: 395"):
        client.read(client.query_row_block_stream(LATE_ERROR))
    assert client.command("SELECT 1") == 1


@pytest.mark.parametrize(
    ("sql", "code", "status"),
    [
        ("SELECT * FROM no_such_table", 60, 404),
        ("SELECT * FROM no_such_database.t", 81, 404),
        ("SELECT no_such_column", 47, 404),
        ("SELECT no_such_function(1)", 46, 404),
        ("SELEC 1", 62, 400),
        ("", 62, 400),
        ("SELECT 1; SELECT 2", 62, 400),
        ("SELECT sleep(2) SETTINGS max_execution_time = 1", 159, 408),
        ("SELECT throwIf(1)", 395, 500),
        ("SELECT 1 INTO OUTFILE '/tmp/never'", 497, 500),
        ("SELECT 1 INTO\u00a0/* */ OUTFILE '/tmp/never'", 497, 500),
        ("INSERT INTO t FROM INFILE '/etc/hostname' FORMAT CSV", 497, 500),
        ("SYSTEM SHUTDOWN", 497, 500),
        ("\u00a0/**/system kill", 497, 500),
        ("SELECT 1 PARALLEL WITH SYSTEM SHUTDOWN", 62, 400),
    ],
)
def test_errors_have_clickhouses_codes_and_statuses(gateway: Gateway, sql: str, code: int, status: int) -> None:
    response = gateway.post(sql)

    assert response.headers["x-clickhouse-exception-code"] == str(code), response.text
    assert response.status_code == status
    assert response.text.startswith(f"Code: {code}. DB::Exception: ")
    assert "(version 2" in response.text


def test_clients_know_an_error_by_its_code(client: AnyClient) -> None:
    with pytest.raises(DatabaseError) as error:
        client.query("SELECT * FROM no_such_table")

    assert (error.value.code, error.value.name) == (60, "UNKNOWN_TABLE")


def test_a_session_keeps_temporary_tables_and_settings(gateway: Gateway, kind: str) -> None:
    with closing(AnyClient(kind, gateway, session_id=f"kept-{kind}")) as client:
        client.command("CREATE TEMPORARY TABLE kept (a UInt8)")
        client.command("SET max_block_size = 99")
        client.insert("kept", [[1], [2]], ["a"])

        assert client.command("SELECT sum(a) FROM kept") == 3
        assert client.command("SELECT getSetting('max_block_size')") == 99
    assert gateway.post("SELECT * FROM kept").status_code == 404


def test_in_a_session_a_request_s_database_holds_for_that_request(gateway: Gateway) -> None:
    def current(**params: str) -> str:
        return gateway.post("SELECT currentDatabase()", session_id="moved", **params).text.strip()

    assert (current(), current(database="system"), current()) == ("default", "system", "default")

    assert gateway.post("USE information_schema", session_id="moved").status_code == 200
    assert (current(), current(database="system"), current()) == ("information_schema", "system", "information_schema")


def test_a_session_serves_one_query_at_a_time(gateway: Gateway) -> None:
    slow = threading.Thread(target=gateway.post, args=("SELECT sleep(2), 'in a session'",), kwargs={"session_id": "s"})
    slow.start()
    _wait_until(lambda: _running(gateway, "in a session") == 1)

    response = gateway.post("SELECT 1", session_id="s")

    slow.join()
    assert response.headers["x-clickhouse-exception-code"] == "373"
    assert gateway.post("SELECT 1", session_id="s").text == "1\n"


def test_a_session_is_free_as_soon_as_its_client_has_the_whole_answer(gateway: Gateway, kind: str) -> None:
    numbers = ExternalData(file_name="numbers.csv", data=b"1\n2\n", fmt="CSV", structure="n UInt8")
    with closing(AnyClient(kind, gateway, session_id=f"at-once-{kind}")) as client:
        for _ in range(20):
            assert client.command("SELECT sum(n) FROM numbers", external_data=numbers) == 3
            with pytest.raises(StreamFailureError):
                client.read(client.query_row_block_stream(LATE_ERROR, external_data=numbers))


def test_a_session_ends_when_its_time_is_over(gateway: Gateway) -> None:
    assert gateway.post("SELECT 1", session_id="new", session_check=1).headers["x-clickhouse-exception-code"] == "372"

    gateway.post("CREATE TEMPORARY TABLE short (a UInt8)", session_id="short", session_timeout=0)

    assert gateway.post("SELECT 1", session_id="short", session_check=1).headers["x-clickhouse-exception-code"] == "372"


def test_without_a_session_nothing_stays(gateway: Gateway) -> None:
    for sql in ("SET max_block_size = 55", "USE system", "CREATE TEMPORARY TABLE gone (a UInt8)"):
        assert gateway.post(sql).status_code == 200

    assert gateway.rows("SELECT currentDatabase(), getSetting('max_block_size') = 55") == [["default", "0"]]
    assert gateway.post("SELECT * FROM gone").status_code == 404


def test_files_of_a_request_are_tables_to_its_query_only(client: AnyClient) -> None:
    structure = ["name String", "n UInt8"]
    people = ExternalData(file_name="people.csv", data=b"ann,1\nbob,2\n", fmt="CSV", structure=structure)
    people.add_file(file_name="towns.tsv", data=b"bob\tRome\\n--x\n", fmt="TSV", structure="name String, town String")
    sql = "SELECT name, n + {more:UInt8}, town FROM people LEFT JOIN towns USING name ORDER BY n"

    for _ in range(2):
        result = client.query(sql, parameters={"more": 10}, external_data=people)

        assert result.result_rows == [("ann", 11, ""), ("bob", 12, "Rome\n--x")]
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        client.query("SELECT * FROM people")


def test_a_file_may_give_types_only(client: AnyClient) -> None:
    data = ExternalData(file_name="more.tsv", data=b"bob\t[1,2]\n", types="String,Array(Nullable(UInt8))", fmt="TSV")

    assert client.query("SELECT _1, _2 FROM more", external_data=data).result_rows == [("bob", [1, 2])]


def test_a_query_is_killed_by_its_id(gateway: Gateway) -> None:
    answers: list[httpx.Response] = []
    victim = threading.Thread(target=lambda: answers.append(gateway.post(SLOW, query_id="victim's \\ id")))
    victim.start()
    _wait_until(lambda: _running(gateway, "sipHash64") == 1)

    killed = gateway.post(r"KILL QUERY WHERE query_id = 'victim\'s \\ id' SYNC FORMAT JSON")

    victim.join()
    assert killed.json()["rows"] == 1
    assert answers[0].headers["x-clickhouse-exception-code"] == "394"


def test_a_client_that_goes_takes_its_query_along(gateway: Gateway) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            gateway.url,
            content=SLOW,
            auth=("default", gateway.password),
            params={"cancel_http_readonly_queries_on_client_close": 1},
            timeout=0.5,
            trust_env=False,
        )

    _wait_until(lambda: _running(gateway, "sipHash64") == 0)


def test_an_insert_whose_client_goes_stores_nothing(gateway: Gateway) -> None:
    gateway.post("CREATE OR REPLACE TABLE cut (a UInt32) ORDER BY a")

    def half() -> Iterator[bytes]:
        yield b"INSERT INTO cut FORMAT TSV\n" + b"1\n" * 2_000_000
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        httpx.post(gateway.url, content=half(), auth=("default", gateway.password), trust_env=False)

    _wait_until(lambda: _running(gateway, "INSERT INTO cut") == 0)
    assert gateway.rows("SELECT count() FROM cut") == [["0"]]


def test_answers_carry_clickhouses_headers(gateway: Gateway) -> None:
    response = gateway.post(
        "SELECT number FROM numbers(10)", query_id="mine", default_format="CSV", wait_end_of_query=1
    )

    headers = response.headers
    assert headers["x-clickhouse-query-id"] == "mine"
    assert headers["x-clickhouse-format"] == "CSV"
    assert headers["x-clickhouse-timezone"] == "UTC"
    summary = json.loads(headers["x-clickhouse-summary"])
    assert (summary["read_rows"], summary["result_rows"]) == ("10", "10")
    assert int(summary["elapsed_ns"]) > 0


def test_ping_needs_no_password_and_queries_do(gateway: Gateway) -> None:
    assert httpx.get(f"{gateway.url}/ping", trust_env=False).text == "Ok.\n"
    for wrong in ({}, {"user": "default", "password": "no"}, {"user": "nobody", "password": gateway.password}):
        response = httpx.post(gateway.url, content="SELECT 1", params=wrong, trust_env=False)
        assert (response.status_code, response.headers["x-clickhouse-exception-code"]) == (403, "516")


def test_there_are_three_ways_to_say_who_one_is(gateway: Gateway) -> None:
    password = gateway.password
    for said in (
        {"auth": ("default", password)},
        {"headers": {"X-ClickHouse-User": "default", "X-ClickHouse-Key": password}},
        {"params": {"user": "default", "password": password}},
    ):
        assert httpx.post(gateway.url, content="SELECT 1", trust_env=False, **said).text == "1\n"  # type: ignore[arg-type]


def test_get_reads_and_changes_nothing(gateway: Gateway) -> None:
    def get(sql: str) -> httpx.Response:
        return httpx.get(gateway.url, params={"query": sql}, auth=("default", gateway.password), trust_env=False)

    assert get("SELECT 1").text == "1\n"
    for sql in ("CREATE TABLE never (a UInt8) ORDER BY a", "INSERT INTO never FORMAT CSV", "SYSTEM FLUSH LOGS"):
        assert get(sql).headers["x-clickhouse-exception-code"] == "164"


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE never (a UInt8) ORDER BY a",
        "INSERT INTO things VALUES (1)",
        "INSERT INTO things FORMAT CSV\n1",
        "WITH 1 AS x INSERT INTO things FORMAT CSV\n1",
        "SET readonly = 0",
        "SELECT 1 SETTINGS readonly = 0",
        "KILL QUERY WHERE 1",
        "SYSTEM FLUSH LOGS",
        "DROP DATABASE default",
        "SELECT file('/etc/hostname')",
        "SELECT `file`('/etc/hostname')",
        r'SELECT "\x66ile"(\'/etc/hostname\')',
        "SELECT * APPLY(file) FROM (SELECT '/etc/hostname')",
        "SELECT arrayMap(file, ['/etc/hostname'])",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
        "SELECT * FROM s3('http://127.0.0.1:1/bucket/key', 'CSV', 'a String')",
        "SELECT * FROM remote('127.0.0.1:9000', system.one)",
        "SELECT * FROM executable('id', 'TSV', 'a String')",
        "SELECT * FROM Python(secret)",
        "SELECT * FROM sqlite('/tmp/x.db', 't')",
        "SELECT * FROM filesystem('/etc')",
        "DESCRIBE TABLE file('/etc/hostname', 'CSV')",
        "DESCRIBE TABLE url('http://127.0.0.1:1/', 'CSV')",
        "DESCRIBE TABLE s3('http://127.0.0.1:1/bucket/key', 'CSV')",
        "EXPLAIN SELECT * FROM url('http://127.0.0.1:1/', 'CSV')",
        "SELECT * FROM eval('SELECT file('/etc/hostname')')",
        "SELECT * FROM \"url\" /* */ ('http://127.0.0.1:1/', 'CSV')",
        "SELECT * FROM clusterAllReplicas('default', system.one)",
        "CHECK TABLE url('http://127.0.0.1:1/', 'CSV')",
        "SELECT 1 INTO OUTFILE '/tmp/never'",
    ],
)
def test_a_reader_changes_nothing_and_reaches_nothing_outside(gateway: Gateway, sql: str) -> None:
    response = gateway.post(sql, user="reader")

    assert response.status_code != 200, response.text
    assert response.headers["x-clickhouse-exception-code"] in ("164", "497", "62"), response.text


def test_a_reader_may_make_its_own_queries_smaller(gateway: Gateway) -> None:
    assert gateway.post("SELECT 1", user="reader", max_execution_time=5).text == "1\n"
    assert gateway.post("SELECT 1", user="reader", max_execution_time=0).headers["x-clickhouse-exception-code"] == "452"
    assert gateway.post("SELECT 1", user="reader", max_execution_time=9999).status_code == 500
    assert gateway.post("SELECT 1", user="reader", readonly=0).headers["x-clickhouse-exception-code"] == "164"


def test_a_reader_reads_with_either_client(gateway: Gateway, kind: str) -> None:
    with closing(AnyClient(kind, gateway, username="reader", password=gateway.reader_password)) as client:
        assert client.query("SELECT number FROM numbers(3) WHERE format('{}', 'x') = 'x'").result_rows == [
            (0,),
            (1,),
            (2,),
        ]


def test_many_clients_at_once(gateway: Gateway) -> None:
    async def ask_all() -> list[Any]:
        async with await clickhouse_connect.get_async_client(
            host="127.0.0.1", port=gateway.port, username="default", password=gateway.password
        ) as client:
            queries = [client.query(f"SELECT {number}, getSetting('max_threads')") for number in range(100)]
            small = [
                client.query(f"SELECT {n}, getSetting('max_threads')", settings={"max_threads": 1}) for n in range(50)
            ]
            return [result.result_rows[0] for result in await asyncio.gather(*queries, *small)]

    rows = asyncio.run(ask_all())

    assert [row[0] for row in rows] == [*range(100), *range(50)]
    assert {row[1] for row in rows[100:]} == {1}


def test_memory_has_a_cap(gateway: Gateway) -> None:
    response = gateway.post("SELECT length(groupArray(number)) FROM numbers(400000000)")

    assert response.headers["x-clickhouse-exception-code"] == "241"
    assert gateway.rows("SELECT 1") == [["1"]]


def _running(gateway: Gateway, text: str) -> int:
    literal = "%" + text + "%"
    sql = f"SELECT count() FROM system.processes WHERE query LIKE '{literal}' AND query NOT LIKE '%system.processes%'"
    return int(gateway.rows(sql)[0][0])


def _wait_until(true: Callable[[], bool], limit_s: float = 20) -> None:
    give_up_at = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.02)


@pytest.mark.parametrize("session", [{}, {"session_id": "half-an-answer"}])
@pytest.mark.parametrize(
    "failing",
    ["SELECT number FROM numbers(10001)", "SELECT throwIf(number = 9000) FROM numbers(10000)", LATE_ERROR],
)
def test_what_a_failed_statement_had_answered_is_in_nobody_elses_answer(
    gateway: Gateway, failing: str, session: dict[str, str]
) -> None:
    limits = {"max_result_rows": 10_000, "wait_end_of_query": 1} | session
    for _ in range(3):
        failed = gateway.post(f"{failing}\nFORMAT JSONCompact", **limits)
        answer = gateway.post("SELECT 1\nFORMAT JSONCompact", **limits)

        assert failed.status_code == 500
        assert json.loads(answer.content)["data"] == [[1]]
