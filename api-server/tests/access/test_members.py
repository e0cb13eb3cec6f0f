"""Workspaces and the people in them."""

import asyncio
from typing import Any

from httpx import AsyncClient
from mill_api.parts import Parts
from mill_api.testing import Person, invite, register, sign_in
from mill_contracts.ids import WorkspaceId
from mill_contracts.tokens import Role
from sqlalchemy import text

USERS = "/api/v1/users"


async def members(client: AsyncClient, who: Person) -> dict[str, str]:
    answer = await client.get(USERS, headers=who.headers)
    return {item["email"]: item["role"] for item in answer.json()["items"]}


async def test_an_admin_lets_people_in_and_everybody_sees_them(client: AsyncClient, ada: Person) -> None:
    reader = await invite(client, ada, Role.USER)
    assert reader.workspace_id == ada.workspace_id
    assert await members(client, reader) == {ada.email: "admin", reader.email: "user"}


async def test_only_an_admin_manages_members(client: AsyncClient, ada: Person, bob: Person) -> None:
    scientist = await invite(client, ada, Role.DATA_SCIENTIST)
    attempts: list[tuple[str, str, dict[str, Any] | None]] = [
        ("POST", USERS, {"email": bob.email}),
        ("PATCH", f"{USERS}/{scientist.id}", {"role": "admin"}),
        ("DELETE", f"{USERS}/{ada.id}", None),
    ]
    for method, path, body in attempts:
        answer = await client.request(method, path, json=body, headers=scientist.headers)
        assert answer.status_code == 403, (method, answer.text)
    assert (await members(client, ada)) == {ada.email: "admin", scientist.email: "data_scientist"}


async def test_a_new_role_counts_at_once_for_writes(client: AsyncClient, ada: Person) -> None:
    scientist = await invite(client, ada, Role.DATA_SCIENTIST)
    answer = await client.patch(f"{USERS}/{scientist.id}", json={"role": "user"}, headers=ada.headers)
    assert answer.json()["role"] == "user"
    refused = await client.post("/api/v1/projects", json={"name": "x"}, headers=scientist.headers)
    assert refused.status_code == 403, "the access token still says data_scientist, the database does not"


async def test_who_is_removed_loses_keys_and_sign_ins_here(client: AsyncClient, ada: Person) -> None:
    scientist = await invite(client, ada, Role.DATA_SCIENTIST)
    key = await client.post("/api/v1/api-keys", json={"name": "k", "scopes": ["read"]}, headers=scientist.headers)
    assert (await client.delete(f"{USERS}/{scientist.id}", headers=ada.headers)).status_code == 204
    with_key = await client.get("/api/v1/projects", headers={"X-API-Key": key.json()["key"]})
    assert with_key.status_code == 401
    again = await client.post("/api/v1/auth/refresh", json={"refresh_token": scientist.refresh_token})
    assert again.status_code == 401
    write = await client.post("/api/v1/projects", json={"name": "x"}, headers=scientist.headers)
    assert write.status_code == 401, "the access token is worthless at once, for reading too"
    assert (await sign_in(client, scientist.username)).workspace_id != ada.workspace_id


async def test_a_workspace_keeps_an_admin_even_when_two_leave_at_once(client: AsyncClient, ada: Person) -> None:
    other = await invite(client, ada, Role.ADMIN)
    answers = await asyncio.gather(
        client.delete(f"{USERS}/{other.id}", headers=ada.headers),
        client.delete(f"{USERS}/{ada.id}", headers=other.headers),
    )
    assert sorted(answer.status_code for answer in answers)[0] == 204
    left = ada if answers[0].status_code == 204 else other
    last = await client.delete(f"{USERS}/{left.id}", headers=left.headers)
    assert (last.status_code, last.json()["type"].rpartition(":")[2]) == (409, "last-admin")
    assert list((await members(client, left)).values()) == ["admin"]


async def test_a_stranger_is_no_member(client: AsyncClient, ada: Person, bob: Person) -> None:
    assert (await client.patch(f"{USERS}/{bob.id}", json={"role": "user"}, headers=ada.headers)).status_code == 404
    unknown = await client.post(USERS, json={"email": "nobody@example.com"}, headers=ada.headers)
    assert (unknown.status_code, unknown.json()["type"].rpartition(":")[2]) == (404, "user-not-found")
    twice = await client.post(USERS, json={"email": ada.email}, headers=ada.headers)
    assert (twice.status_code, twice.json()["type"].rpartition(":")[2]) == (409, "already-member")


async def test_one_switches_between_ones_workspaces_and_into_no_other(
    client: AsyncClient, ada: Person, bob: Person
) -> None:
    made = (await client.post("/api/v1/workspaces", json={"name": "Lab 🧪"}, headers=ada.headers)).json()
    assert made["role"] == "admin"
    there = await client.post(
        "/api/v1/auth/refresh", json={"refresh_token": ada.refresh_token, "workspace_id": made["id"]}
    )
    headers = {"Authorization": f"Bearer {there.json()['access_token']}"}
    assert (await client.get("/api/v1/auth/me", headers=headers)).json()["workspace_id"] == made["id"]
    form = {"username": bob.username, "password": bob.password, "workspace": made["id"]}
    assert (await client.post("/api/v1/auth/token", data=form)).status_code == 404
    stolen = {"refresh_token": bob.refresh_token, "workspace_id": made["id"]}
    assert (await client.post("/api/v1/auth/refresh", json=stolen)).status_code == 404
    kept = await client.post("/api/v1/auth/refresh", json={"refresh_token": bob.refresh_token})
    assert kept.status_code == 200, "a refused switch uses up no token"


async def test_changes_leave_a_line_that_nobody_can_change(client: AsyncClient, ada: Person, parts: Parts) -> None:
    reader = await invite(client, ada, Role.USER)
    headers = ada.headers | {"X-Request-ID": "the-request-that-did-it"}
    await client.patch(f"{USERS}/{reader.id}", json={"role": "admin"}, headers=headers)
    workspace = WorkspaceId(ada.workspace_id)
    async with parts.database.reading(workspace) as session:
        line = (await session.execute(text("SELECT * FROM audit_log ORDER BY id DESC LIMIT 1"))).one()
    assert (line.action, line.user_id, line.subject) == ("member.role-changed", ada.id, f"user:{reader.id}")
    assert line.details == {"before": "user", "after": "admin"}
    assert line.request_id == "the-request-that-did-it"
    for change in ("UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log"):
        async with parts.database.engine.connect() as connection:
            refusal = await _refusal(connection.execute(text(change)))
        assert "permission denied" in refusal


async def _refusal(attempt: Any) -> str:
    try:
        await attempt
    except Exception as error:
        return str(error)
    return "allowed"


async def test_who_registers_is_in_no_other_workspace(client: AsyncClient, ada: Person) -> None:
    newcomer = await register(client, "newcomer")
    assert await members(client, newcomer) == {newcomer.email: "admin"}
