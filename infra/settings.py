"""Every setting, in one place: `PULSE_*` in the environment, printed by `pulse settings`."""

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from pydantic import Field, FilePath, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic.functional_validators import AfterValidator, BeforeValidator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from infra.running import read_running
from schemas.monitors import SLUG_PATTERN

OWN_ADDRESS_OF: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - nothing is bound here
"""By the name of all addresses, to which nobody should connect."""
MIN_ADMIN_KEY: Final = 16
_split = BeforeValidator(lambda v: [part.strip() for part in v.split(",") if part.strip()] if isinstance(v, str) else v)


def _checked_address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ValueError("write host:port, like 127.0.0.1:8080")
    return text


def _checked_servers(text: str) -> str:
    servers = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"([\w.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}", server) for server in servers):
        raise ValueError("write host:port, or several with commas between, like kafka-1:9092,kafka-2:9092")
    return ",".join(servers)


def _checked_network(network: object) -> object:
    try:
        return ip_network(network) if isinstance(network, str) else network
    except ValueError as error:
        raise ValueError(f"{error}; write a network like 10.1.0.0/16, or an address like 10.1.0.5") from None


def _checked_region(text: str) -> str:
    if not re.fullmatch(SLUG_PATTERN, text):
        raise ValueError("a region has lower case letters, digits and inner hyphens, like eu-west: monitors name it so")
    return text


def _is_http(text: str) -> bool:
    try:
        url = urlsplit(text)
        named = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        return named and not (url.query or url.fragment)
    except ValueError:
        return False


def _checked_public_url(text: str) -> str:
    if not _is_http(text):
        raise ValueError("write http:// or https:// and a host, like https://pulse.example.com")
    return text


def _checked_clickhouse(url: SecretStr) -> SecretStr:
    if not _is_http(url.get_secret_value()):
        raise ValueError("write https://user:password@host:8443/database; in a password / is %2F, # is %23, ? is %3F")
    return url


def _checked_key(text: object) -> object:
    """Without the line's end that files and secrets often have; the rest has to go through an HTTP header."""
    key = text.strip() if isinstance(text, str) else text
    if isinstance(key, str) and not re.fullmatch(r"[!-~]*", key):
        raise ValueError("a key has ASCII letters, digits and signs, and no spaces")
    return key


def _not_to_be_guessed(key: SecretStr) -> SecretStr:
    if len(key) < MIN_ADMIN_KEY:
        raise ValueError(f"a key with every scope has {MIN_ADMIN_KEY} characters at least")
    return key


ApiKey = Annotated[SecretStr, BeforeValidator(_checked_key)]
AdminKey = Annotated[ApiKey, AfterValidator(_not_to_be_guessed)]
Region = Annotated[str, AfterValidator(_checked_region)]
Servers = Annotated[str, AfterValidator(_checked_servers)]
ClickHouseUrl = Annotated[SecretStr, AfterValidator(_checked_clickhouse)]
PublicUrl = Annotated[str, AfterValidator(_checked_public_url)]
Address = Annotated[str, AfterValidator(_checked_address)]
Port = Annotated[int, Field(ge=0, lt=1 << 16)]
Place = Annotated[Path, AfterValidator(Path.expanduser)]
Names = Annotated[list[str], NoDecode, _split]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_checked_network)]
Networks = Annotated[list[Network], NoDecode, _split]


