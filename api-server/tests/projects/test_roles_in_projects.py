"""Owners, editors and viewers of projects, under the ceiling of the workspace's roles."""

from typing import Any

import pytest
from httpx import AsyncClient
from mill_api.testing import Person, invite
from mill_contracts.tokens import Role

PATH = "/api/v1/projects"


async def project(client: AsyncClient, who: Person, **fields: Any) -> str:
    made = await client.post(PATH, json={"name": "p", **fields}, headers=who.headers)
    assert made.status_code == 201, made.text
    return f"{PATH}/{made.json()['id']}"


async def rename(client: AsyncClient, path: str, who: Person) -> int:
    return (await client.patch(path, json={"description": who.username}, headers=who.headers)).status_code


@pytest.fixture
async def owner(client: AsyncClient, ada: Person) -> Person:
    return await invite(client, ada, Role.DATA_SCIENTIST, "owner")


@pytest.fixture
async def other(client: AsyncClient, ada: Person) -> Person:
    return await invite(client, ada, Role.DATA_SCIENTIST, "other")


async def test_the_default_role_decides_for_who_is_not_named(
    client: AsyncClient, ada: Person, owner: Person, other: Person
) -> None:
    path = await project(client, owner)
    assert await rename(client, path, other) == 200, "editor unless the owner says otherwise"
    taken = await client.patch(path, json={"default_role": "viewer"}, headers=other.headers)
    assert taken.status_code == 403, "an editor does not say who may edit"
    closed = await client.patch(path, json={"default_role": "viewer"}, headers=owner.headers)
    assert closed.json()["default_role"] == "viewer"
    assert await rename(client, path, other) == 403
    assert (await client.get(path, headers=other.headers)).status_code == 200
    assert await rename(client, path, ada) == 200, "an admin of the workspace is an owner everywhere"


async def test_a_named_member_has_their_own_role(client: AsyncClient, owner: Person, other: Person) -> None:
    path = await project(client, owner, default_role="viewer")
    member = f"{path}/members/{other.id}"
    named = await client.put(member, json={"role": "editor"}, headers=owner.headers)
    assert (named.status_code, named.json()["role"]) == (200, "editor")
    assert await rename(client, path, other) == 200
    assert (await client.delete(path, headers=other.headers)).status_code == 403, "deleting is for owners"
    assert (await client.put(member, json={"role": "viewer"}, headers=owner.headers)).json()["role"] == "viewer"
    assert await rename(client, path, other) == 403
    listed = (await client.get(f"{path}/members", headers=other.headers)).json()["items"]
    assert [(item["username"], item["role"]) for item in listed] == [(other.username, "viewer")]
    assert (await client.delete(member, headers=owner.headers)).status_code == 204
    assert (await client.delete(member, headers=owner.headers)).status_code == 404


async def test_the_workspace_s_role_is_the_ceiling(client: AsyncClient, ada: Person, owner: Person) -> None:
    reader = await invite(client, ada, Role.USER)
    path = await project(client, owner)
    await client.put(f"{path}/members/{reader.id}", json={"role": "editor"}, headers=owner.headers)
    assert await rename(client, path, reader) == 403


async def test_a_viewer_puts_nothing_into_the_project(client: AsyncClient, owner: Person, other: Person) -> None:
    path = await project(client, owner, default_role="viewer")
    form = {"project_id": path.rpartition("/")[2], "name": "d"}
    files = {"file": ("t.csv", b"a,b\n1,2\n")}
    refused = await client.post("/api/v1/datasets", data=form, files=files, headers=other.headers)
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (403, "project-role-too-low")
    made = await client.post("/api/v1/datasets", data=form, files=files, headers=owner.headers)
    assert made.status_code == 201
    key = await client.post("/api/v1/api-keys", json={"name": "k", "scopes": ["write"]}, headers=other.headers)
    by_key = {"X-API-Key": key.json()["key"]}
    for headers in (other.headers, by_key):
        gone = await client.delete(f"/api/v1/datasets/{made.json()['id']}", headers=headers)
        assert gone.status_code == 403
        stopped = await client.post(f"/api/v1/jobs/{made.json()['job_id']}/cancel", headers=headers)
        assert stopped.status_code == 403


async def test_ownership_is_handed_over(client: AsyncClient, ada: Person, owner: Person, other: Person) -> None:
    path = await project(client, owner)
    taken = await client.put(f"{path}/owner", json={"user_id": str(other.id)}, headers=other.headers)
    assert taken.status_code == 403
    handed = await client.put(f"{path}/owner", json={"user_id": str(other.id)}, headers=owner.headers)
    assert handed.json()["owner_id"] == str(other.id)
    assert (await client.delete(path, headers=owner.headers)).status_code == 403
    assert (await client.delete(path, headers=other.headers)).status_code == 200


async def test_who_leaves_the_workspace_leaves_its_projects(
    client: AsyncClient, ada: Person, owner: Person, other: Person, bob: Person
) -> None:
    path = await project(client, owner)
    assert (
        await client.put(f"{path}/members/{bob.id}", json={"role": "editor"}, headers=owner.headers)
    ).status_code == 404
    await client.put(f"{path}/members/{other.id}", json={"role": "viewer"}, headers=owner.headers)
    assert (await client.delete(f"/api/v1/users/{other.id}", headers=ada.headers)).status_code == 204
    assert (await client.get(f"{path}/members", headers=owner.headers)).json()["items"] == []
