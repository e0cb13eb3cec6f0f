"""A3: another's id in the path, the query or the body gives nothing; fields nobody offered change nothing."""

from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient
from mill_api.testing import invite, register
from mill_contracts.tokens import Role

from tests.security.evidence import Evidence
from tests.security.support import Estate, api_routes, upload, wish

TESTS = "test_a03_object_authorisation.py"
PREDICTING = {
    "/api/v1/predictions",
    "/api/v1/models/{model_id}/batch-predictions",
    "/api/v1/models/{model_id}/batch-predictions/upload",
}
"""These need the scope `predict`, which is looked at when the body is understood."""
SMUGGLED: dict[str, Any] = {
    "role": "admin",
    "tenant_id": "0197a000-0000-7000-8000-000000000001",
    "workspace_id": "0197a000-0000-7000-8000-000000000001",
    "id": "0197a000-0000-7000-8000-000000000002",
    "state": "succeeded",
    "status": "deployed",
    "created_by": "0197a000-0000-7000-8000-000000000003",
    "archived": True,
    "active": True,
    "is_admin": True,
    "package_key": "identity",
    "raw_key": "identity",
    "object_key": "published/000000000001.json",
    "sha256": "0" * 64,
    "key": "mm_mine",
    "user_id": "0197a000-0000-7000-8000-000000000004",
    "__proto__": {"role": "admin"},
}


async def test_another_workspaces_ids_in_a_body_or_query_are_unknown(
    client: AsyncClient, victim: Estate, stranger: Estate
) -> None:
    """The path is swapped in A1; here the ids that bodies and queries take."""
    evidence = Evidence(27, "Every route is authorised: ids swapped in bodies and queries", TESTS)
    headers, mine, theirs = stranger.owner.headers, stranger.ids, victim.ids
    tries = [
        await client.post("/api/v1/models", headers=headers, json=wish(victim)),
        await client.post("/api/v1/models", headers=headers, json=wish(stranger, dataset_id=theirs["dataset_id"])),
        await client.post("/api/v1/models", headers=headers, json=wish(stranger, project_id=theirs["project_id"])),
        await upload(client, headers, theirs["project_id"]),
        await client.post(
            f"/api/v1/models/{mine['model_id']}/batch-predictions",
            headers=headers,
            json={"dataset_id": theirs["dataset_id"]},
        ),
        await client.post(
            f"/api/v1/models/{theirs['model_id']}/batch-predictions",
            headers=headers,
            json={"dataset_id": mine["dataset_id"]},
        ),
        await client.get("/api/v1/models/leaderboard", headers=headers, params={"project_id": theirs["project_id"]}),
        await client.post(
            "/api/v1/predictions", headers=headers, json={"model": theirs["model_id"], "input_data": {"a": 1}}
        ),
        await client.post(
            "/api/v1/auth/refresh",
            json={"refresh_token": stranger.owner.refresh_token, "workspace_id": str(victim.owner.workspace_id)},
        ),
    ]
    for answer in tries:
        bad = answer.is_success and answer.json() not in ([], {"items": [], "next_cursor": None})
        evidence.count(failed=bad)
        assert not bad, f"{answer.request.url}: {answer.text[:300]}"
    for path, name in (
        ("datasets", "project_id"),
        ("models", "dataset_id"),
        ("batch-predictions", "model_id"),
        ("predictions", "model_id"),
    ):
        answer = await client.get(f"/api/v1/{path}", headers=headers, params={name: theirs[name]})
        evidence.count(failed=answer.is_success and bool(answer.json()["items"]))
        assert answer.status_code == 404 or answer.json()["items"] == []
    evidence.keep()


async def test_signing_in_to_anothers_workspace_is_refused(
    client: AsyncClient, victim: Estate, stranger: Estate
) -> None:
    form = {
        "username": stranger.owner.username,
        "password": stranger.owner.password,
        "workspace": str(victim.owner.workspace_id),
    }
    answer = await client.post("/api/v1/auth/token", data=form)
    assert answer.status_code in {401, 403, 404}, answer.text


async def test_fields_nobody_offered_are_refused_or_without_effect(client: AsyncClient, victim: Estate) -> None:
    """Mass assignment, on every route that takes a JSON object."""
    evidence = Evidence(27, "Every route is authorised: smuggled fields", TESTS)
    headers = victim.owner.headers
    bodies: dict[str, dict[str, Any]] = {
        "/api/v1/projects": {"name": "Smuggling"},
        "/api/v1/workspaces": {"name": "Smuggling"},
        "/api/v1/api-keys": {"name": "Smuggling"},
        "/api/v1/models": wish(victim, name="Smuggling"),
        "/api/v1/models/{model_id}/deploy": {},
        "/api/v1/models/{model_id}/batch-predictions": {"dataset_id": victim.ids["dataset_id"]},
        "/api/v1/users": {"email": "nobody@example.com", "role": "user"},
    }
    taken: list[str] = []
    for path, body in bodies.items():
        for name, value in SMUGGLED.items():
            if name in body:
                continue
            answer = await client.post(victim.path(path), headers=headers, json={**body, name: value})
            evidence.count(failed=answer.status_code != 422)
            if answer.status_code != 422:
                taken.append(f"{path} {name}: {answer.status_code}")
    for verb, path in api_routes():
        if verb == "PATCH":
            for name, value in SMUGGLED.items():
                if (path, name) in {("/api/v1/users/{user_id}", "role")}:
                    continue
                answer = await client.patch(victim.path(path), headers=headers, json={name: value})
                evidence.count(failed=answer.status_code != 422)
                if answer.status_code != 422:
                    taken.append(f"PATCH {path} {name}: {answer.status_code}")
    evidence.keep()
    assert taken == []


