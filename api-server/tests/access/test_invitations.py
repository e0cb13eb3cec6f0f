"""Invitations: a code, once, for one address, until it is taken back or runs out."""

import asyncio
from typing import Any
from uuid import uuid4

from httpx import AsyncClient
from mill_api.parts import Parts
from mill_api.testing import PASSWORD, Person, invite, register, sign_in
from mill_contracts.ids import WorkspaceId
from mill_contracts.tokens import Role
from sqlalchemy import text

PATH = "/api/v1/invitations"
REGISTER = "/api/v1/auth/register"


def slug(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def newcomer(**changes: Any) -> dict[str, Any]:
    name = f"new-{uuid4().hex[:8]}"
    return {"email": f"{name}@example.com", "username": name, "password": PASSWORD} | changes


async def make(client: AsyncClient, admin: Person, email: str, role: str = "data_scientist") -> dict[str, Any]:
    answer = await client.post(PATH, json={"email": email, "role": role}, headers=admin.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_new_user_comes_in_by_the_code(client: AsyncClient, ada: Person, parts: Parts) -> None:
    who = newcomer()
    made = await make(client, ada, who["email"].upper())
    assert made["email"] == who["email"]
    assert (await client.post(REGISTER, json=who | {"code": made["code"]})).status_code == 201
    person = await sign_in(client, who["username"])
    assert person.workspace_id == ada.workspace_id, "no workspace of their own, the inviting one"
    me = (await client.get("/api/v1/auth/me", headers=person.headers)).json()
    assert me["role"] == "data_scientist"
    assert (await client.get(PATH, headers=ada.headers)).json()["items"] == []
    async with parts.database.reading(WorkspaceId(ada.workspace_id)) as session:
        kept = await session.scalar(text("SELECT string_agg(row_to_json(invitations)::text, '') FROM invitations"))
        lines = await session.scalar(text("SELECT string_agg(row_to_json(audit_log)::text, '') FROM audit_log"))
    assert made["code"] not in str(kept) + str(lines), "only the hash is kept"


async def test_a_registered_user_joins_with_the_code(client: AsyncClient, ada: Person, bob: Person) -> None:
    made = await make(client, ada, bob.email, "user")
    joined = await client.post(f"{PATH}/accept", json={"code": made["code"]}, headers=bob.headers)
    assert joined.json() == {"workspace_id": str(ada.workspace_id), "role": "user"}
    there = {"refresh_token": bob.refresh_token, "workspace_id": str(ada.workspace_id)}
    assert (await client.post("/api/v1/auth/refresh", json=there)).status_code == 200
    again = await client.post(f"{PATH}/accept", json={"code": made["code"]}, headers=bob.headers)
    assert slug(again) == (403, "invalid-code")


async def test_a_code_is_for_one_address(client: AsyncClient, ada: Person, bob: Person) -> None:
    made = await make(client, ada, newcomer()["email"])
    assert slug(await client.post(REGISTER, json=newcomer(code=made["code"]))) == (403, "other-address")
    found = await client.post(f"{PATH}/accept", json={"code": made["code"]}, headers=bob.headers)
    assert slug(found) == (403, "other-address")


async def test_of_many_who_bring_the_same_code_one_comes_in(client: AsyncClient, ada: Person) -> None:
    who = newcomer()
    made = await make(client, ada, who["email"])
    tries = [newcomer(email=who["email"], code=made["code"]) for _ in range(8)]
    answers = await asyncio.gather(*(client.post(REGISTER, json=one) for one in tries))
    assert sorted(answer.status_code for answer in answers)[:2] == [201, 403] or sorted(
        answer.status_code for answer in answers
    )[:2] == [201, 409]


async def test_what_was_revoked_replaced_or_has_expired_lets_nobody_in(
    client: AsyncClient, ada: Person, parts: Parts
) -> None:
    who = newcomer()
    replaced = await make(client, ada, who["email"])
    revoked = await make(client, ada, who["email"])
    assert (await client.delete(f"{PATH}/{revoked['id']}", headers=ada.headers)).status_code == 204
    assert slug(await client.delete(f"{PATH}/{revoked['id']}", headers=ada.headers)) == (404, "invitation-not-found")
    expired = await make(client, ada, who["email"])
    async with parts.database.writing(WorkspaceId(ada.workspace_id)) as work:
        await work.session.execute(text("UPDATE invitations SET expires_at = now() - interval '1 second'"))
    for code in (replaced["code"], revoked["code"], expired["code"], "invite-made-up", "x"):
        assert slug(await client.post(REGISTER, json=who | {"code": code})) == (403, "invalid-code")


async def test_a_member_is_not_invited_again(client: AsyncClient, ada: Person) -> None:
    colleague = await invite(client, ada, Role.USER)
    answer = await client.post(PATH, json={"email": colleague.email}, headers=ada.headers)
    assert slug(answer) == (409, "already-member")


async def test_invitations_of_another_workspace_are_not_there(client: AsyncClient, ada: Person, bob: Person) -> None:
    made = await make(client, ada, newcomer()["email"])
    assert (await client.get(PATH, headers=bob.headers)).json()["items"] == []
    assert (await client.delete(f"{PATH}/{made['id']}", headers=bob.headers)).status_code == 404


async def test_only_the_owner_hands_a_workspace_over(client: AsyncClient, ada: Person) -> None:
    owner, current = "/api/v1/workspaces/current/owner", "/api/v1/workspaces/current"
    other = await invite(client, ada, Role.ADMIN)
    stranger = await register(client, "stranger")
    taken = await client.put(owner, json={"user_id": str(other.id)}, headers=other.headers)
    assert slug(taken) == (403, "not-owner")
    kept = await client.delete(f"/api/v1/users/{ada.id}", headers=other.headers)
    assert slug(kept) == (409, "owner-stays")
    assert (await client.put(owner, json={"user_id": str(stranger.id)}, headers=ada.headers)).status_code == 404
    handed = await client.put(owner, json={"user_id": str(other.id)}, headers=ada.headers)
    assert handed.json()["owner_id"] == str(other.id)
    assert (await client.delete(f"/api/v1/users/{ada.id}", headers=other.headers)).status_code == 204
    renamed = await client.patch(current, json={"name": "Theirs"}, headers=other.headers)
    assert renamed.json()["name"] == "Theirs"
