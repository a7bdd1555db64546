"""`pulse apply`, `plan`, `status` and `keys`, against a listening service over a log in memory."""

import asyncio
import json
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from infra.cli import build
from infra.settings import get_settings
from query import store
from query.management.apply import WRITES_AT_ONCE, carry_out, make_plan
from query.management.client import open_service
from query.management.commands import create_key_command
from query.problems import ProblemError, ProblemKind
from schemas.documents import load_document
from schemas.moments import format_moment
from schemas.monitors import Maintenance, Record
from tests.engines import free_ports
from tests.query.management.live import listening_service
from tests.query.management.service import ADMIN_KEY, Service

Pulse = Callable[..., Result]
HOUR_MS = 3_600_000

DOCUMENT = """\
monitors:
  - slug: api
    url: https://api.example.com/health
    interval: 30s
  - slug: web
    url: https://example.com/
pages:
  - slug: acme
    title: Acme
    groups: [{name: API, monitors: [api, web]}]
"""


@pytest.fixture
def listening() -> Iterator[tuple[int, Service]]:
    with listening_service() as found:
        yield found


@pytest.fixture
def service(listening: tuple[int, Service]) -> Service:
    return listening[1]


@pytest.fixture
def pulse(listening: tuple[int, Service], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Pulse]:
    """Run `pulse ...` in a folder with the document as pulse.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PULSE_HTTP", f"127.0.0.1:{listening[0]}")
    monkeypatch.setenv("PULSE_API_KEY", ADMIN_KEY)
    (tmp_path / "pulse.yaml").write_text(DOCUMENT)
    get_settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(build(arguments[0]), arguments)
    get_settings.cache_clear()


def test_apply_makes_the_service_be_as_the_file_says(service: Service, pulse: Pulse) -> None:
    planned = pulse("plan")
    assert planned.exit_code == 1
    assert "+ monitor api" in planned.stdout
    assert "3 to create" in planned.stdout
    assert service.log.all("monitors") == []

    applied = pulse("apply", "--yes")
    assert applied.exit_code == 0, applied.output
    assert set(service.context.catalog.monitors.entries) == {"default/api", "default/web"}
    assert set(service.context.catalog.pages.entries) == {"acme"}

    again = pulse("plan")
    assert again.exit_code == 0
    assert "3 unchanged" in again.stdout


def test_a_changed_field_is_shown_with_both_values(service: Service, pulse: Pulse) -> None:
    pulse("apply", "--yes")
    Path("pulse.yaml").write_text(DOCUMENT.replace("interval: 30s", "interval: 1m\n    timeout: 5s"))
    planned = pulse("plan")
    assert '~ monitor api\n    interval: "30s" → "1m"\n    timeout: default → "5s"' in planned.stdout
    assert pulse("apply").exit_code == 0
    entry = service.context.catalog.monitor("default/api")
    assert entry is not None
    assert entry.document.interval_ms == 60_000


def test_a_number_that_becomes_a_boolean_is_a_change(service: Service, pulse: Pulse) -> None:
    document = DOCUMENT.replace("pages:", "    json: {dry: 1}\n    method: POST\npages:")
    Path("pulse.yaml").write_text(document)
    pulse("apply", "--yes")
    Path("pulse.yaml").write_text(document.replace("dry: 1", "dry: true"))
    assert 'json: {"dry": 1} → {"dry": true}' in pulse("plan").stdout


def test_of_long_values_what_differs_is_shown(service: Service, pulse: Pulse) -> None:
    written = [f"{{jsonpath: $.component_{n}, equals: ok}}" for n in range(5)]
    document = DOCUMENT.replace("pages:", f"    assertions: [{', '.join(written)}]\npages:")
    Path("pulse.yaml").write_text(document)
    pulse("apply", "--yes")
    Path("pulse.yaml").write_text(document.replace("component_3, equals: ok", "component_3, equals: fine"))
    planned = pulse("plan").stdout
    before, after = planned.partition("assertions: ")[2].splitlines()[0].split(" → ")
    assert '"$.component_3", "equals": "ok"' in before
    assert '"$.component_3", "equals": "fine"' in after


def test_what_is_only_on_the_service_goes_with_prune_alone(service: Service, pulse: Pulse) -> None:
    pulse("apply", "--yes")
    Path("pulse.yaml").write_text("monitors: [{slug: api, url: 'https://api.example.com/health', interval: 30s}]")
    kept = pulse("plan")
    assert kept.exit_code == 0
    assert "2 on the service are not in the file" in kept.stdout
    pruned = pulse("apply", "--yes", "--prune")
    assert pruned.exit_code == 0, pruned.output
    assert "- page acme\n- monitor web" in pruned.stdout
    assert set(service.context.catalog.monitors.entries) == {"default/api"}
    assert service.context.catalog.pages.entries == {}


def maintenance_in_file(slug: str, begins_in_ms: int) -> str:
    begin = time.time_ns() // 1_000_000 + begins_in_ms
    times = f"starts_at: {format_moment(begin)}, ends_at: {format_moment(begin + HOUR_MS)}"
    return f"  - {{slug: {slug}, title: Upgrade, monitors: [api], {times}}}\n"


def test_a_maintenance_of_the_file_is_announced_changed_and_kept(service: Service, pulse: Pulse) -> None:
    Path("pulse.yaml").write_text(DOCUMENT + "maintenances:\n" + maintenance_in_file("upgrade", HOUR_MS))
    assert pulse("apply", "--yes").exit_code == 0
    assert set(service.context.catalog.maintenances.entries) == {"default/upgrade"}
    assert pulse("plan").exit_code == 0
    Path("pulse.yaml").write_text(DOCUMENT + "maintenances:\n" + maintenance_in_file("upgrade", 2 * HOUR_MS))
    planned = pulse("plan")
    assert "~ maintenance upgrade\n    starts_at: " in planned.stdout
    assert planned.exit_code == 1


def test_a_maintenance_that_is_over_is_left_as_it_is(service: Service, pulse: Pulse) -> None:
    over = maintenance_in_file("old", -3 * HOUR_MS) + maintenance_in_file("ended-early", -HOUR_MS // 2)
    Path("pulse.yaml").write_text(DOCUMENT + "maintenances:\n" + over)
    tell_maintenance(service, "ended-early", -HOUR_MS // 2, HOUR_MS // 4)
    assert pulse("apply", "--yes").exit_code == 0
    assert pulse("plan").exit_code == 0
    assert len(service.log.all("maintenances")) == 1


def test_pruning_takes_only_maintenances_that_have_not_begun(service: Service, pulse: Pulse) -> None:
    pulse("apply", "--yes")
    for slug, begins_in_ms in (("was", -3 * HOUR_MS), ("is", -1_000), ("comes", HOUR_MS)):
        tell_maintenance(service, slug, begins_in_ms, HOUR_MS)
    assert pulse("plan", "--prune").exit_code == 0, "the file says nothing of maintenances"
    Path("pulse.yaml").write_text(DOCUMENT + "maintenances: []\n")
    assert "1 on the service are not in the file" in pulse("plan").stdout
    pruned = pulse("apply", "--yes", "--prune")
    assert "- maintenance comes" in pruned.stdout
    assert set(service.context.catalog.maintenances.entries) == {"default/was", "default/is"}


def tell_maintenance(service: Service, slug: str, begins_in_ms: int, lasts_ms: int) -> None:
    begin = time.time_ns() // 1_000_000 + begins_in_ms
    times = {"starts_at": format_moment(begin), "ends_at": format_moment(begin + lasts_ms)}
    document = Maintenance.model_validate({"slug": slug, "title": "Upgrade", "monitors": ["api"], **times})
    record = Record[Maintenance](workspace="default", by="ada", at=1, document=document)
    asyncio.run(service.log.send("maintenances", record.to_log(), f"default/{slug}".encode(), 0))


def test_a_maintenance_is_started_planned_listed_and_ended_from_the_shell(service: Service, pulse: Pulse) -> None:
    pulse("apply", "--yes")
    started = pulse("maintenance", "start", "--monitor", "api", "--for", "30m", "--title", "Database upgrade!")
    assert started.exit_code == 0, started.output
    running = started.stdout.strip()
    assert running.startswith("database-upgrade-")
    planned = ("maintenance", "plan", "--monitor", "web", "--at", "2090-12-01T02:00Z", "--for", "2h", "--title", "Move")
    assert pulse(*planned).stdout == "move-20901201-0200\n"
    assert pulse(*planned, "--monitor", "api").exit_code == 1, "there is another one already"

    listed = json.loads(pulse("maintenance", "list", "--json").stdout)["maintenances"]
    assert [(each["slug"], each["state"]) for each in listed] == [
        ("move-20901201-0200", "upcoming"),
        (running, "active"),
    ]
    assert "active" in pulse("maintenance", "list").stdout

    assert "has ended" in pulse("maintenance", "end", running).stderr
    assert "is cancelled" in pulse("maintenance", "end", "move-20901201-0200").stderr
    for slug in (running, "move-20901201-0200", "nothing"):
        assert pulse("maintenance", "end", slug).exit_code == 1


def test_a_maintenance_that_is_written_wrong_is_refused_before_it_is_sent(service: Service, pulse: Pulse) -> None:
    common = ("--monitor", "api", "--title", "x")
    for wrong in (("start", "--for", "half an hour"), ("plan", "--for", "1h", "--at", "tomorrow")):
        told = pulse("maintenance", *wrong, *common)
        assert told.exit_code == 2
        assert "write" in told.stderr
    assert service.log.all("maintenances") == []


def test_every_error_of_the_file_is_told_with_its_line(service: Service, pulse: Pulse) -> None:
    Path("pulse.yaml").write_text(DOCUMENT.replace("interval: 30s", "intervall: 30s").replace("https://ex", "ftp://ex"))
    told = pulse("apply", "--yes")
    assert told.exit_code == 2
    assert "pulse.yaml:4:5: monitors[0].intervall: unknown field; did you mean interval?" in told.stderr
    assert "pulse.yaml:6:5: monitors[1].url: write http://" in told.stderr
    assert service.log.all("monitors") == []


def test_what_the_service_refuses_is_told_with_its_line_and_what_was_made(service: Service, pulse: Pulse) -> None:
    Path("pulse.yaml").write_text(DOCUMENT + "maintenances:\n" + maintenance_in_file("late", -HOUR_MS // 2))
    told = pulse("apply", "--yes", "--json")
    assert told.exit_code == 1
    assert "pulse.yaml:12:51: maintenances[0].starts_at: this is past: it can start now" in told.stderr
    assert "3 of 4 changes were made" in told.stderr
    answer = json.loads(told.stdout)
    assert (answer["applied"], answer["made"]) == (False, 3)


def test_a_monitor_that_will_not_be_there_is_told_before_anything_is_made(service: Service, pulse: Pulse) -> None:
    maintenance = "maintenances:\n" + maintenance_in_file("upgrade", HOUR_MS).replace("[api]", "[api, gone]")
    Path("pulse.yaml").write_text(DOCUMENT.replace("[api, web]", "[api, nothing]") + maintenance)
    for command in (["plan"], ["apply", "--yes"]):
        told = pulse(*command)
        assert told.exit_code == 2
        assert "pulse.yaml:10:42: pages[0].groups[0].monitors[1]: there is no monitor nothing\n" in told.stderr
        assert "maintenances[0].monitors[1]: there is no monitor gone\n" in told.stderr
    assert service.log.all("monitors") == []


def test_a_monitor_that_pruning_would_take_from_a_page_is_told_first(service: Service, pulse: Pulse) -> None:
    pulse("apply", "--yes")
    Path("pulse.yaml").write_text(DOCUMENT.replace("  - slug: web\n    url: https://example.com/\n", ""))
    assert pulse("plan").exit_code == 0
    told = pulse("plan", "--prune")
    assert told.exit_code == 2
    assert "pages[0].groups[0].monitors[1]: the monitor web is not in the file, so that --prune" in told.stderr


def pages_in_file(**domains: str) -> str:
    pages = [f"  - {{slug: {slug}, domains: [{named}], groups: []}}\n" for slug, named in domains.items()]
    return "pages:\n" + "".join(pages)


def test_a_domain_moves_with_a_page_that_is_renamed_and_between_pages(service: Service, pulse: Pulse) -> None:
    catalog = service.context.catalog
    for pages, owner in (
        (pages_in_file(acme="status.acme.dev"), "acme"),
        (pages_in_file(old="", renamed="status.acme.dev"), "renamed"),
        (pages_in_file(old="status.acme.dev", renamed=""), "old"),
        (pages_in_file(new="status.acme.dev", old="other.acme.dev"), "new"),
    ):
        Path("pulse.yaml").write_text(pages)
        applied = pulse("apply", "--yes", "--prune")
        assert applied.exit_code == 0, applied.output
        entry = catalog.page_of_domain("status.acme.dev")
        assert entry is not None
        assert entry.id == owner


def test_a_missing_file_is_named(service: Service, pulse: Pulse) -> None:
    told = pulse("apply", "-f", "nothing.yaml")
    assert told.exit_code == 2
    assert "nothing.yaml cannot be read: No such file or directory" in told.stderr


def test_the_plan_as_json_is_all_that_stdout_has(service: Service, pulse: Pulse) -> None:
    planned = json.loads(pulse("plan", "--json").stdout)
    assert [change["action"] for change in planned["changes"]] == ["create"] * 3
    applied = json.loads(pulse("apply", "--yes", "--json").stdout)
    assert (applied["create"], applied["applied"]) == (3, True)
    assert json.loads(pulse("apply", "--yes", "--json").stdout)["keep"] == 3


def asked(listening: tuple[int, Service], path: str) -> Any:
    """What the service answers to a client of its own."""
    url = f"http://127.0.0.1:{listening[0]}{path}"
    return httpx.get(url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, trust_env=False).json()


def test_status_and_keys_print_what_the_api_answers(listening: tuple[int, Service], pulse: Pulse) -> None:
    pulse("apply", "--yes")
    shown = pulse("status", "--json")
    assert shown.exit_code == 1, "a monitor without results is unknown, and unknown is not fine"
    monitors = json.loads(shown.stdout)["monitors"]
    assert monitors == asked(listening, "/v1/monitors")["monitors"]
    assert json.loads(pulse("keys", "list", "--json").stdout) == asked(listening, "/v1/keys")
    assert [(monitor["slug"], monitor["status"]) for monitor in monitors] == [("api", "unknown"), ("web", "unknown")]
    assert "unknown" in pulse("status").stdout


def test_a_paused_monitor_is_no_trouble(service: Service, pulse: Pulse) -> None:
    Path("pulse.yaml").write_text("monitors: [{slug: api, url: 'https://api.example.com/', paused: true}]")
    pulse("apply", "--yes")
    assert pulse("status").exit_code == 0


def test_a_key_is_made_listed_used_and_revoked(service: Service, pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    made = json.loads(pulse("keys", "create", "--name", "ci", "--scope", "read", "--expires", "90d", "--json").stdout)
    listed = pulse("keys", "list")
    assert made["id"] in listed.stdout
    assert made["key"] not in listed.stdout

    monkeypatch.setenv("PULSE_API_KEY", made["key"])
    get_settings.cache_clear()
    assert pulse("status").exit_code == 0
    refused = pulse("apply", "--yes")
    assert refused.exit_code == 2
    assert "scope `write`" in refused.stderr

    monkeypatch.setenv("PULSE_API_KEY", ADMIN_KEY)
    get_settings.cache_clear()
    assert pulse("keys", "revoke", made["id"]).exit_code == 0
    assert pulse("keys", "revoke", made["id"]).exit_code == 1


def test_in_another_folder_than_pulse_up_it_says_where_the_key_is(
    pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULSE_API_KEY")

    refused = pulse("apply", "--yes")

    assert refused.exit_code == 2
    assert "set PULSE_DATA to its data folder" in refused.stderr


@pytest.mark.parametrize(
    "words",
    ["keys revoke ../monitors/api", "maintenance end ../monitors/api", "corrections -m api/..", "corrections -m ''"],
)
def test_what_is_no_slug_and_no_id_leads_to_no_other_address(service: Service, pulse: Pulse, words: str) -> None:
    pulse("apply", "--yes")
    told = pulse(*shlex.split(words))
    assert told.exit_code == 2
    assert "hyphens" in told.stderr
    assert len(service.log.all("monitors")) == 2


def test_of_two_pipelines_that_apply_one_file_at_once_both_are_fine(service: Service, pulse: Pulse) -> None:
    async def twice(document: str) -> list[tuple[int, list[Any]]]:
        Path("pulse.yaml").write_text(document)
        wanted = load_document(Path("pulse.yaml"))
        async with open_service(get_settings()) as one, open_service(get_settings()) as other:
            plans = [await make_plan(each, wanted, Path("pulse.yaml"), prune=True) for each in (one, other)]
            outcomes = [await carry_out(each, plan) for each, plan in zip((one, other), plans, strict=True)]
        return [(outcome.made, outcome.refused) for outcome in outcomes]

    assert asyncio.run(twice(DOCUMENT)) == [(3, [])] * 2
    assert asyncio.run(twice(DOCUMENT.replace("30s", "40s"))) == [(1, [])] * 2
    assert asyncio.run(twice("monitors: []")) == [(3, [])] * 2
    assert service.context.catalog.monitors.entries == {}


def test_a_file_that_was_cut_short_to_nothing_prunes_nothing(service: Service, pulse: Pulse) -> None:
    pulse("apply", "--yes")
    Path("pulse.yaml").write_text("")
    told = pulse("apply", "--yes", "--prune")
    assert told.exit_code == 2
    assert "write `monitors: []`" in told.stderr
    Path("pulse.yaml").write_text("monitors: []")
    assert pulse("apply", "--yes", "--prune").exit_code == 0
    assert service.context.catalog.monitors.entries == {}


def test_a_key_that_is_printed_for_people_is_alone_on_stdout(service: Service, pulse: Pulse) -> None:
    made = pulse("keys", "create", "--scope", "push")
    assert made.stdout.startswith("pulse_")
    assert made.stdout.count("\n") == 1


def test_the_key_of_the_example_applies_a_document(pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    example = (create_key_command.__doc__ or "").partition("Example: pulse ")[2]
    made = pulse(*example.split(), "--json")
    monkeypatch.setenv("PULSE_API_KEY", json.loads(made.stdout)["key"])
    get_settings.cache_clear()
    assert pulse("apply", "--yes").exit_code == 0


def test_a_key_is_revoked_by_its_text_which_is_not_repeated(service: Service, pulse: Pulse) -> None:
    key = pulse("keys", "create", "--scope", "push").stdout.strip()
    revoked = pulse("keys", "revoke", key)
    assert revoked.exit_code == 0
    assert service.context.catalog.keys.entries == {}
    assert key.rpartition("_")[2] not in revoked.output


def test_where_there_is_no_terminal_an_answer_is_as_wide_as_it_must_be(pulse: Pulse) -> None:
    pulse("apply", "--yes")
    begin = ("--at", "2090-12-01T02:00Z", "--for", "2h", "--monitor", "api", "--monitor", "web")
    slug = pulse("maintenance", "plan", *begin, "--title", "Everything moves to the other data centre").stdout.strip()
    assert slug in pulse("maintenance", "list").stdout


@contextmanager
def something_else(status: int, **headers: str) -> Iterator[int]:
    """What answers everything with this, and its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (200, {"content-type": "text/html"}, "what answers there is not PulseAPI: HTTP 200"),
        (404, {"content-type": "text/html"}, "what answers there is not PulseAPI: HTTP 404"),
        (301, {"location": "https://pulse.example.com/"}, "it sends on to https://pulse.example.com/"),
    ],
)
def test_what_is_not_the_service_is_told_apart(
    pulse: Pulse, monkeypatch: pytest.MonkeyPatch, status: int, headers: dict[str, str], told: str
) -> None:
    with something_else(status, **headers) as port:
        monkeypatch.setenv("PULSE_HTTP", f"127.0.0.1:{port}")
        get_settings.cache_clear()
        asked_it = pulse("status")
    assert asked_it.exit_code == 3
    assert told in asked_it.stderr


