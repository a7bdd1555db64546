"""The AsyncAPI document of the log, made from the topics table and the very types that travel.

Protocol: AsyncAPI 3.0.0 with its Kafka bindings 0.5.0.
"""

from typing import Any, Final

import msgspec
from pydantic import BaseModel

from schemas import events
from schemas.monitors import Key, Maintenance, Monitor, Page, Record
from schemas.topics import TOPICS, Topic

EVENT_TYPES: Final[dict[str, type]] = {
    "check-batch": events.CheckBatch,
    "tick": events.Tick,
    "monitor-revised": events.MonitorRevised,
    "maintenance-revised": events.MaintenanceRevised,
    "correction-ordered": events.CorrectionOrdered,
    "status-change": events.StatusChange,
    "incident": events.Incident,
    "dead-letter": events.DeadLetter,
}
DOCUMENT_TYPES: Final[dict[str, type[BaseModel]]] = {
    "monitor": Record[Monitor],
    "page": Record[Page],
    "maintenance": Record[Maintenance],
    "key": Record[Key],
}
SCHEMAS: Final = "#/components/schemas/"


def asyncapi_document(version: str) -> dict[str, Any]:
    """The document as JSON-ready data; `version` is the product's."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "PulseAPI's log",
            "version": version,
            "description": "Every fact is an event on one of these topics. Times are int milliseconds since the "
            "epoch (`_at`); durations are int microseconds (`_us`) or milliseconds (`_ms`).",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {
            f"receive-{topic.name}": {"action": "receive", "channel": {"$ref": f"#/channels/{topic.name}"}}
            for topic in TOPICS
        },
        "components": _components(),
    }


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "description": f"Keyed by the {topic.key}. " + ("Compacted." if topic.compacted else "Kept for a time."),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in topic.events},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": _kafka_configuration(topic),
                "bindingVersion": "0.5.0",
            }
        },
    }


def _kafka_configuration(topic: Topic) -> dict[str, Any]:
    if topic.compacted:
        return {"cleanup.policy": ["compact"]}
    return {"cleanup.policy": ["delete"], "retention.ms": topic.retention_ms}


def _components() -> dict[str, Any]:
    references, schemas = msgspec.json.schema_components(EVENT_TYPES.values(), ref_template=SCHEMAS + "{name}")
    payloads = dict(zip(EVENT_TYPES, references, strict=True))
    for name, record in DOCUMENT_TYPES.items():
        schema = record.model_json_schema(by_alias=True, ref_template=SCHEMAS + "{model}")
        schemas |= schema.pop("$defs", {})
        schemas[f"{name}-record"] = schema
        payloads[name] = {"$ref": f"{SCHEMAS}{name}-record"}
    messages = {name: {"name": name, "payload": payload} for name, payload in payloads.items()}
    return {"messages": messages, "schemas": schemas}
