"""Every route against every role, from the OpenAPI document: a new route without a rule fails here."""

import re
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from mill_api.app import openapi_document
from mill_api.testing import Person, invite, register
from mill_contracts.tokens import Role

NO_ID = "0197a000-0000-7000-8000-000000000000"
OPEN = {f"/api/v1/auth/{verb}" for verb in ("register", "token", "refresh", "logout")}
FOR_EVERY_MEMBER = {
    ("post", "/api/v1/api-keys"),
    ("delete", "/api/v1/api-keys/{key_id}"),
    ("patch", "/api/v1/users/me"),
    ("post", "/api/v1/workspaces"),
    ("post", "/api/v1/predictions"),
    ("post", "/api/v1/models/{model_id}/batch-predictions"),
    ("post", "/api/v1/models/{model_id}/batch-predictions/upload"),
}
FOR_EVERY_KEY = {("get", "/api/v1/models/algorithms")}  # the same for everybody; no workspace is read
FOR_ADMINS = {("post", "/api/v1/users"), ("patch", "/api/v1/users/{user_id}"), ("delete", "/api/v1/users/{user_id}")}
ROUTES = [
    (method, path)
    for path, methods in sorted(openapi_document()["paths"].items())
    for method in methods
    if path not in OPEN
]
READS = [route for route in ROUTES if route[0] == "get" and route not in FOR_EVERY_KEY]
WRITES = [route for route in ROUTES if route[0] != "get"]


async def status(client: AsyncClient, route: tuple[str, str], headers: dict[str, str]) -> int:
    """What an empty request gets: rights are looked at before the body is."""
    method, path = route
    return (await client.request(method.upper(), re.sub(r"\{[^}]+\}", NO_ID, path), headers=headers)).status_code


@pytest.fixture(scope="module")
async def people(app: FastAPI) -> AsyncIterator[dict[Role, Person]]:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://x.test") as client:
        admin = await register(client, "admin")
        yield {Role.ADMIN: admin} | {
            role: await invite(client, admin, role) for role in (Role.USER, Role.DATA_SCIENTIST)
        }


@pytest.mark.parametrize("route", WRITES, ids="{0[0]} {0[1]}".format)
async def test_a_user_changes_nothing_but_their_own(
    client: AsyncClient, people: dict[Role, Person], route: tuple[str, str]
) -> None:
    allowed = await status(client, route, people[Role.USER].headers) != 403
    assert allowed == (route in FOR_EVERY_MEMBER)


@pytest.mark.parametrize("route", WRITES, ids="{0[0]} {0[1]}".format)
async def test_a_data_scientist_changes_all_but_the_members(
    client: AsyncClient, people: dict[Role, Person], route: tuple[str, str]
) -> None:
    allowed = await status(client, route, people[Role.DATA_SCIENTIST].headers) != 403
    assert allowed == (route not in FOR_ADMINS)


@pytest.mark.parametrize("route", ROUTES, ids="{0[0]} {0[1]}".format)
async def test_an_admin_may_do_everything_and_nothing_breaks(
    client: AsyncClient, people: dict[Role, Person], route: tuple[str, str]
) -> None:
    assert await status(client, route, people[Role.ADMIN].headers) not in {401, 403, 500}


@pytest.mark.parametrize("route", READS, ids="{0[0]} {0[1]}".format)
async def test_a_key_without_the_scope_reads_nothing(
    client: AsyncClient, people: dict[Role, Person], route: tuple[str, str]
) -> None:
    wanted = {"name": "k", "scopes": ["predict"]}
    made = await client.post("/api/v1/api-keys", json=wanted, headers=people[Role.ADMIN].headers)
    assert await status(client, route, {"X-API-Key": made.json()["key"]}) == 403
