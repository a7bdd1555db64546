"""`/v1/pages`, over a log in memory."""

import asyncio

from query.management.models import PageDetail, PageList
from tests.query.management.service import Service, key_of_another_workspace, with_service

API = {"slug": "api", "url": "https://api.example.com/health"}
ACME = {"slug": "acme", "title": "Acme", "domains": ["status.acme.dev"], "groups": [{"name": "A", "monitors": ["api"]}]}


def test_a_page_is_created_read_replaced_and_deleted() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        created = await service.client.post("/v1/pages", json=ACME)
        assert created.status_code == 201
        assert created.headers["Location"] == "/v1/pages/acme"
        assert created.json()["url"] == "http://127.0.0.1:8080/p/acme"
        PageDetail.model_validate(created.json())

        replaced = await service.client.put("/v1/pages/acme", json={**ACME, "title": "Acme Inc."})
        assert replaced.json()["title"] == "Acme Inc."
        unchanged = await service.client.put("/v1/pages/acme", json={**ACME, "title": "Acme Inc."})
        assert unchanged.json()["version"] == replaced.json()["version"]
        assert (await service.client.get("/v1/pages/acme")).json() == replaced.json()

        assert (await service.client.delete("/v1/pages/acme")).status_code == 204
        assert (await service.client.get("/v1/pages/acme")).status_code == 404

    with_service(scenario)


def test_a_page_of_unknown_monitors_is_refused_with_each_of_them() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        page = {"slug": "acme", "groups": [{"name": "A", "monitors": ["api", "x"]}, {"name": "B", "monitors": ["y"]}]}
        refused = await service.client.put("/v1/pages/acme", json=page)
        assert refused.status_code == 422
        assert refused.json()["errors"] == [
            {"detail": "there is no monitor x", "pointer": "#/groups/0/monitors/1"},
            {"detail": "there is no monitor y", "pointer": "#/groups/1/monitors/0"},
        ]

    with_service(scenario)


def test_a_domain_belongs_to_one_page() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        await service.client.post("/v1/pages", json=ACME)
        refused = await service.client.post("/v1/pages", json={**ACME, "slug": "other"})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "#/domains/0"

    with_service(scenario)


def test_of_two_pages_that_ask_for_a_domain_at_once_one_gets_it() -> None:
    async def scenario(service: Service) -> None:
        pages = [{"slug": slug, "domains": ["y.acme.test", "status.acme.test"]} for slug in ("acme", "other", "third")]
        answers = await asyncio.gather(*(service.client.post("/v1/pages", json=page) for page in pages))
        assert sorted(answer.status_code for answer in answers) == [201, 422, 422]

    with_service(scenario)


def test_the_name_under_which_the_api_is_served_is_no_pages_domain() -> None:
    async def scenario(service: Service) -> None:
        refused = await service.client.post("/v1/pages", json={"slug": "acme", "domains": ["pulse.acme.test"]})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "#/domains/0"
        at_home = await service.client.get("/v1/pages", headers={"Host": "pulse.acme.test"})
        assert at_home.status_code == 200

    with_service(scenario, public_url="https://pulse.acme.test")


def test_a_second_creation_is_a_conflict_unless_it_is_the_same() -> None:
    async def scenario(service: Service) -> None:
        first, again = [await service.client.post("/v1/pages", json={"slug": "acme"}) for _ in range(2)]
        assert (again.status_code, again.json()) == (201, first.json())
        assert (await service.client.post("/v1/pages", json={"slug": "acme", "title": "A"})).status_code == 409
        async with service.as_key(await key_of_another_workspace(service)) as theirs:
            assert (await theirs.post("/v1/pages", json={"slug": "acme"})).status_code == 409

    with_service(scenario)


def test_pages_are_listed_with_their_addresses() -> None:
    async def scenario(service: Service) -> None:
        for slug in ("b", "a"):
            await service.client.put(f"/v1/pages/{slug}", json={"slug": slug})
        listed = PageList.model_validate((await service.client.get("/v1/pages?document=true")).json())
        assert [page.slug for page in listed.pages] == ["a", "b"]
        assert [page.url for page in listed.pages] == ["https://status.test/p/a", "https://status.test/p/b"]
        assert listed.next_cursor is None

    with_service(scenario, public_url="https://status.test/")


def test_without_kafka_a_page_is_not_written() -> None:
    async def scenario(service: Service) -> None:
        service.log.away = True
        refused = await service.client.post("/v1/pages", json={"slug": "acme"})
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:pulse:problem:log-away"

    with_service(scenario)
