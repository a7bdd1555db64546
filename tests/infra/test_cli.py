"""Every subcommand of `pulse`: it explains itself, and its exit code says what is wrong."""

import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from typer.main import get_command

from infra import cli
from infra import commands as commands_of_infra
from infra.kafka import PartitionsDiffer, TopicNotConfigured, TopicNotCreated
from infra.settings import Settings, get_settings
from tests.engines import free_ports

SERVICES = {"up", "probe", "stream", "query"}
LOCAL = {"settings", "schemas", "check"}
PULSE: Any = get_command(cli.build())


def commands(group: Any = PULSE, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command and group below `pulse`, by its words."""
    for name, command in group.commands.items():
        words = f"{path} {name}".strip()
        yield words, command
        if hasattr(command, "commands"):
            yield from commands(command, words)


ALL = dict(commands())
LEAVES = [words for words, command in ALL.items() if not hasattr(command, "commands")]


def pulse(words: str, *more: str) -> Result:
    """`pulse` with these words, in this process."""
    return CliRunner().invoke(PULSE, [*words.split(), *more])


def example_of(words: str) -> list[str]:
    """The example in a command's help, as a shell would read it, without the settings before it."""
    told = shlex.split((ALL[words].help or "").partition("Example: ")[2])
    return list(dropwhile(lambda word: "=" in word, told))


@pytest.fixture
def nobody_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Settings that name engines and a service that are not there, and an empty document."""
    (port,) = free_ports(1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pulse.yaml").write_text("monitors: []\n")
    monkeypatch.setenv("PULSE_KAFKA", f"127.0.0.1:{port}")
    monkeypatch.setenv("PULSE_CLICKHOUSE", f"http://127.0.0.1:{port}/pulse")
    monkeypatch.setenv("PULSE_HTTP", f"127.0.0.1:{port}")
    monkeypatch.setenv("PULSE_DEMO_PORT", str(port))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.mark.parametrize("words", ALL)
def test_the_help_of_a_command_has_an_example_of_it(words: str) -> None:
    shown = pulse(words, "--help")

    assert shown.exit_code == 0
    assert " ".join(example_of(words)).startswith(f"pulse {words}")


@pytest.mark.parametrize("words", ALL)
def test_an_unknown_option_is_wrong_use(words: str) -> None:
    assert pulse(words, "--no-such-option").exit_code == 2


@pytest.mark.parametrize("words", [words for words in LEAVES if words not in SERVICES | LOCAL])
def test_the_example_is_right_and_says_so_where_it_reaches_nobody(words: str, nobody_answers: None) -> None:
    told = CliRunner().invoke(PULSE, example_of(words)[1:])

    assert told.exit_code == 3, told.output
    assert told.stdout == "", "stdout belongs to the answer"
    assert "cannot be reached" in told.stderr or "cannot reach" in told.stderr or "does not answer" in told.stderr


def test_another_app_at_the_port_of_the_sample_app_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        monkeypatch.setenv("PULSE_DEMO_PORT", str(server.server_port))
        get_settings.cache_clear()
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        told = pulse("demo mend")
        thread.join()
    get_settings.cache_clear()

    assert told.exit_code == 3
    assert "The sample app does not answer" in told.stderr


@pytest.mark.parametrize(
    "error",
    [
        PartitionsDiffer("monitors", 4, 8),
        TopicNotCreated("monitors", "a policy forbids it"),
        TopicNotConfigured("monitors", "TopicAuthorizationFailedError"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_kafka_does_not_let_be_done_with_a_topic_is_told(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Settings) -> None:
        raise error

    monkeypatch.setattr(commands_of_infra, "provision_topics", refuse)
    told = pulse("migrate")

    assert told.exit_code == 1
    assert told.stderr == f"{error}\n"


@pytest.mark.parametrize("words", sorted(SERVICES - {"up"}))
def test_a_service_without_engines_is_wrong_use(words: str) -> None:
    told = pulse(words)

    assert told.exit_code == 2
    assert "PULSE_KAFKA" in told.stderr


@pytest.mark.parametrize("words", LEAVES)
def test_what_prints_data_prints_it_as_json_too(words: str) -> None:
    silent = {"migrate", "schemas", "demo break", "demo mend", "keys revoke", "maintenance end"}
    silent |= {"epoch new", "epoch accept-gap"} | SERVICES

    assert ("--json" in {option for each in ALL[words].params for option in each.opts}) == (words not in silent)


def test_it_says_which_version_it_is() -> None:
    told = CliRunner().invoke(PULSE, ["--version"])

    assert told.exit_code == 0
    assert told.stdout == f"pulse {version('pulseapi')}\n"


@pytest.mark.parametrize("words", ["status", "apply", "maintenance", "replay", "query"])
def test_a_command_starts_without_the_framework_that_only_the_service_needs(words: str) -> None:
    program = f"import sys; from infra import cli; cli.build('{words}'); print('fastapi' in sys.modules)"
    started = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert started.stdout == "False\n"


def test_a_setting_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PULSE_PARTITIONS", "many")
    monkeypatch.setattr(sys, "argv", ["pulse", "settings"])
    get_settings.cache_clear()
    with pytest.raises(SystemExit) as left:
        cli.main()
    get_settings.cache_clear()

    assert left.value.code == 2
    assert "PULSE_PARTITIONS: Input should be a valid integer" in capsys.readouterr().err
