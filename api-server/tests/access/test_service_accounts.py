"""Service accounts and their keys: what programs sign in as."""

from typing import Any
from uuid import uuid4

from httpx import AsyncClient
from mill_api.parts import Parts
from mill_api.testing import PASSWORD, Person, invite
from mill_contracts.ids import WorkspaceId
from mill_contracts.tokens import Role
from sqlalchemy import text

PATH = "/api/v1/service-accounts"
KEYS = "/api/v1/api-keys"


async def robot(client: AsyncClient, admin: Person, role: str = "data_scientist") -> dict[str, Any]:
    answer = await client.post(PATH, json={"name": f"robot {uuid4().hex[:6]}", "role": role}, headers=admin.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def key_of(client: AsyncClient, admin: Person, account: dict[str, Any], *scopes: str) -> dict[str, str]:
    wanted = {"name": "k", "scopes": list(scopes), "service_account_id": account["id"]}
    made = await client.post(KEYS, json=wanted, headers=admin.headers)
    assert made.status_code == 201, made.text
    return {"X-API-Key": made.json()["key"]}


async def test_a_program_works_as_its_account_after_its_maker_has_left(client: AsyncClient, ada: Person) -> None:
    maker = await invite(client, ada, Role.ADMIN)
    account = await robot(client, maker)
    key = await key_of(client, maker, account, "read", "write")
    assert (await client.delete(f"/api/v1/users/{maker.id}", headers=ada.headers)).status_code == 204
    made = await client.post("/api/v1/projects", json={"name": "by a robot"}, headers=key)
    assert made.json()["owner_id"] == account["user_id"]


async def test_an_account_is_no_person(client: AsyncClient, ada: Person, parts: Parts) -> None:
    account = await robot(client, ada)
    members = (await client.get("/api/v1/users", headers=ada.headers)).json()["items"]
    assert [member["user_id"] for member in members] == [str(ada.id)]
    async with parts.database.reading() as session:
        row = (
            await session.execute(text("SELECT username, email FROM users WHERE id = :id"), {"id": account["user_id"]})
        ).one()
    for name in (row.username, row.email):
        tried = await client.post("/api/v1/auth/token", data={"username": name, "password": PASSWORD})
        assert tried.status_code == 401
    for path in (f"/api/v1/users/{account['user_id']}",):
        assert (await client.patch(path, json={"role": "admin"}, headers=ada.headers)).status_code == 404
        assert (await client.delete(path, headers=ada.headers)).status_code == 404
    refused = await client.post(PATH, json={"name": "boss", "role": "admin"}, headers=ada.headers)
    assert refused.status_code == 422


async def test_its_role_is_the_ceiling_of_its_keys(client: AsyncClient, ada: Person) -> None:
    account = await robot(client, ada, "user")
    wanted = {"name": "k", "scopes": ["write"], "service_account_id": account["id"]}
    assert (await client.post(KEYS, json=wanted, headers=ada.headers)).status_code == 403
    raised = await client.patch(f"{PATH}/{account['id']}", json={"role": "data_scientist"}, headers=ada.headers)
    assert raised.json()["role"] == "data_scientist"
    key = await key_of(client, ada, account, "write")
    await client.patch(f"{PATH}/{account['id']}", json={"role": "user"}, headers=ada.headers)
    assert (await client.post("/api/v1/projects", json={"name": "x"}, headers=key)).status_code == 403


async def test_a_deleted_account_leaves_no_working_key(client: AsyncClient, ada: Person) -> None:
    account = await robot(client, ada)
    key = await key_of(client, ada, account, "read")
    assert (await client.delete(f"{PATH}/{account['id']}", headers=ada.headers)).status_code == 204
    assert (await client.get("/api/v1/projects", headers=key)).status_code == 401
    assert (await client.get(PATH, headers=ada.headers)).json()["items"] == []


async def test_accounts_are_for_admins_of_their_workspace(client: AsyncClient, ada: Person, bob: Person) -> None:
    account = await robot(client, ada)
    assert (await client.get(PATH, headers=bob.headers)).json()["items"] == []
    assert (await client.delete(f"{PATH}/{account['id']}", headers=bob.headers)).status_code == 404
    stolen = {"name": "k", "scopes": ["read"], "service_account_id": account["id"]}
    assert (await client.post(KEYS, json=stolen, headers=bob.headers)).status_code == 404
    scientist = await invite(client, ada, Role.DATA_SCIENTIST)
    assert (await client.post(KEYS, json=stolen, headers=scientist.headers)).status_code == 403


async def test_a_name_is_unique_within_its_workspace(client: AsyncClient, ada: Person, bob: Person) -> None:
    for person, status in ((ada, 201), (ada, 409), (bob, 201)):
        assert (await client.post(PATH, json={"name": "nightly"}, headers=person.headers)).status_code == status


async def test_a_key_names_models_of_its_workspace_only(
    client: AsyncClient, ada: Person, bob: Person, parts: Parts
) -> None:
    made = await client.post("/api/v1/projects", json={"name": "p"}, headers=ada.headers)
    model = uuid4()
    insert = text(
        "INSERT INTO models (id, tenant_id, project_id, name, task, latest_version, created_by)"
        " VALUES (:id, :tenant, :project, 'm', 'regression', 1, :user)"
    )
    values = {"id": model, "tenant": ada.workspace_id, "project": made.json()["id"], "user": ada.id}
    async with parts.database.writing(WorkspaceId(ada.workspace_id)) as work:
        await work.session.execute(insert, values)
    wanted = {"name": "k", "scopes": ["predict"], "model_ids": [str(model)]}
    assert (await client.post(KEYS, json=wanted, headers=ada.headers)).status_code == 201
    foreign = await client.post(KEYS, json=wanted, headers=bob.headers)
    assert foreign.status_code == 422
    assert foreign.json()["errors"][0]["pointer"] == "/model_ids/0"


async def test_two_keys_with_the_same_beginning_are_told_apart(client: AsyncClient, ada: Person, parts: Parts) -> None:
    """A key is found by its beginning, which is not secret, and known by all of it."""
    made = [
        (await client.post(KEYS, json={"name": n, "scopes": ["read"]}, headers=ada.headers)).json() for n in ("a", "b")
    ]
    async with parts.database.writing(WorkspaceId(ada.workspace_id)) as work:
        await work.session.execute(text("UPDATE api_keys SET prefix = :p"), {"p": made[0]["prefix"]})
    assert (await client.get("/api/v1/projects", headers={"X-API-Key": made[0]["key"]})).status_code == 200
    forged = made[0]["prefix"] + "x" * (len(made[0]["key"]) - len(made[0]["prefix"]))
    assert (await client.get("/api/v1/projects", headers={"X-API-Key": forged})).status_code == 401