def test_without_a_service_the_command_says_what_to_do(pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("PULSE_HTTP", f"127.0.0.1:{port}")
    get_settings.cache_clear()
    for command in (["apply", "--yes"], ["plan"], ["status"], ["incidents"], ["keys", "list"]):
        told = pulse(*command)
        assert told.exit_code == 3
        assert "`pulse up`" in told.stderr


MANY = "monitors:\n" + "".join(f"  - {{slug: api-{n}, url: 'http://a/{n}'}}\n" for n in range(4 * WRITES_AT_ONCE))


def test_without_kafka_the_command_says_so_and_sends_nothing_more(service: Service, pulse: Pulse) -> None:
    service.log.away = True
    Path("pulse.yaml").write_text(MANY)
    told = pulse("apply", "--yes")
    assert told.exit_code == 3
    assert 1 <= told.stderr.count("Kafka did not acknowledge") <= WRITES_AT_ONCE
    assert f"0 of {4 * WRITES_AT_ONCE} changes were made" in told.stderr


def test_with_a_key_that_may_not_write_little_is_tried(pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_API_KEY", pulse("keys", "create", "--scope", "read").stdout.strip())
    get_settings.cache_clear()
    Path("pulse.yaml").write_text(MANY)
    told = pulse("apply", "--yes")
    assert told.exit_code == 2
    assert 1 <= told.stderr.count("scope `write`") <= WRITES_AT_ONCE


def test_while_the_engines_are_away_the_monitors_are_shown_and_what_is_away(service: Service, pulse: Pulse) -> None:
    pulse("apply", "--yes")
    shown = pulse("status", "--json")
    answer = json.loads(shown.stdout)
    assert [monitor["slug"] for monitor in answer["monitors"]] == ["api", "web"]
    assert answer["system"]["dead_letters"] is None
    told = pulse("status").stderr
    assert "Kafka does not answer" in told
    assert "ClickHouse" in told


def test_a_store_that_is_away_for_a_moment_does_not_make_an_order_look_refused(
    service: Service, pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = '{"incidents": [], "spans_ms": [0, 0, 0, 0, 0, 0]}'
    told = {"kind": "annul", "by": "admin", "reason": "r", "region": "", "policy": "{}", "undoes": "", "done": True}
    done = {"ordered": 0, "begin": 0, "end": 0, "before": state, "after": state}
    answers = [ProblemError(ProblemKind.STORE_AWAY, "it is restarted"), [told | done | {"id": "a1"}]]

    async def rows(*_: Any) -> list[dict[str, Any]]:
        answer = answers.pop(0)
        if isinstance(answer, ProblemError):
            raise answer
        return answer

    monkeypatch.setattr(store, "rows", rows)
    pulse("apply", "--yes")

    annulled = pulse("annul", "--monitor", "api", "--from", "2h", "--to", "1h", "--reason", "our firewall")

    assert annulled.exit_code == 0, annulled.output
    assert len(service.log.all("check-results")) == 1
