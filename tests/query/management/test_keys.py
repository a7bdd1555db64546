"""`/v1/keys`, and what a key opens."""

from datetime import UTC, datetime, timedelta

from query.keys import new_key
from schemas.monitors import Key, KeyScope, Page, Record
from schemas.topics import KEYS, MONITORS, PAGES
from tests.query.management.service import Service, key_of_another_workspace, with_service

API = {"slug": "api", "url": "https://api.example.com/health"}


def test_a_key_is_shown_once_and_only_its_hash_is_kept() -> None:
    async def scenario(service: Service) -> None:
        created = await service.client.post("/v1/keys", json={"name": "deploys", "scopes": ["write", "read"]})
        assert created.status_code == 201
        prefix, key_id, secret = created.json()["key"].split("_")
        assert prefix == "pulse"
        assert len(secret) == 43
        [record] = service.log.all("keys")
        assert record.key == key_id == created.json()["id"]
        assert secret.encode() not in (record.value or b"")

        [listed] = (await service.client.get("/v1/keys")).json()["keys"]
        assert listed == {name: value for name, value in created.json().items() if name != "key"}

    with_service(scenario)


def test_a_key_opens_what_its_scopes_say() -> None:
    async def scenario(service: Service) -> None:
        made = await service.client.post("/v1/keys", json={"scopes": ["read"]})
        async with service.as_key(made.json()["key"]) as reader:
            assert (await reader.get("/v1/monitors")).status_code == 200
            refused = await reader.post("/v1/monitors", json=API)
            assert refused.status_code == 403
            assert "`write`" in refused.json()["detail"]
            assert (await reader.get("/v1/keys")).status_code == 403

    with_service(scenario)


def test_who_wrote_a_version_is_its_key() -> None:
    async def scenario(service: Service) -> None:
        made = (await service.client.post("/v1/keys", json={"scopes": ["write"]})).json()
        async with service.as_key(made["key"]) as writer:
            created = await writer.post("/v1/monitors", json=API)
            assert created.json()["updated_by"] == f"key:{made['id']}"

    with_service(scenario)


def test_without_a_good_key_nothing_opens() -> None:
    async def scenario(service: Service) -> None:
        good = (await service.client.post("/v1/keys", json={"scopes": ["admin"]})).json()["key"]
        for bad in (None, "", "x", good[:-1], good[:-1] + "!", good + "é", "pulse_nobody_secret", "pulse__", "pulse_"):
            async with service.as_key(None) as client:
                headers = {} if bad is None else {"Authorization": f"Bearer {bad}".encode()}
                answer = await client.get("/v1/monitors", headers=headers)
            assert answer.status_code == 401, bad
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.headers["Content-Type"] == "application/problem+json"

    with_service(scenario)


def test_a_key_that_another_process_has_just_made_opens() -> None:
    async def scenario(service: Service) -> None:
        text, kept = new_key("new", [KeyScope.READ], None)
        record = Record[Key](workspace="default", by="test", at=0, document=kept)
        service.log.of_another_process(KEYS, record.to_log(), kept.id)
        async with service.as_key(text) as client:
            assert (await client.get("/v1/monitors")).status_code == 200

    with_service(scenario)


def test_while_the_log_is_away_a_key_that_is_not_known_here_is_unknown() -> None:
    async def scenario(service: Service) -> None:
        service.log.catalog.away = True
        async with service.as_key(new_key("new", [KeyScope.READ], None)[0]) as client:
            assert (await client.get("/v1/monitors")).status_code == 401

    with_service(scenario)


def test_a_revoked_key_opens_nothing() -> None:
    async def scenario(service: Service) -> None:
        made = (await service.client.post("/v1/keys", json={"scopes": ["read"]})).json()
        assert (await service.client.delete(f"/v1/keys/{made['id']}")).status_code == 204
        assert (await service.client.delete(f"/v1/keys/{made['id']}")).status_code == 404
        async with service.as_key(made["key"]) as revoked:
            assert (await revoked.get("/v1/monitors")).status_code == 401

    with_service(scenario)


def test_an_expired_key_opens_nothing() -> None:
    async def scenario(service: Service) -> None:
        text, kept = new_key("old", [KeyScope.READ], expires_at=1)
        record = Record[Key](workspace="default", by="test", at=0, document=kept)
        await service.log.send(KEYS.name, record.to_log(), kept.id.encode(), 0)
        async with service.as_key(text) as expired:
            assert (await expired.get("/v1/monitors")).status_code == 401

    with_service(scenario)


def test_an_expiry_in_the_past_is_refused() -> None:
    async def scenario(service: Service) -> None:
        past = datetime.now(UTC) - timedelta(days=1)
        refused = await service.client.post("/v1/keys", json={"scopes": ["read"], "expires_at": past.isoformat()})
        assert refused.status_code == 422
        assert refused.json()["errors"] == [{"detail": "this is in the past", "pointer": "#/expires_at"}]

    with_service(scenario)


def test_an_expiry_that_cannot_be_told_is_refused_before_the_key_is_made() -> None:
    async def scenario(service: Service) -> None:
        wanted = {"scopes": ["read"], "expires_at": "9999-12-31T23:59:59-05:00"}
        refused = await service.client.post("/v1/keys", json=wanted)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "#/expires_at"
        assert (await service.client.get("/v1/keys")).json() == {"keys": []}

    with_service(scenario)


def test_another_workspace_sees_nothing_of_this_one() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        await service.client.post("/v1/pages", json={"slug": "acme"})
        ours = (await service.client.post("/v1/keys", json={"scopes": ["read"]})).json()
        async with service.as_key(await key_of_another_workspace(service)) as theirs:
            for path in ("/v1/monitors/api", "/v1/pages/acme"):
                assert (await theirs.get(path)).status_code == 404
                assert (await theirs.delete(path)).status_code == 404
            assert (await theirs.delete(f"/v1/keys/{ours['id']}")).status_code == 404
            assert (await theirs.get("/v1/monitors")).json()["monitors"] == []
            assert (await theirs.get("/v1/pages")).json()["pages"] == []
            assert ours["id"] not in [key["id"] for key in (await theirs.get("/v1/keys")).json()["keys"]]
            assert (await theirs.put("/v1/pages/acme", json={"slug": "acme"})).status_code == 409
            page = {"slug": "theirs", "groups": [{"name": "", "monitors": ["api"]}]}
            assert (await theirs.post("/v1/pages", json=page)).status_code == 422
            assert (await theirs.post("/v1/monitors", json=API)).status_code == 201
        assert {record.key for record in service.log.all(MONITORS.name)} == {"default/api", "other/api"}
        told = Record[Page].from_log(service.log.all(PAGES.name)[-1].value or b"")
        assert told.workspace == "default"

    with_service(scenario)


def test_until_the_catalogue_is_read_the_service_says_so() -> None:
    async def scenario(service: Service) -> None:
        service.context.catalog.caught_up.clear()
        answer = await service.client.get("/v1/monitors")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "2"

    with_service(scenario)


def test_without_kafka_no_key_is_made() -> None:
    async def scenario(service: Service) -> None:
        service.log.away = True
        assert (await service.client.post("/v1/keys", json={"scopes": ["read"]})).status_code == 503
        service.log.away = False
        assert (await service.client.get("/v1/keys")).json() == {"keys": []}

    with_service(scenario)
