"""The public face over HTTP: caching, encodings, custom domains, and what happens while ClickHouse is away."""

import re
import time
from collections.abc import Callable

import pytest
from pydantic import TypeAdapter

from query.asked import Asked
from query.facts import STALE_AFTER_MS
from query.status_document import StatusDocument
from query.uptime import HOUR_MS
from schemas.enums import Reason, Status
from tests.query.filled import Filled, openapi_document

ADDRESSES = (
    "/p/acme",
    "/status/acme",
    "/badges/acme/status.svg",
    "/badges/acme/uptime.json",
    "/badges/acme/api/latency.svg",
)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def filled() -> Filled:
    filled = Filled(public_url="https://pulse.acme.test")
    api = filled.monitor("api")
    filled.page("acme", "api", title="Acme", domains=["status.acme.test"])
    filled.status(api, Status.UP, now_ms())
    filled.up_for_90_days(api, now_ms())
    filled.facts.read_at, filled.facts.trouble = now_ms(), ""
    return filled


@pytest.mark.parametrize("path", ADDRESSES)
def test_an_answer_that_is_known_is_not_sent_again(filled: Filled, path: str) -> None:
    first = filled.get(path)
    again = filled.get(path, headers={"if-none-match": f'"other", W/{first.headers["etag"]}'})

    assert (first.status_code, again.status_code) == (200, 304)
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]
    assert "cache-control" in again.headers
    assert "content-length" not in again.headers


@pytest.mark.parametrize("path", ADDRESSES)
def test_head_tells_what_get_would_without_a_body(filled: Filled, path: str) -> None:
    get, head = filled.get(path), filled.get(path, "HEAD")

    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("identity", None),
        ("gzip;q=0", None),
    ],
)
def test_the_encoding_is_one_that_the_client_accepts(filled: Filled, accept: str, encoding: str | None) -> None:
    answer = filled.get("/status/acme", headers={"accept-encoding": accept})

    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "accept-encoding"


def test_badges_may_be_cached_for_five_minutes_and_data_hardly(filled: Filled) -> None:
    assert "max-age=300" in filled.get("/badges/acme/status.svg").headers["cache-control"]
    assert "max-age=5," in filled.get("/status/acme").headers["cache-control"]
    assert "stale-if-error" in filled.get("/p/acme").headers["cache-control"]


def test_a_badge_that_may_be_wrong_soon_is_not_kept_for_five_minutes(filled: Filled) -> None:
    just_started = Filled()
    just_started.page("acme")
    filled.get("/badges/acme/status.svg")
    filled.facts.trouble = "ClickHouse cannot be read"
    filled.facts.read_at -= STALE_AFTER_MS + 1

    for service in (just_started, filled):
        for path in ("/badges/acme/status.svg", "/badges/acme/uptime.json"):
            assert "max-age=5," in service.get(path).headers["cache-control"]


def test_the_data_may_be_read_by_any_origin_and_the_page_runs_nothing_foreign(filled: Filled) -> None:
    page, status = filled.get("/p/acme"), filled.get("/status/acme")

    assert status.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in page.headers
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


def test_any_origin_may_ask_for_the_data_with_headers_of_its_own_and_for_nothing_else(filled: Filled) -> None:
    asked = {"origin": "https://app.test", "access-control-request-method": "GET"}
    asked["access-control-request-headers"] = "content-type"
    for path in ("/status/acme", "/badges/acme/status.json", "/p/acme/api/v2/summary.json"):
        answer = filled.get(path, "OPTIONS", headers=asked)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-headers"] == "*"
    for path in ("/v1/monitors", "/status/ghost", "/docs"):
        answer = filled.get(path, "OPTIONS", headers=asked)
        assert answer.is_error
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/status/ghost", "/p/ghost/api/v2/summary.json", "/badges/ghost/status.json"])
def test_any_origin_may_read_that_there_is_no_such_page(filled: Filled, path: str) -> None:
    answer = filled.get(path)

    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_custom_domain_shows_its_page_at_the_root_and_nothing_of_the_management(filled: Filled) -> None:
    for host in ("status.acme.test", "STATUS.acme.test:8443", "status.acme.test."):
        assert "<title>All systems operational" in filled.get("/", headers={"host": host}).text
    for path in ("/docs", "/openapi.json", "/metrics", "/v1/monitors", "/readyz"):
        assert filled.get(path, headers={"host": "status.acme.test"}).status_code == 404
    assert filled.get("/docs").status_code == 200


