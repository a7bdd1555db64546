"""Settings that cannot be: which one, and what to write instead."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.settings import InvalidSettings, get_settings


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

    with pytest.raises(InvalidSettings, match=r"PULSE_HTTP: .*write host:port, like 127\.0\.0\.1:8080"):
        get_settings()


@pytest.mark.parametrize("http", ["127.0.0.1:8080", "[::]:80", "pulse:8080"])
def test_an_address_is_a_host_and_a_port(http: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_HTTP", http)

    assert f"{get_settings().http_host}:{get_settings().http_port}" == http


def test_a_data_folder_of_another_user_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder / "lock"))

    monkeypatch.setattr("infra.settings.read_running", refuse)

    with pytest.raises(InvalidSettings, match=r"lock cannot be read .*PULSE_DATA"):
        get_settings()
