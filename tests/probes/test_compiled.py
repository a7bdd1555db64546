"""From a monitor to what goes over the wire: bodies, credentials, and secrets that only the probe knows."""

import asyncio
import os
import ssl
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trustme

from probes.compiled import Compiler, build_request
from probes.fetch import Fetched, Fetcher
from probes.request import Request
from probes.secrets import MissingSecret, Revealer, Secrets
from schemas.enums import Reason
from schemas.monitors import Monitor


def monitor(**fields: Any) -> Monitor:
    return Monitor.model_validate({"slug": "api", "url": "https://example.com/health"} | fields)


def request_of(environment: Mapping[str, str] = {}, **fields: Any) -> Request:
    secrets = Secrets(None, {f"PULSE_SECRET_{name}": value for name, value in environment.items()})
    return build_request(monitor(**fields), Revealer(secrets, "default"))


def headers_of(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers}


@pytest.mark.parametrize(
    ("fields", "body", "content_type"),
    [
        ({}, b"", None),
        ({"body": "hej"}, b"hej", "text/plain; charset=utf-8"),
        ({"json": {"a": ["${TOKEN}", 1, None]}}, b'{"a":["s3 \\"x","1"]}', "application/json"),
        ({"json": None}, b"null", "application/json"),
        ({"form": {"a": "1 2", "t": "${TOKEN}"}}, b"a=1+2&t=s3+%22x", "application/x-www-form-urlencoded"),
    ],
    ids=str,
)
def test_a_body_has_its_content_type(fields: dict[str, Any], body: bytes, content_type: str | None) -> None:
    request = request_of({"TOKEN": 's3 "x'}, method="POST", **fields)

    assert request.body == body.replace(b'"1"', b"1,null")
    assert headers_of(request).get("content-type") == content_type
    assert request.fault == ""


@pytest.mark.parametrize(
    ("url", "heard"),
    [("https://a.test/", True), ("Https://a.test/", True), ("tcp://a.test:1", False), ("TCP://a.test:1", False)],
)
def test_an_answer_is_heard_over_http_alone_unless_an_assertion_reads_it(url: str, heard: bool) -> None:
    asserting = {"body": "text", "exists": True}

    assert bool(request_of(url=url).body_limit_bytes) is heard
    assert request_of(url=url, assertions=[asserting]).body_limit_bytes


def test_a_header_of_the_monitor_wins_over_a_default() -> None:
    request = request_of(json={}, headers={"Content-Type": "application/x-ours", "Accept": "text/html"})

    assert headers_of(request) == {"content-type": "application/x-ours", "accept": "text/html"}


def test_credentials_are_revealed_and_redacted_in_every_form() -> None:
    secrets = Secrets(None, {"PULSE_SECRET_P": "pä/ss"})
    reveal = Revealer(secrets, "default")

    request = build_request(monitor(auth={"basic": {"username": "u", "password": "${P}"}}), reveal)

    assert headers_of(request)["authorization"] == "Basic dTpww6Qvc3M="
    assert reveal.revealed == {"pä/ss", "dTpww6Qvc3M="}


def test_a_bearer_token_and_a_secret_in_the_url_are_revealed() -> None:
    request = request_of({"T": "a&b"}, url="https://example.com/?key=${T}", auth={"bearer": "${T}"})

    assert request.url.target == "/?key=a%26b"
    assert headers_of(request)["authorization"] == "Bearer a&b"


def test_a_secret_cannot_smuggle_headers() -> None:
    request = request_of({"T": "a\r\nX-Evil: 1"}, headers={"X-Key": "${T}"})

    assert "cannot be sent" in request.fault


def test_a_missing_secret_is_told_by_the_check_and_names_what_to_set() -> None:
    async def main() -> Any:
        fetcher = Fetcher()
        compiled = Compiler(fetcher, Secrets(None, {})).compile(
            "default/api", monitor(auth={"bearer": "${GONE}"}), version=1, partition=0
        )
        fetched = await compiled.prepare().exchange()
        await fetcher.close()
        return fetched

    fetched = asyncio.run(main())
    assert fetched.reason is Reason.BAD_REQUEST
    assert "PULSE_SECRET_GONE" in fetched.message