class RunningSource(PydanticBaseSettingsSource):
    """What a running `pulse up` says of itself, so that `pulse status` beside it needs no settings."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: `__call__` has all values at once."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """The values that are settings; none where nothing runs on the data folder."""
        folder = self.current_state.get("data", self.settings_cls.model_fields["data"].default)
        running = read_running(Path(folder).expanduser())
        values = msgspec.to_builtins(running) if running else {}
        return {name: value for name, value in values.items() if name in self.settings_cls.model_fields}


class Settings(BaseSettings):
    """The installation's settings. Where an engine's address is missing, `pulse up` embeds the engine."""

    model_config = SettingsConfigDict(env_prefix="PULSE_", env_ignore_empty=True, extra="ignore", frozen=True)

    data: Place = Field(Path(".pulse"), description="Where `pulse up` keeps its data, logs and caches.")
    cache: Place = Field(
        Path("~/.cache/pulseapi").expanduser(),
        description="Where Kafka's jars are kept between installations.",
    )
    maven_mirror: SecretStr | None = Field(None, description="A Maven repository to use instead of Maven Central.")

    kafka: Servers | None = Field(None, description="Kafka's bootstrap servers, host:port,host:port.")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How Kafka is spoken to: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="With SASL, how it is logged in: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."
    )
    kafka_username: str | None = Field(None, description="With SASL, the user.")
    kafka_password: SecretStr | None = Field(None, description="With SASL, the user's password.")
    kafka_ca_file: FilePath | None = Field(None, description="CA certificates that sign the brokers' ones.")
    kafka_replication: int = Field(1, ge=1, description="Replicas of each topic; 3 on a cluster.")
    partitions: int = Field(8, ge=1, le=1024, description="Partitions of monitors and check-results; fixed for good.")

    clickhouse: ClickHouseUrl | None = Field(None, description="https://user:password@host:8443/database")
    clickhouse_cluster: str | None = Field(None, description="A cluster's name, for replicated, sharded tables.")
    clickhouse_sql: ClickHouseUrl | None = Field(
        None, description="The same with the account that POST /v1/analytics/sql runs as; without it there is none."
    )
    retention_days: int = Field(90, ge=1, description="Days that raw results are kept; rollups are kept for ever.")

    http: Address = Field("127.0.0.1:8080", description="Where the query service listens, host:port.")
    snapshot_bytes: int = Field(320 << 20, ge=1 << 20, description="Memory for prepared pages and badges, in bytes.")
    public_url: PublicUrl | None = Field(None, description="How the world reaches it, where that differs from `http`.")
    proxies: Networks = Field([], description="Proxies whose X-Forwarded-For is believed: 10.0.0.0/8,127.0.0.1/32")
    rate_factor: float = Field(1.0, gt=0, description="Multiplies how many requests a key and an address may send.")
    embedded_kafka_port: Port = Field(19092, description="Where the Kafka of `pulse up` listens.")
    embedded_kafka_controller_port: Port = Field(19093, description="Where its controller does.")
    embedded_clickhouse_port: Port = Field(18123, description="Where the ClickHouse of `pulse up` listens.")
    demo_port: Port = Field(18000, description="Where the sample app of `pulse up --demo` listens.")

    region: Region = Field("local", description="The region of `pulse probe`.")
    probe: str = Field("probe-0", description="The name of this probe.")
    probe_allow: Networks = Field([], description="Private networks that checks may reach: 10.1.0.0/16,127.0.0.0/8")
    probe_deny: Networks = Field([], description="Networks that checks never reach, like a site's own NAT64 prefix.")
    probe_secrets: Place | None = Field(None, description="Folder of the secrets that monitors refer to by ${NAME}.")
    probe_canaries: Names = Field(
        [], description="host:port,host:port that answer while this probe's own network works."
    )
    probe_in_flight: int = Field(4_000, ge=1, description="How many checks a probe has in flight at most.")
    probe_in_flight_per_target: int = Field(512, ge=1, description="How many of them at one host and port.")
    probe_spool_bytes: int = Field(256 << 20, ge=1 << 20, description="Disk that results may take while Kafka is away.")
    stream: str = Field("stream-0", description="The name of this stream worker's slot; never shared.")
    metrics_host: str = Field("127.0.0.1", description="Where /metrics is served; 0.0.0.0 for a scraper elsewhere.")
    probe_metrics_port: Port = Field(0, description="Where the probe serves /metrics; 0: nowhere.")
    stream_metrics_port: Port = Field(0, description="Where the stream worker serves /metrics; 0: nowhere.")

    api_key: ApiKey | None = Field(None, description="The key that the pulse command sends.")
    admin_key: AdminKey | None = Field(
        None, description="A key with every scope, known to the query service; not to be guessed."
    )
    max_monitors: int = Field(20_000, ge=1, description="Monitors that a workspace may have.")
    max_pages: int = Field(1_000, ge=1, description="Status pages that a workspace may have.")
    max_maintenances: int = Field(5_000, ge=1, description="Maintenances that a workspace may have, past ones too.")
    max_keys: int = Field(1_000, ge=1, description="API keys that a workspace may have.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="From which level on is logged: debug, info, warning or error."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then what a running `pulse up` says, then the defaults."""
        return init_settings, env_settings, RunningSource(settings_cls)

    @property
    def http_host(self) -> str:
        """The host part of `http`."""
        return self.http.rsplit(":", 1)[0]

    @property
    def http_port(self) -> int:
        """The port part of `http`."""
        return int(self.http.rsplit(":", 1)[1])

    @property
    def base_url(self) -> str:
        """The address to give to people, without a slash at the end; a service on all addresses is on its own, too."""
        host = OWN_ADDRESS_OF.get(self.http_host, self.http_host)
        return (self.public_url or f"http://{host}:{self.http_port}").rstrip("/")


class InvalidSettings(ValueError):
    """A PULSE_* variable has a value that it cannot have; the message says which, and why."""


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once. Raises InvalidSettings."""
    try:
        return Settings()
    except ValidationError as error:
        told = (
            f"PULSE_{'.'.join(map(str, each['loc'])).upper()}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors()
        )
        raise InvalidSettings("\n".join(told)) from None
    except PermissionError as error:
        message = f"{error.filename} cannot be read by this user; set PULSE_DATA to a folder that is yours"
        raise InvalidSettings(message) from None
