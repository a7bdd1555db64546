"""The OpenAPI document: what every operation says of itself."""

import re

import pytest

from tests.query.filled import openapi_document
from tests.query.management.service import Service, with_service

DOCUMENT = openapi_document()
OPERATIONS = {told["operationId"]: told for by_method in DOCUMENT["paths"].values() for told in by_method.values()}


def test_an_operation_has_a_name_of_its_own() -> None:
    assert len(OPERATIONS) == sum(map(len, DOCUMENT["paths"].values()))


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_named_and_described_for_people_and_generators(name: str) -> None:
    told = OPERATIONS[name]
    assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", name)
    assert told["description"].strip().endswith(".")
    assert told["tags"]
    assert any(status.startswith("2") for status in told["responses"])


@pytest.mark.parametrize("name", [name for name, told in OPERATIONS.items() if told.get("security")])
def test_what_needs_a_key_tells_how_it_is_refused(name: str) -> None:
    responses = OPERATIONS[name]["responses"]
    assert responses.keys() >= {"401", "403", "429", "503"}
    for status in ("429", "503"):
        assert responses[status]["headers"]["Retry-After"]["required"]
    for status, response in responses.items():
        if status >= "400":
            assert response["content"].keys() == {"application/problem+json"}


def test_the_example_of_what_is_written_can_be_sent() -> None:
    async def scenario(service: Service) -> None:
        for kind, shape in (("monitors", "Monitor"), ("pages", "Page"), ("maintenances", "Maintenance")):
            sent = await service.client.post(f"/v1/{kind}", json=DOCUMENT["components"]["schemas"][shape]["example"])
            assert sent.status_code == 201, sent.text

    with_service(scenario)


def test_every_reference_leads_somewhere() -> None:
    shapes = DOCUMENT["components"]["schemas"]
    found = set(re.findall(r"#/components/schemas/(\w+)", str(DOCUMENT)))
    assert found <= shapes.keys()
