"""Results as one file: pieces that fit in memory, whose join is what an independent reader reads."""

import asyncio
import io
import socket
from collections.abc import Iterator

import httpx
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from infra.clickhouse import migrate, open_client
from infra.settings import Settings
from query.analytics import exports
from query.analytics.exports import RESULTS_AT_ONCE, ArrowJoin, CsvJoin, Join, pieces_of
from query.analytics.parquet import ParquetJoin
from query.asgi import Receive, Scope, Send
from query.uptime import DAY_MS
from tests.infra.gateway import Gateway, start
from tests.query.management.live import listening_service
from tests.query.management.service import ADMIN_KEY, Service, running_service, with_service
from tests.query.service import wait_until

SINCE, UNTIL = 100 * DAY_MS + 7, 110 * DAY_MS - 9
SIZES = st.dictionaries(
    st.tuples(st.sampled_from("abcdefgh"), st.integers(100, 109)), st.integers(1, 2 * RESULTS_AT_ONCE), max_size=40
)


@given(SIZES)
def test_every_result_is_in_one_piece_and_no_piece_is_large(sizes: dict[tuple[str, int], int]) -> None:
    ordered = [(monitor, day * DAY_MS, count) for (monitor, day), count in sorted(sizes.items())]

    pieces = list(pieces_of(ordered, SINCE, UNTIL))

    inside = [
        [size for size in ordered if p.first <= size[0] <= p.last and size[1] < p.until and size[1] + DAY_MS > p.since]
        for p in pieces
    ]
    assert [size for each in inside for size in each] == ordered
    for each in inside:
        assert sum(count for *_, count in each) <= RESULTS_AT_ONCE or len(each) == 1
    assert pieces[0].since == SINCE


def joined(join: Join, files: list[bytes]) -> bytes:
    return b"".join([*(join.add(file) for file in files), join.end()])


COLUMNS = {f"column_{place}": pa.array([n * place for n in range(6_001)], pa.uint32()) for place in range(20)}
TABLE = pa.table(COLUMNS | {"text": [f"é{n}" for n in range(6_001)], "flag": [n % 2 == 0 for n in range(6_001)]})
PARTS = [TABLE.slice(0, 1_000), TABLE.slice(1_000, 0), TABLE.slice(1_000, 1), TABLE.slice(1_001)]


@pytest.mark.parametrize("compression", ["none", "zstd", "snappy"])
@pytest.mark.parametrize("page_index", [False, True])
def test_parquet_files_are_joined(compression: str, page_index: bool) -> None:
    files = []
    for each in PARTS * 4:
        file = io.BytesIO()
        pyarrow.parquet.write_table(
            each, file, compression=compression, write_page_index=page_index, row_group_size=2_000
        )
        files.append(file.getvalue())

    read = pyarrow.parquet.ParquetFile(io.BytesIO(joined(ParquetJoin(), files)))

    assert read.metadata.num_rows == 4 * TABLE.num_rows
    assert read.read().equals(pa.concat_tables([TABLE] * 4))


def test_arrow_streams_are_joined() -> None:
    files = []
    for each in PARTS:
        file = io.BytesIO()
        with pyarrow.ipc.new_stream(file, each.schema) as stream:
            stream.write_table(each)
        files.append(file.getvalue())

    read = pyarrow.ipc.open_stream(joined(ArrowJoin(), files)).read_all()

    assert read.equals(TABLE)


def test_lines_are_joined() -> None:
    assert joined(CsvJoin(), [b'"a"\n1\n2\n', b'"a"\n', b'"a"\n3\n']) == b'"a"\n1\n2\n3\n'


def test_an_export_is_refused_where_its_client_could_not_tell_that_it_broke_off() -> None:
    async def scenario(service: Service) -> None:
        async def old(scope: Scope, receive: Receive, send: Send) -> None:
            await service.app(scope | {"http_version": "1.0"}, receive, send)

        headers = service.client.headers
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(old), base_url="http://a", headers=headers
        ) as client:
            answer = await client.get("/v1/analytics/export.csv")
        assert answer.status_code == 505
        assert "proxy_http_version 1.1" in answer.json()["detail"]

    with_service(scenario)


