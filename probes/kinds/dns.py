"""`dns://name?type=A`: the name has records; assert on them: `jsonpath: $.records`, `contains: 192.0.2.1`."""

from time import perf_counter_ns
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import aiodns
import msgspec
import pycares

from probes.fetch import Fetched, Fetcher, Hop, Phases
from probes.kinds.talk import spoken
from probes.request import Request
from probes.wire.failed import FetchFailed
from schemas.enums import Reason

TYPES: Final = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "SOA", "SRV", "TXT")


async def exchange(fetcher: Fetcher, request: Request) -> Fetched:
    """Ask the resolver of this machine; the body is `{"type": ..., "records": [...]}`."""
    hop, phases = Hop(request), Phases()
    hop.stage = "resolving the name"
    body = b""

    async def run() -> None:
        nonlocal body
        record_type = _type_of(request)
        started_ns = perf_counter_ns()
        records = await _records(request.url.host, record_type)
        phases.dns_us = (perf_counter_ns() - started_ns) // 1_000
        body = msgspec.json.encode({"type": record_type, "records": records})

    reason, message = await fetcher.in_time(run, [hop], phases)
    return Fetched(reason, message, spoken(body, hop) if reason is Reason.OK else None, phases)


def _type_of(request: Request) -> str:
    record_type = parse_qs(urlsplit(request.url.target).query).get("type", ["A"])[0].upper()
    if record_type not in TYPES:
        raise FetchFailed(Reason.BAD_REQUEST, f"{record_type!r:.40} is not one of {', '.join(TYPES)}")
    return record_type


async def _records(name: str, record_type: str) -> list[str]:
    """The records of this type, in the order of the alphabet: servers turn them round."""
    resolver = aiodns.DNSResolver()
    try:
        answer = await resolver.query_dns(name, record_type)
    except aiodns.error.DNSError as error:
        raise FetchFailed(Reason.DNS_ERROR, f"{name} {record_type}: {error.args[-1]}") from None
    finally:
        await resolver.close()
    wanted = getattr(pycares, f"QUERY_TYPE_{record_type}")
    return sorted(_text_of(record.data) for record in answer.answer if record.type == wanted)


def _text_of(data: Any) -> str:
    """The fields of a record, as a zone file writes them."""
    values = [getattr(data, name) for name in data.__dataclass_fields__]
    return " ".join(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values)
