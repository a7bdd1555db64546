"""Settings that cannot be: which one, and what to write instead."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.running import DataLock, Running
from infra.settings import InvalidSettings, Settings, get_settings


@pytest.fixture(autouse=True)
def read_anew() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.mark.parametrize("http", ["8080", "localhost", ":8080", "localhost:http", "127.0.0.1:80800"])
def test_an_address_without_host_or_port_is_refused_and_the_message_shows_one(
    http: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_HTTP", http)

    with pytest.raises(InvalidSettings, match=r"PULSE_HTTP: write host:port, like 127\.0\.0\.1:8080"):
        get_settings()


@pytest.mark.parametrize("http", ["127.0.0.1:8080", "[::]:80", "pulse:8080"])
def test_an_address_is_a_host_and_a_port(http: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_HTTP", http)

    assert f"{get_settings().http_host}:{get_settings().http_port}" == http


@pytest.mark.parametrize(
    ("http", "url"),
    [
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:80", "http://[::1]:80"),
        ("pulse:8080", "http://pulse:8080"),
    ],
)
def test_an_address_to_give_to_people_is_one_that_they_can_follow(
    http: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_HTTP", http)

    assert get_settings().base_url == url


@pytest.mark.parametrize("url", ["pulse.example.com", "ftp://pulse.example.com", "https://", "http://127.0.0.1:99999"])
def test_a_public_address_that_nobody_can_follow_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_PUBLIC_URL", url)

    with pytest.raises(InvalidSettings, match="PULSE_PUBLIC_URL: "):
        get_settings()


@pytest.mark.parametrize(
    "url",
    ["clickhouse:8123", "tcp://h:9000/pulse", "http://pulse:hidden/word@clickhouse:8123/x", "http://pulse:hid#den@h/x"],
)
def test_a_store_written_wrong_is_refused_without_its_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_CLICKHOUSE", url)

    with pytest.raises(InvalidSettings, match=r"PULSE_CLICKHOUSE: write https://user:password@host") as refused:
        get_settings()
    assert "hidden" not in str(refused.value)


def test_what_may_hold_a_password_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLICKHOUSE", "CLICKHOUSE_SQL", "MAVEN_MIRROR"):
        monkeypatch.setenv(f"PULSE_{name}", "https://ada:hidden@example.com/x")
    for name in ("KAFKA_PASSWORD", "API_KEY", "ADMIN_KEY"):
        monkeypatch.setenv(f"PULSE_{name}", "hidden-0123456789")

    assert "hidden" not in get_settings().model_dump_json()


def test_a_key_is_taken_without_the_line_end_that_its_file_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_API_KEY", "pulse_abc_0123456789\n")
    monkeypatch.setenv("PULSE_ADMIN_KEY", "pulse_admin_0123456789\r\n")

    keys = get_settings().api_key, get_settings().admin_key

    assert [key.get_secret_value() for key in keys if key] == ["pulse_abc_0123456789", "pulse_admin_0123456789"]


def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_API_KEY", "pulse_abc_schlüssel")

    with pytest.raises(InvalidSettings, match=r"PULSE_API_KEY: .*ASCII") as refused:
        get_settings()
    assert "schlüssel" not in str(refused.value)


def test_a_file_that_is_not_there_is_told_with_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_KAFKA_CA_FILE", str(tmp_path / "ca.pem"))

    with pytest.raises(InvalidSettings, match="PULSE_KAFKA_CA_FILE: Path does not point to a file"):
        get_settings()


def test_a_variable_that_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PULSE_KAFKA", "PULSE_CLICKHOUSE", "PULSE_PARTITIONS", "PULSE_ADMIN_KEY"):
        monkeypatch.setenv(name, "")

    settings = get_settings()
    assert (settings.kafka, settings.clickhouse, settings.admin_key) == (None, None, None)
    assert settings.partitions == Settings.model_fields["partitions"].default


@pytest.mark.parametrize("kafka", ["kafka", "kafka:x", ":9092", "http://kafka:9092", "k-1:9092;k-2:9092", "k-1:9092,"])
def test_brokers_that_nobody_can_reach_are_refused_with_an_example(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_KAFKA", kafka)

    with pytest.raises(InvalidSettings, match="PULSE_KAFKA: write host:port, or several"):
        get_settings()


def test_brokers_may_have_spaces_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_KAFKA", "kafka-1.acme.dev:9092, [::1]:9092")

    assert get_settings().kafka == "kafka-1.acme.dev:9092,[::1]:9092"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "PROXIES",
            "10.0.0.0/8, 10.1.0.5/16",
            r"PULSE_PROXIES\.1: 10.1.0.5/16 has host bits set; write a network like",
        ),
        ("PROBE_ALLOW", "here", r"PULSE_PROBE_ALLOW\.0: 'here' does not appear to be .*; write a network like"),
        ("REGION", "EU", "PULSE_REGION: a region has lower case letters, digits and inner hyphens"),
        ("ADMIN_KEY", "secret", "PULSE_ADMIN_KEY: a key with every scope has 16 characters at least"),
    ],
)
def test_what_is_wrong_with_a_setting_is_told_once_and_in_words(
    name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PULSE_{name}", value)

    with pytest.raises(InvalidSettings, match=f"^{told}") as refused:
        get_settings()
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name.endswith("_port")])
def test_a_port_that_there_cannot_be_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"PULSE_{name.upper()}", "70000")

    with pytest.raises(InvalidSettings, match=f"PULSE_{name.upper()}: .*less than 65536"):
        get_settings()


def test_the_home_folder_is_meant_where_no_shell_has_read_the_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PULSE_DATA", "~/pulse")
    running = Running(
        kafka="k:1", clickhouse="http://c:2/pulse", http="h:3", api_key="key", demo_port=4, pids={}, started_at=5
    )

    with DataLock(tmp_path / "pulse") as lock:
        lock.publish(running)
        settings = get_settings()

    assert settings.data == tmp_path / "pulse"
    assert settings.http == "h:3"


def test_a_data_folder_of_another_user_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder / "lock"))

    monkeypatch.setattr("infra.settings.read_running", refuse)

    with pytest.raises(InvalidSettings, match=r"lock cannot be read .*PULSE_DATA"):
        get_settings()


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