def test_a_client_that_stops_reading_gives_its_place_back_and_gets_no_whole_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    async def sizes(*_: object) -> list[dict[str, object]]:
        return [{"monitor": "default/api", "day": 0, "results": 1}]

    async def piece(*_: object) -> bytes:
        asked.append(1)
        return bytes(32 << 20)

    monkeypatch.setattr("query.protocol.STALLED_S", 0.1)
    monkeypatch.setattr("query.store.rows", sizes)
    monkeypatch.setattr(exports, "_ask", piece)
    wanted = f"GET /v1/analytics/export.csv HTTP/1.1\r\nHost: pulse\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\r\n"
    with listening_service() as (port, _), socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(wanted.encode())
        wait_until(lambda: bool(asked), "the export is made")
        wait_until(lambda: not exports._places._held, "its place is free", within_s=10)
        with client.makefile("rb") as file:
            received = file.read()

    assert received.startswith(b"HTTP/1.1 200 OK")
    assert not received.endswith(b"0\r\n\r\n")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = start(tmp_path_factory.mktemp("exports") / "data")
    yield gateway
    gateway.kill()


MONITORS, RESULTS = 8, 40_000


async def fill(store: AsyncClient) -> None:
    """Each result twice, as the log may deliver it; of seven monitors, and one of another workspace."""
    for _ in range(2):
        await store.command(
            "INSERT INTO check_results (monitor, region, scheduled_at, version, outcome, total_us, message) "
            f"SELECT concat(if(number % {MONITORS}, 'default/m-', 'other/m-'), toString(number % {MONITORS})), "
            f"['eu', 'us'][intDiv(number, {MONITORS}) % 2 + 1], "
            "toDateTime64(today(), 3, 'UTC') - toIntervalSecond(number), 1, "
            f"'up', number, 'é, \"b\"' FROM numbers({MONITORS * RESULTS})"
        )


@pytest.mark.engines
def test_a_long_export_comes_in_pieces_and_is_whole(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(clickhouse=SecretStr(gateway.settings_url()))
    pieces: list[int] = []
    ask = exports._ask

    async def counted(*arguments: object) -> bytes:
        found = await ask(*arguments)  # type: ignore[arg-type]
        pieces.append(len(found))
        return found

    monkeypatch.setattr(exports, "_ask", counted)

    async def run() -> dict[str, bytes]:
        await migrate(settings)
        async with open_client(settings) as store, running_service(clickhouse=settings.clickhouse) as service:
            await fill(store)
            found = {}
            for form in exports.FORMS:
                answer = await service.client.get(f"/v1/analytics/export.{form}")
                assert answer.status_code == 200, answer.text
                assert answer.headers["content-type"].startswith(exports.FORMS[form].media_type)
                found[form] = answer.content
                assert len(pieces) >= MONITORS - 1
                assert max(pieces) < len(answer.content) / 5
                pieces.clear()
            return found

    found = asyncio.run(run())
    expected = gateway.rows(
        "SELECT substring(monitor, 9), region, toUnixTimestamp64Milli(scheduled_at), total_us FROM pulse.check_results "
        "FINAL WHERE startsWith(monitor, 'default/') ORDER BY monitor, scheduled_at, region"
    )
    tables = {
        "csv": pyarrow.csv.read_csv(io.BytesIO(found["csv"])),
        "arrow": pyarrow.ipc.open_stream(found["arrow"]).read_all(),
        "parquet": pyarrow.parquet.read_table(io.BytesIO(found["parquet"])),
    }
    for form, read in tables.items():
        at_ms = read["scheduled_at"].cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
        columns = [read["monitor"], read["region"], at_ms, read["total_us"]]
        rows = [list(map(str, row)) for row in zip(*(column.to_pylist() for column in columns), strict=True)]
        assert rows == expected, form
        assert set(read["outcome"].to_pylist()) == {"up"}
        assert read["message"][0].as_py() == 'é, "b"'