def test_the_environment_beyond_the_prefix_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_KAFKA_PASSWORD", "hush")

    with pytest.raises(MissingSecret):
        Secrets(None).value("default", "PULSE_KAFKA_PASSWORD")
    assert "PATH" in os.environ
    with pytest.raises(MissingSecret):
        Secrets(None).value("default", "PATH")


def test_a_workspace_sees_its_own_secrets_alone(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "TOKEN").write_text("acme's\n")
    secrets = Secrets(tmp_path, {"PULSE_SECRET_TOKEN": "default's"})

    assert secrets.value("acme", "TOKEN") == "acme's"
    assert secrets.value("default", "TOKEN") == "default's"
    with pytest.raises(MissingSecret):
        secrets.value("other", "TOKEN")


def test_a_secrets_file_that_cannot_be_read_is_told_like_a_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    (tmp_path / "default").mkdir()
    (tmp_path / "default" / "TOKEN").touch()

    with pytest.raises(MissingSecret, match="the secret TOKEN cannot be read by this probe: Permission denied"):
        Secrets(tmp_path, {}).value("default", "TOKEN")


def test_a_secrets_file_that_is_no_text_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "default").mkdir()
    (tmp_path / "default" / "TOKEN").write_bytes(b"\xff\xfe")

    with pytest.raises(MissingSecret, match="the secret TOKEN cannot be read by this probe: it is not UTF-8 text"):
        Secrets(tmp_path, {}).value("default", "TOKEN")


def test_a_rotated_secret_is_used_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.secrets.KEPT_S", 0.0)
    (tmp_path / "default").mkdir()
    file = tmp_path / "default" / "TOKEN"
    secrets = Secrets(tmp_path, {})
    file.write_text("old")
    assert secrets.value("default", "TOKEN") == "old"

    file.write_text("new")

    assert secrets.value("default", "TOKEN") == "new"


@pytest.mark.parametrize(
    "fields",
    [
        {"auth": {"bearer": "plain"}},
        {"auth": {"basic": {"username": "u", "password": "plain"}}},
        {"auth": {}},
        {"headers": {"authorization": "Bearer plain"}},
        {"headers": {"authorization": "Bearer ${api-token}"}},
        {"headers": {"X-Key": "${TOKEN}${token}"}},
        {"url": "https://example.com/?key=${token}"},
        {"body": "a", "json": {}},
        {"form": {}, "body": "a"},
        {"ip_version": 5},
    ],
    ids=str,
)
def test_a_monitor_that_keeps_secrets_in_plain_text_or_contradicts_itself_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        monitor(**fields)


def test_a_client_certificate_is_shown_and_a_wrong_one_is_told() -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    client = authority.issue_cert("probe@example.com")
    given = {
        "PULSE_SECRET_CERTIFICATE": client.cert_chain_pems[0].bytes().decode(),
        "PULSE_SECRET_KEY": client.private_key_pem.bytes().decode(),
        "PULSE_SECRET_NONSENSE": "nonsense",
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async def main(**fields: Any) -> Fetched:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        fetcher = Fetcher(allow=[ip_network("127.0.0.0/8")])
        async with server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            compiled = Compiler(fetcher, Secrets(None, given)).compile(
                "default/api", monitor(url=url, verify_tls=False, **fields), version=1, partition=0
            )
            fetched = await compiled.prepare().exchange()
            await fetcher.close()
            return fetched

    shown = asyncio.run(main(client_certificate={"certificate": "${CERTIFICATE}", "key": "${KEY}"}))
    wrong = asyncio.run(main(client_certificate={"certificate": "${NONSENSE}", "key": "${KEY}"}))
    assert shown.reason is Reason.OK, shown.message
    assert asyncio.run(main()).reason is not Reason.OK
    assert wrong.reason is Reason.BAD_REQUEST
    assert "client certificate" in wrong.message