def test_a_custom_domain_has_all_that_is_its_pages_and_nothing_of_another_page(filled: Filled) -> None:
    filled.page("acme-internal", "api")
    own = {"host": "status.acme.test"}
    own_addresses = (*ADDRESSES, "/p/acme/history.atom", "/history.atom", "/p/acme/api/v2/summary.json", "/p/%61cme")
    for path in own_addresses:
        assert filled.get(path, headers=own).status_code == 200, path
    for path in (path.replace("cme", "cme-internal") for path in own_addresses if "cme" in path):
        assert filled.get(path, headers=own).status_code == 404, path
        assert filled.app.reply(b"GET", path.encode(), Asked.by({b"host": b"status.acme.test"})) is None


def test_who_mistypes_an_address_of_a_custom_domain_gets_a_page_that_says_so(filled: Filled) -> None:
    for path in ("/status", "/incidents/abc", "/p/ghost", "/v1/monitors"):
        answer = filled.get(path, headers={"host": "status.acme.test"})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8"), path
        assert "There is no status page here" in answer.text


@pytest.mark.parametrize("host", ["pulse.acme.test", "localhost:8080"])
def test_who_opens_the_installations_own_name_is_led_to_what_it_can_do(host: str) -> None:
    filled = Filled(public_url="https://pulse.acme.test")

    answer = filled.get("/", headers={"host": host})

    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_a_page_under_the_installations_own_name_hides_the_rest_of_it() -> None:
    filled = Filled()
    filled.page("acme", domains=["localhost"])

    assert [filled.get(path, headers={"host": "localhost"}).status_code for path in ("/", "/docs")] == [200, 404]


def test_an_unknown_host_is_not_found_and_not_redirected(filled: Filled) -> None:
    answer = filled.get("/", headers={"host": "evil.test"})

    assert answer.status_code == 404
    assert "location" not in answer.headers
    assert "evil.test" not in answer.text


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_slash_at_the_end_changes_nothing(filled: Filled, path: str) -> None:
    assert filled.get(f"{path}/").content == filled.get(path).content


@pytest.mark.parametrize("path", ["/p/ghost/", "/v1/monitors/", "/docs/", "/healthz/"])
def test_nobody_is_sent_to_an_address_made_of_the_host_that_he_named(filled: Filled, path: str) -> None:
    answer = filled.get(path, headers={"host": "evil.test"})

    assert (answer.status_code, answer.headers.get("location")) == (404, None)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/p/ghost", "/status/ghost", "/v1/monitors"])
def test_head_has_the_status_of_get_where_nothing_is_prepared_too(filled: Filled, path: str) -> None:
    get, head = filled.get(path), filled.get(path, "HEAD")

    assert (head.status_code, head.headers["content-type"]) == (get.status_code, get.headers["content-type"])
    assert head.content == b""


@pytest.mark.parametrize(
    ("path", "status_code"),
    [
        ("/p/ghost", 404),
        ("/status/ghost", 404),
        ("/badges/ghost/status.svg", 404),
        ("/badges/acme/ghost/status.svg", 404),
        ("/badges/acme/latency.svg", 422),
        ("/badges/acme/uptime.svg?window=1y", 422),
        ("/status/acme?v=2", 422),
    ],
)
def test_what_is_mistaken_gets_a_clear_answer(filled: Filled, path: str, status_code: int) -> None:
    assert filled.get(path).status_code == status_code


