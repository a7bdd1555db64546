"""The AsyncAPI document names every topic and resolves every reference."""

from collections.abc import Iterator
from typing import Any

from schemas.asyncapi import asyncapi_document
from schemas.topics import TOPICS


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _resolve(document: Any, reference: str) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


def test_every_reference_leads_somewhere() -> None:
    document = asyncapi_document("1")
    references = set(_references(document))

    assert len(references) > 20
    for reference in references:
        assert isinstance(_resolve(document, reference), dict), reference


def test_every_topic_and_every_event_of_it_is_there() -> None:
    channels = asyncapi_document("1")["channels"]

    assert {name: tuple(channel["messages"]) for name, channel in channels.items()} == {
        topic.name: topic.events for topic in TOPICS
    }


def test_the_payload_of_a_batch_says_what_a_result_is() -> None:
    document = asyncapi_document("1")
    payload = _resolve(document, document["components"]["messages"]["check-batch"]["payload"]["$ref"])
    result = _resolve(document, payload["properties"]["results"]["items"]["$ref"])

    assert {"monitor", "scheduled_at", "monitor_version", "outcome"} <= set(result["required"])
