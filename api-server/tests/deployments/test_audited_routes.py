"""Every route that changes something is walked once, and leaves the line that `docs/guides/rights.md` says."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from httpx import AsyncClient, Response
from mill_api.deployments.tables import BatchPredictionRow
from mill_api.parts import Parts
from mill_api.testing import PASSWORD, Person, invite, sign_in
from mill_contracts.ids import WorkspaceId, new_id
from mill_contracts.tokens import Role
from sqlalchemy import text

TABLE = Path(__file__).parents[3] / "docs" / "guides" / "rights.md"
NEED_A_MODEL_FILE = {"POST /api/v1/models/upload", "POST /api/v1/models/{model_id}/upload"}
"""Not walked here; like every route that takes `Work`, they leave a line by construction."""
CSV = {"file": ("t.csv", b"a,b\n1,2\n")}
Trained = Callable[..., Awaitable[dict[str, Any]]]


def declared() -> dict[str, set[str]]:
    """The lines each changing route may leave, by method and path."""
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \|.*\| ([^|]+) \|$", TABLE.read_text(), re.MULTILINE)
    return {f"{verb} {path}": set(lines.split(", ")) for verb, path, lines in rows if lines != "-"}


class Walk:
    """Sends changes as one person and notes which line each left."""

    def __init__(self, client: AsyncClient, parts: Parts, who: Person) -> None:
        self.client, self.parts, self.who = client, parts, who
        self.left: dict[str, set[str]] = {}

    async def __call__(self, route: str, *, who: Person | None = None, **content: Any) -> Any:
        """`content` holds the ids of the path too, by name."""
        method, path = route.split()
        names = re.findall(r"\{([^}]+)\}", path)
        ids = {name: str(content.pop(name)) for name in names}
        request_id = f"walk-{uuid4().hex}"
        headers = (who or self.who).headers | {"X-Request-ID": request_id}
        answer: Response = await self.client.request(method, path.format(**ids), headers=headers, **content)
        assert answer.is_success, f"{route}: {answer.text}"
        self.left.setdefault(route, set()).update(await self._lines(request_id))
        return answer.json() if answer.content else None

    async def _lines(self, request_id: str) -> list[str]:
        async with self.parts.database.reading(WorkspaceId(self.who.workspace_id)) as session:
            query = text("SELECT action FROM audit_log WHERE request_id = :id")
            return list(await session.scalars(query, {"id": request_id}))


async def test_every_changing_route_leaves_its_line(
    client: AsyncClient, ada: Person, parts: Parts, trained: Trained
) -> None:
    walk = Walk(client, parts, ada)
    await _people(walk, client)
    await _access(walk)
    await _models(walk, trained)
    await _projects(walk, client)
    await walk("POST /api/v1/auth/logout", json={"refresh_token": ada.refresh_token})
    fresh = await sign_in(client, ada.username)
    await walk("POST /api/v1/auth/logout-everywhere", who=fresh)
    wanted = declared()
    elsewhere = {"POST /api/v1/workspaces"}  # its line lies in the new workspace
    assert set(wanted) - set(walk.left) == NEED_A_MODEL_FILE, "walk these too"
    assert {route: left for route, left in walk.left.items() if not left <= wanted[route]} == {}
    assert {route for route, left in walk.left.items() if not left} == elsewhere


async def _people(walk: Walk, client: AsyncClient) -> None:
    form = {"username": walk.who.username, "password": PASSWORD}
    await walk("POST /api/v1/auth/token", data=form)
    made = await walk("POST /api/v1/invitations", json={"email": f"{uuid4().hex}@example.com"})
    newcomer = {"email": made["email"], "username": f"n{uuid4().hex[:8]}", "password": PASSWORD, "code": made["code"]}
    user = await walk("POST /api/v1/auth/register", json=newcomer)
    await walk("PATCH /api/v1/users/{user_id}", user_id=user["id"], json={"role": "admin"})
    await walk("DELETE /api/v1/users/{user_id}", user_id=user["id"])
    await walk("POST /api/v1/users", json={"email": made["email"], "role": "user"})
    await walk("DELETE /api/v1/users/{user_id}", user_id=user["id"])
    again = await walk("POST /api/v1/invitations", json={"email": made["email"]})
    outside = {"email": f"{uuid4().hex}@example.com", "username": f"o{uuid4().hex[:8]}", "password": PASSWORD}
    assert (await client.post("/api/v1/auth/register", json=outside)).status_code == 201
    mine = await sign_in(client, outside["username"])
    theirs = await walk("POST /api/v1/invitations", json={"email": outside["email"]})
    await walk("POST /api/v1/invitations/accept", who=mine, json={"code": theirs["code"]})
    await walk("DELETE /api/v1/invitations/{invitation_id}", invitation_id=again["id"])
    await walk("PATCH /api/v1/users/me", json={"full_name": "Ada Lovelace"})


async def _access(walk: Walk) -> None:
    await walk("POST /api/v1/workspaces", json={"name": "second"})
    await walk("PATCH /api/v1/workspaces/current", json={"name": "first"})
    await walk("PUT /api/v1/workspaces/current/owner", json={"user_id": str(walk.who.id)})
    account = await walk("POST /api/v1/service-accounts", json={"name": "robot"})
    await walk("PATCH /api/v1/service-accounts/{account_id}", account_id=account["id"], json={"name": "r2"})
    key = await walk("POST /api/v1/api-keys", json={"name": "k", "service_account_id": account["id"]})
    await walk("DELETE /api/v1/api-keys/{key_id}", key_id=key["id"])
    await walk("DELETE /api/v1/service-accounts/{account_id}", account_id=account["id"])


async def _models(walk: Walk, trained: Trained) -> None:
    model = await trained(walk.who, "walked")
    at = {"model_id": model["id"]}
    for verb in ("deprecate", "restore", "deploy"):
        await walk(f"POST /api/v1/models/{{model_id}}/{verb}", **at)
    fresh = {"project_id": model["project_id"], "name": "waited for"}
    waiting = await walk("POST /api/v1/datasets", data=fresh, files=CSV)
    wish = {"name": "walked", "project_id": model["project_id"], "dataset_id": waiting["id"]}
    second = await walk("POST /api/v1/models", json=wish | {"model_type": "classification", "framework": "xgboost"})
    await walk("POST /api/v1/jobs/{job_id}/cancel", job_id=second["job_id"])
    await walk("POST /api/v1/jobs/{job_id}/retry", job_id=second["job_id"])
    await trained(walk.who, "walked")
    await walk("POST /api/v1/models/{model_id}/deploy", **at)
    await walk("POST /api/v1/models/{model_id}/rollback", **at)
    await walk("POST /api/v1/models/{model_id}/undeploy", **at)
    await walk("PATCH /api/v1/models/{model_id}", **at, json={"description": "x"})
    form = {"project_id": model["project_id"], "name": "scored"}
    data = await walk("POST /api/v1/datasets", data=form, files=CSV)
    wanted = {"dataset_id": data["id"]}
    await walk("POST /api/v1/models/{model_id}/batch-predictions", **at, json=wanted)
    await walk("POST /api/v1/models/{model_id}/batch-predictions/upload", **at, files=CSV)
    batch = await _ended_batch(walk, model)
    await walk("DELETE /api/v1/batch-predictions/{batch_id}", batch_id=batch)
    await walk("PATCH /api/v1/datasets/{dataset_id}", dataset_id=data["id"], json={"description": "y"})


async def _ended_batch(walk: Walk, model: dict[str, Any]) -> str:
    """One whose job has ended, and nothing else of the workspace with open jobs."""
    async with walk.parts.database.writing(WorkspaceId(walk.who.workspace_id)) as work:
        await work.session.execute(
            text(
                "UPDATE jobs SET state = 'cancelled', finished_at = now()"
                " WHERE state NOT IN ('succeeded', 'failed', 'cancelled')"
            )
        )
        job = await work.session.scalar(text("SELECT id FROM jobs WHERE state = 'cancelled' LIMIT 1"))
        batch = BatchPredictionRow(id=new_id(), tenant_id=walk.who.workspace_id, model_id=model["id"])
        batch.model_version_id, batch.job_id, batch.file_name = model["version_id"], job, "d.csv"
        batch.output_format, batch.return_probabilities = "csv", False
        work.session.add(batch)
        await work.session.flush()
    return str(batch.id)


async def _projects(walk: Walk, client: AsyncClient) -> None:
    colleague = await invite(client, walk.who, Role.DATA_SCIENTIST)
    at = {"project_id": (await walk("POST /api/v1/projects", json={"name": "walked"}))["id"]}
    await walk("PATCH /api/v1/projects/{project_id}", **at, json={"description": "z"})
    member = str(colleague.id)
    named = "/api/v1/projects/{project_id}/members/{user_id}"
    await walk(f"PUT {named}", **at, user_id=member, json={"role": "viewer"})
    await walk(f"DELETE {named}", **at, user_id=member)
    await walk("PUT /api/v1/projects/{project_id}/owner", **at, json={"user_id": member})
    await walk("POST /api/v1/projects/{project_id}/archive", **at)
    await walk("POST /api/v1/projects/{project_id}/unarchive", **at)
    await walk("DELETE /api/v1/projects/{project_id}", **at)
    for kind in ("model", "dataset"):
        listed = await client.get(f"/api/v1/{kind}s", headers=walk.who.headers)
        found = listed.json()["items"][0]["id"]
        await walk(f"DELETE /api/v1/{kind}s/{{{kind}_id}}", who=None, **{f"{kind}_id": found})
