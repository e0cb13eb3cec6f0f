"""API keys: shown once, limited by scope, owner and time."""

from datetime import UTC, datetime, timedelta
from typing import Any

from httpx import AsyncClient
from mill_api.parts import Parts
from mill_api.testing import Person, invite
from mill_contracts.ids import WorkspaceId
from mill_contracts.tokens import Role
from sqlalchemy import text

PATH = "/api/v1/api-keys"


async def make(client: AsyncClient, who: Person, *scopes: str, **wanted: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json={"name": "a key", "scopes": scopes} | wanted, headers=who.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def using(key: dict[str, Any]) -> dict[str, str]:
    return {"X-API-Key": key["key"]}


async def test_a_key_is_shown_once_and_stored_as_a_hash(client: AsyncClient, ada: Person, parts: Parts) -> None:
    made = await make(client, ada, "read")
    assert made["key"].startswith("mm_")
    listed = await client.get(PATH, headers=ada.headers)
    assert [item["id"] for item in listed.json()["items"]] == [made["id"]]
    assert made["key"] not in listed.text
    async with parts.system.reading() as session:
        row = (await session.execute(text("SELECT * FROM api_keys WHERE id = :id"), {"id": made["id"]})).one()
    assert made["key"] not in str(row)


async def test_scopes_decide_what_a_key_may_do(client: AsyncClient, ada: Person) -> None:
    reading, writing = await make(client, ada, "read"), await make(client, ada, "write", "read")
    assert (await client.get("/api/v1/projects", headers=using(reading))).status_code == 200
    refused = await client.post("/api/v1/projects", json={"name": "x"}, headers=using(reading))
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (403, "scope-missing")
    bearer = {"Authorization": f"Bearer {writing['key']}"}
    assert (await client.post("/api/v1/projects", json={"name": "x"}, headers=bearer)).status_code == 201
    predicting = await make(client, ada, "predict")
    assert (await client.get("/api/v1/projects", headers=using(predicting))).status_code == 403


async def test_a_key_makes_no_keys_and_manages_nobody(client: AsyncClient, ada: Person) -> None:
    key = await make(client, ada, "write", "read")
    answer = await client.post(PATH, json={"name": "more"}, headers=using(key))
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "session-needed")
    added = await client.post("/api/v1/users", json={"email": "x@example.com"}, headers=using(key))
    assert added.status_code == 403


async def test_a_revoked_key_is_worthless_at_once(client: AsyncClient, ada: Person) -> None:
    key = await make(client, ada, "read")
    assert (await client.delete(f"{PATH}/{key['id']}", headers=ada.headers)).status_code == 204
    assert (await client.get("/api/v1/projects", headers=using(key))).status_code == 401
    assert (await client.delete(f"{PATH}/{key['id']}", headers=ada.headers)).status_code == 404


async def test_a_key_ends_when_it_expires(client: AsyncClient, ada: Person, parts: Parts) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    refused = await client.post(PATH, json={"name": "late", "expires_at": past}, headers=ada.headers)
    assert refused.json()["errors"][0]["pointer"] == "/expires_at"
    key = await make(client, ada, "read", expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert (await client.get("/api/v1/projects", headers=using(key))).status_code == 200
    async with parts.database.writing(WorkspaceId(ada.workspace_id)) as work:
        await work.session.execute(text("UPDATE api_keys SET expires_at = now() - interval '1 second'"))
    parts.keys.forget()  # nobody told the api-server
    assert (await client.get("/api/v1/projects", headers=using(key))).status_code == 401


async def test_a_key_notes_when_it_was_used(client: AsyncClient, ada: Person) -> None:
    key = await make(client, ada, "read")
    assert key["last_used_at"] is None
    await client.get("/api/v1/projects", headers=using(key))
    listed = (await client.get(PATH, headers=ada.headers)).json()["items"]
    assert listed[0]["last_used_at"] is not None


async def test_nobody_gives_a_key_rights_they_lack(client: AsyncClient, ada: Person) -> None:
    reader = await invite(client, ada, Role.USER)
    answer = await client.post(PATH, json={"name": "x", "scopes": ["write"]}, headers=reader.headers)
    assert answer.status_code == 403


async def test_members_see_their_own_keys_and_an_admin_all(client: AsyncClient, ada: Person) -> None:
    scientist = await invite(client, ada, Role.DATA_SCIENTIST)
    hers, theirs = await make(client, ada, "read"), await make(client, scientist, "read")
    seen = [item["id"] for item in (await client.get(PATH, headers=scientist.headers)).json()["items"]]
    assert seen == [theirs["id"]]
    everything = {item["id"] for item in (await client.get(PATH, headers=ada.headers)).json()["items"]}
    assert everything == {hers["id"], theirs["id"]}
    assert (await client.delete(f"{PATH}/{hers['id']}", headers=scientist.headers)).status_code == 404


async def test_keys_of_other_workspaces_do_not_exist(client: AsyncClient, ada: Person, bob: Person) -> None:
    key = await make(client, ada, "read")
    assert (await client.get(PATH, headers=bob.headers)).json()["items"] == []
    assert (await client.delete(f"{PATH}/{key['id']}", headers=bob.headers)).status_code == 404


async def test_made_up_keys_are_refused(client: AsyncClient) -> None:
    for key in ("mm_", "mm_" + "x" * 43, "mm_' OR 1=1 --"):
        assert (await client.get("/api/v1/projects", headers={"X-API-Key": key})).status_code == 401