@pytest.mark.parametrize("path", ["/", "/p/acme", "/p/acme/history.atom"])
def test_a_service_that_has_not_read_which_pages_there_are_does_not_say_that_there_is_none(path: str) -> None:
    starting = Filled()
    starting.catalog.caught_up.clear()

    answer = starting.get(path)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "cannot be shown yet" in answer.text
    assert "renamed or removed" not in answer.text


@pytest.mark.parametrize("path", ["/status/acme", "/p/acme/api/v2/summary.json", "/badges/acme/status.svg"])
def test_nor_does_it_to_programs(path: str) -> None:
    starting = Filled()
    starting.catalog.caught_up.clear()

    answer = starting.get(path)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["detail"] == starting.catalog.trouble


def test_unknown_addresses_and_parameters_leave_nothing_in_memory(filled: Filled) -> None:
    for path in ADDRESSES:
        filled.get(path)
    kept = len(filled.app.answers.snapshots)
    for number in range(50):
        filled.get(f"/p/ghost-{number}")
        filled.get(f"/status/acme?cache-buster={number}")
        filled.get(f"/badges/acme/ghost-{number}/status.svg")
        filled.get(f"/badges/acme/status.svg?window={'7d' if number % 2 else '24h'}&x={number}")

    assert len(filled.app.answers.snapshots) == kept


def test_labels_without_end_push_out_what_is_least_used_and_stay_within_the_bound() -> None:
    filled = Filled(snapshot_bytes=1 << 20)
    filled.page("acme")
    asked = Asked.by({})
    for number in range(2_000):
        answer = filled.app.reply(b"GET", b"/badges/acme/status.svg?label=%d" % number, asked)
        assert filled.app.reply(b"GET", b"/status/acme", asked) is not None
        assert answer is not None
        assert filled.app.answers.snapshots.size_bytes <= 1 << 20

    kept = [filled.app.answers.snapshots.get(b"/badges/acme/status.svg?label=%d" % number) for number in (0, 1_999)]
    assert kept[0] is None
    assert kept[1] is not None
    assert filled.app.answers.snapshots.get(b"/status/acme") is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda filled: filled.status("default/api", Status.DOWN, now_ms(), Reason.TIMEOUT, version=2),
        lambda filled: filled.monitor("api", paused=True),
        lambda filled: filled.page("acme", title="Renamed"),
    ],
)
def test_a_change_shows_in_the_very_next_answer(filled: Filled, change: Callable[[Filled], object]) -> None:
    before = {path: filled.get(path).headers["etag"] for path in ADDRESSES[:3]}
    change(filled)

    assert all(filled.get(path).headers["etag"] != etag for path, etag in before.items())


def test_a_page_hears_of_the_monitors_that_it_names_now_and_of_no_others(filled: Filled) -> None:
    filled.monitor("mail")
    filled.page("acme", "mail")
    before = filled.get("/status/acme").headers["etag"]
    filled.status("default/api", Status.DOWN, now_ms(), Reason.TIMEOUT, version=2)
    unchanged = filled.get("/status/acme").headers["etag"]
    filled.status("default/mail", Status.DOWN, now_ms(), Reason.TIMEOUT)
    after = filled.get("/status/acme").headers["etag"]

    assert before == unchanged != after


def test_without_a_change_the_prepared_answer_is_given(filled: Filled) -> None:
    assert filled.get("/status/acme").json()["generated_at"] == filled.get("/status/acme").json()["generated_at"]


def test_a_deleted_page_is_gone_at_once(filled: Filled) -> None:
    filled.get("/p/acme")
    filled.delete_page("acme")

    assert filled.get("/p/acme").status_code == 404


def test_while_clickhouse_is_away_everything_still_answers_and_says_how_old_it_is(filled: Filled) -> None:
    fresh = [filled.get(path) for path in ADDRESSES]
    filled.facts.trouble = "ClickHouse cannot be read"
    filled.facts.read_at -= STALE_AFTER_MS + 90_000
    stale = [filled.get(path) for path in ADDRESSES]

    assert [answer.status_code for answer in stale] == [200] * len(ADDRESSES)
    assert all("age" not in answer.headers for answer in fresh)
    assert all(int(answer.headers["age"]) >= STALE_AFTER_MS / 1000 + 90 for answer in stale)
    assert stale[1].json()["stale_since"] is not None
    assert "These figures are old" in stale[0].text


