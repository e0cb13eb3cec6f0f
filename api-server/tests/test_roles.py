"""Every route against every role, owner and kind of credential, as `docs/guides/rights.md` says; a route missing there fails here."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from mill_api.app import openapi_document
from mill_api.deployments.tables import BatchPredictionRow
from mill_api.parts import Parts
from mill_api.testing import Person, invite, register, sign_in
from mill_contracts.ids import WorkspaceId, new_id
from mill_contracts.tokens import Role

TABLE = Path(__file__).parents[2] / "docs" / "guides" / "rights.md"
NO_ID = "0197a000-0000-7000-8000-000000000000"
IN_THE_BODY = {"POST /api/v1/datasets", "POST /api/v1/models", "POST /api/v1/models/upload"}
"""Routes that name their project in the body."""
CSV = {"file": ("t.csv", b"a,b\n1,2\n")}
ROLES = ("user", "viewer", "editor", "owner", "admin")
LAST = ("logout-everywhere", "/owner", "DELETE /api/v1/projects/{project_id}", "DELETE")
"""Parts of routes that end something: asked after all others, the first of these at the very end."""


@dataclass(frozen=True)
class Right:
    method: str
    path: str
    cells: dict[str, str]
    key: str
    audit: str

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Estate:
    """A workspace with one of everything in a project, and somebody for every column of the table."""

    people: dict[str, Person]
    ids: dict[str, str] = field(default_factory=dict[str, str])


def rights() -> Iterator[Right]:
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \| (.*) \|$", TABLE.read_text(), re.MULTILINE)
    for method, path, rest in rows:
        *cells, key, audit = rest.split(" | ")
        yield Right(method, path, dict(zip(ROLES, cells, strict=True)), key, audit)


RIGHTS = sorted(rights(), key=lambda right: next((-n for n, part in enumerate(LAST) if part in right.route), -99))
GUARDED = [right for right in RIGHTS if "all" not in right.cells.values()]


async def ask(client: AsyncClient, right: Right, ids: dict[str, str], headers: dict[str, str]) -> int:
    """What a request with little in it gets: rights are looked at before the rest is."""
    known = {} if right.path.endswith("/events") else ids  # a job that is there streams until it ends
    path = re.sub(r"\{([^}]+)\}", lambda found: known.get(found[1], NO_ID), right.path)
    content: dict[str, Any] = {}
    if right.route == "POST /api/v1/datasets":
        content = {"data": {"project_id": ids["project_id"], "name": "more"}, "files": CSV}
    elif right.route == "POST /api/v1/models/upload":  # the project is named in the form, and with it the role
        form = {
            "project_id": ids["project_id"],
            "name": "uploaded",
            "framework": "xgboost",
            "model_type": "classification",
        }
        content = {"data": form, "files": {"file": ("m.json", b"{}")}}
    elif right.route == "POST /api/v1/models":
        content = {"json": wish(ids) | {"name": "more"}}
    return (await client.request(right.method, path, headers=headers, **content)).status_code


def wish(ids: dict[str, str]) -> dict[str, Any]:
    named = {"project_id": ids["project_id"], "dataset_id": ids["dataset_id"]}
    return named | {"name": "m", "model_type": "classification", "framework": "xgboost"}


async def make_estate(client: AsyncClient, parts: Parts) -> Estate:
    admin = await register(client, "admin")
    people = {"admin": admin, "user": await invite(client, admin, Role.USER)}
    for name in ("owner", "editor", "viewer"):
        people[name] = await invite(client, admin, Role.DATA_SCIENTIST, name)
    estate = Estate(people)
    ids, owner = estate.ids, people["owner"].headers

    async def post(path: str, who: Person, **content: Any) -> dict[str, Any]:
        answer = await client.post(f"/api/v1/{path}", headers=who.headers, **content)
        assert answer.is_success, answer.text
        return answer.json()

    ids["project_id"] = (await post("projects", people["owner"], json={"name": "p", "default_role": "viewer"}))["id"]
    member = f"/api/v1/projects/{ids['project_id']}/members/{people['editor'].id}"
    assert (await client.put(member, json={"role": "editor"}, headers=owner)).status_code == 200
    form = {"project_id": ids["project_id"], "name": "d"}
    data = await post("datasets", people["owner"], data=form, files=CSV)
    ids |= {"dataset_id": data["id"], "job_id": data["job_id"], "version": "1", "user_id": str(people["viewer"].id)}
    model = await post("models", people["owner"], json=wish(ids))
    ids["model_id"] = model["id"]
    ids["deployment_id"] = (await post(f"models/{model['id']}/deploy", people["owner"]))["id"]
    invitation = await post("invitations", admin, json={"email": "somebody@example.com"})
    account = await post("service-accounts", admin, json={"name": "robot"})
    ids |= {"invitation_id": invitation["id"], "account_id": account["id"]}
    async with parts.database.writing(WorkspaceId(admin.workspace_id)) as work:
        batch = BatchPredictionRow(id=new_id(), tenant_id=admin.workspace_id, model_id=model["id"])
        batch.model_version_id, batch.job_id, batch.file_name = model["version_id"], data["job_id"], "d.csv"
        batch.output_format, batch.return_probabilities = "csv", False
        work.session.add(batch)
        await work.session.flush()
    ids["batch_id"] = str(batch.id)
    return estate


@pytest.fixture(scope="module")
async def caller(app: FastAPI) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://x.test") as client:
        yield client


def test_every_route_is_in_the_table_and_nothing_else_is() -> None:
    served = {f"{method.upper()} {path}" for path, verbs in openapi_document()["paths"].items() for method in verbs}
    declared = [right.route for right in rights()]
    assert sorted(declared) == sorted(served), "declare the route in docs/guides/rights.md"


def test_every_route_that_changes_something_says_what_it_leaves_in_the_audit_log() -> None:
    silent = {right.route for right in rights() if right.audit == "-" and right.method != "GET"}
    assert silent == {"POST /api/v1/predictions", "POST /api/v1/auth/refresh"}


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_may_do_what_the_table_says(caller: AsyncClient, parts: Parts, role: str) -> None:
    estate = await make_estate(caller, parts)
    wrong: list[str] = []
    for right in GUARDED:
        if role in {"viewer", "editor", "owner"} and set(right.cells.values()) == {"yes"}:
            continue  # what the least may, these may too
        status = await ask(caller, right, estate.ids, estate.people[role].headers)
        if status in {401, 500} or (status != 403) != (right.cells[role] == "yes"):
            wrong.append(f"{right.route}: {status}, the table says {right.cells[role]}")
    assert wrong == []


async def test_without_credentials_only_the_doors_are_open(caller: AsyncClient) -> None:
    ids = {"project_id": NO_ID, "dataset_id": NO_ID}
    for right in RIGHTS:
        status = await ask(caller, right, ids, {})
        assert (status == 401) == (right in GUARDED), right.route


async def test_what_belongs_to_another_workspace_is_not_there(caller: AsyncClient, parts: Parts) -> None:
    """An admin elsewhere, with the real ids of this workspace: 404, or a body that lacks something before anything is looked up."""
    estate, stranger = await make_estate(caller, parts), await register(caller, "stranger")
    for right in GUARDED:
        if "{" in right.path or right.route in IN_THE_BODY:
            status = await ask(caller, right, estate.ids, stranger.headers)
            assert status == 404 or (status in {415, 422} and right.method != "GET"), (right.route, status)
    left = await caller.get(f"/api/v1/projects/{estate.ids['project_id']}", headers=estate.people["owner"].headers)
    assert left.status_code == 200


@pytest.mark.parametrize("scope", ["predict", "read", "write"])
async def test_a_key_does_what_its_scope_is_for_and_nothing_else(caller: AsyncClient, parts: Parts, scope: str) -> None:
    estate = await make_estate(caller, parts)
    wanted = {"name": "k", "scopes": [scope]}
    made = await caller.post("/api/v1/api-keys", json=wanted, headers=estate.people["admin"].headers)
    headers = {"X-API-Key": made.json()["key"]}
    wrong: list[str] = []
    for right in GUARDED:
        status = await ask(caller, right, estate.ids, headers)
        if (status != 403) != (right.key in {scope, "any"}):
            wrong.append(f"{right.route}: {status}, the table says {right.key}")
    assert wrong == []


async def test_a_token_of_yesterdays_member_opens_nothing(caller: AsyncClient, parts: Parts) -> None:
    estate = await make_estate(caller, parts)
    gone, admin = estate.people["editor"], estate.people["admin"]
    assert (await caller.delete(f"/api/v1/users/{gone.id}", headers=admin.headers)).status_code == 204
    for right in GUARDED:
        assert await ask(caller, right, estate.ids, gone.headers) == 401, right.route
    elsewhere = await sign_in(caller, gone.username)
    assert elsewhere.workspace_id != admin.workspace_id