async def test_registering_makes_no_administrator_of_anything_else(client: AsyncClient, victim: Estate) -> None:
    for name, value in SMUGGLED.items():
        body = {
            "email": f"{name}@example.com",
            "username": "smuggler",
            "password": "correct horse battery",
            name: value,
        }
        assert (await client.post("/api/v1/auth/register", json=body)).status_code == 422, name
    del victim


async def test_fields_smuggled_beside_an_upload_are_refused(client: AsyncClient, victim: Estate) -> None:
    for name in ("tenant_id", "raw_key", "status", "version", "id", "sha256"):
        answer = await client.post(
            "/api/v1/datasets",
            headers=victim.owner.headers,
            data={"project_id": victim.ids["project_id"], "name": "Smuggled", name: "1"},
            files={"file": ("t.csv", b"a,label\n1,x\n2,y\n", "text/csv")},
        )
        assert answer.status_code == 422, (name, answer.text)


@pytest.mark.parametrize("role", [Role.USER, Role.DATA_SCIENTIST])
async def test_nobody_raises_themselves(client: AsyncClient, victim: Estate, role: Role) -> None:
    one = await invite(client, victim.owner, role)
    for wanted in ("admin", "data_scientist", "owner", "root"):
        if wanted == role.value:
            continue
        raised = await client.patch(f"/api/v1/users/{one.id}", headers=one.headers, json={"role": wanted})
        assert raised.status_code in {403, 422}, raised.text
    refreshed = await client.post("/api/v1/auth/refresh", json={"refresh_token": one.refresh_token})
    headers = {"Authorization": f"Bearer {refreshed.json()['access_token']}"}
    assert (await client.get("/api/v1/auth/me", headers=headers)).json()["role"] == role.value


async def test_a_key_gives_away_no_right_its_owner_lacks(client: AsyncClient, victim: Estate) -> None:
    one = await invite(client, victim.owner, Role.USER)
    for scopes in (["write"], ["read", "write"], ["admin"], ["*"], []):
        answer = await client.post("/api/v1/api-keys", headers=one.headers, json={"name": "k", "scopes": scopes})
        assert answer.status_code in {403, 422}, (scopes, answer.text)
    made = await client.post("/api/v1/api-keys", headers=victim.owner.headers, json={"name": "k", "scopes": ["read"]})
    with_key = {"X-API-Key": made.json()["key"]}
    for verb, path in api_routes():
        if verb != "GET" and "/auth/" not in path:
            answer = await client.request(verb, victim.path(path), headers=with_key, json={})
            assert answer.status_code in ({401, 403, 415, 422} if path in PREDICTING else {401, 403}), (verb, path)


async def test_a_member_who_left_has_nothing_left(client: AsyncClient, victim: Estate) -> None:
    one = await invite(client, victim.owner, Role.DATA_SCIENTIST)
    key = (await client.post("/api/v1/api-keys", headers=one.headers, json={"name": "k", "scopes": ["read"]})).json()[
        "key"
    ]
    assert (await client.delete(f"/api/v1/users/{one.id}", headers=victim.owner.headers)).status_code == 204
    assert (await client.get("/api/v1/projects", headers={"X-API-Key": key})).status_code == 401
    assert (await client.post("/api/v1/auth/refresh", json={"refresh_token": one.refresh_token})).status_code in {
        401,
        403,
        404,
    }
    written = await client.post("/api/v1/projects", headers=one.headers, json={"name": "Still here"})
    assert written.status_code in {401, 403, 404}, written.text


async def test_the_same_refusal_for_what_is_anothers_and_what_is_not(client: AsyncClient, victim: Estate) -> None:
    """No answer tells whether an id exists elsewhere."""
    outsider = await register(client, "outsider")
    for path in ("projects", "datasets", "models", "jobs"):
        theirs = victim.ids[f"{path[:-1]}_id"]
        answers = [
            await client.get(f"/api/v1/{path}/{one}", headers=outsider.headers) for one in (theirs, str(UUID(int=7)))
        ]
        assert {one.status_code for one in answers} == {404}
        assert len({one.json()["title"] for one in answers}) == 1