def test_a_badge_whose_status_is_old_says_of_when_it_is(filled: Filled) -> None:
    paths = ("/badges/acme/status.json", "/badges/acme/api/status.json")
    fresh = [filled.get(path).json()["message"] for path in paths]
    filled.facts.trouble = "ClickHouse cannot be read"
    filled.facts.read_at = 1_795_000_000_000 - HOUR_MS
    stale = [filled.get(path).json()["message"] for path in paths]

    assert fresh == ["all systems operational", "up"]
    assert stale == [f"{message}, as of 18 Nov, 10:06 UTC" for message in fresh]


def test_a_badge_of_a_monitor_of_which_the_stream_tells_nothing_new_says_of_when_it_is(filled: Filled) -> None:
    mail = filled.monitor("mail")
    filled.page("acme", "api", "mail")
    filled.status(mail, Status.UP, 1_795_000_000_000)
    told = [filled.get(f"/badges/acme/{path}").json()["message"] for path in ("status.json", "mail/status.json")]

    assert told == [f"{message}, as of 18 Nov, 11:06 UTC" for message in ("all systems operational", "up")]
    assert filled.get("/badges/acme/api/status.json").json()["message"] == "up"


def test_an_answer_that_cannot_be_made_again_gives_way_to_the_one_before(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = filled.get("/status/acme")
    monkeypatch.setattr("query.answers.compose", lambda *_: 1 / 0)
    filled.status("default/api", Status.DOWN, now_ms(), Reason.TIMEOUT, version=2)
    after = filled.get("/status/acme")

    assert (after.status_code, after.content) == (200, before.content)
    assert filled.app.answers.failures == 1


def test_assets_are_cached_for_ever_under_an_address_that_names_their_content(filled: Filled) -> None:
    page = filled.get("/p/acme").text
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]

    answer = filled.get(address)

    assert "?" in address
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"] == "text/css; charset=utf-8"


def test_no_browser_asks_for_an_icon_that_is_not_prepared(filled: Filled) -> None:
    page = filled.get("/p/acme").text
    fetched = re.findall(r'<(?:link rel="(?:icon|stylesheet)"|script) (?:href|src)="([^"]*)"', page)

    assert len(fetched) == 3
    for address in fetched:
        assert address == "data:," or filled.app.reply(b"GET", address.encode(), Asked.by({})) is not None


@pytest.mark.parametrize("query", ["", "?0123456789ab"])
def test_an_asset_that_was_asked_for_by_another_release_is_not_kept_as_that_ones(filled: Filled, query: str) -> None:
    answer = filled.get(f"/static/page.css{query}")

    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")


def test_the_openapi_document_describes_the_public_face() -> None:
    document = openapi_document()

    assert document["openapi"].startswith("3.1")
    described = document["paths"]["/status/{slug}"]["get"]["responses"]["200"]["content"]["application/json"]
    assert described["schema"] == {"$ref": "#/components/schemas/StatusDocument"}
    assert {"/p/{slug}", "/badges/{slug}/{badge}.{extension}", "/healthz", "/readyz"} <= document["paths"].keys()


def test_the_status_document_is_what_openapi_says(filled: Filled) -> None:
    TypeAdapter(StatusDocument).validate_json(filled.get("/status/acme").content)


def test_health_says_that_the_process_runs_and_readiness_what_is_missing(filled: Filled) -> None:
    ready = filled.get("/readyz")

    assert filled.get("/healthz").status_code == 200
    assert ready.status_code == 503
    assert ready.json()["missing"].keys() == {"configuration", "kafka", "clickhouse"}


def test_metrics_count_the_answers(filled: Filled) -> None:
    filled.get("/p/acme")

    assert 'pulse_query_public_answers_total{code="200"}' in filled.get("/metrics").text
