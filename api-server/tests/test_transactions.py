"""One request, one transaction: committed before the answer, rolled back with the refusal, released when the client leaves."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from mill_api.access.dependencies import Me, Work
from mill_api.app import create_app
from mill_api.db import Database, UnitOfWork
from mill_api.errors import Conflict
from mill_api.parts import Parts
from mill_api.projects.tables import ProjectRow
from mill_api.settings import Settings
from mill_api.testing import Person
from mill_contracts.ids import WorkspaceId
from sqlalchemy.pool import QueuePool


def with_odd_routes(settings: Settings, parts: Parts) -> FastAPI:
    """An application whose routes leave their mistakes to the commit."""
    application = create_app(settings)
    application.state.parts = parts

    @application.post("/unflushed", status_code=201, tags=["odd"])
    async def unflushed(name: str, who: Me, work: Work) -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        work.session.add(ProjectRow(tenant_id=who.workspace_id, name=name))
        return {"said": "done"}

    @application.post("/refusing", tags=["odd"])
    async def refusing(name: str, who: Me, work: Work) -> None:  # pyright: ignore[reportUnusedFunction]
        work.session.add(ProjectRow(tenant_id=who.workspace_id, name=name))
        await work.session.flush()
        raise Conflict("changed my mind")

    return application


async def test_an_answer_is_sent_only_after_its_commit(
    settings: Settings, parts: Parts, client: AsyncClient, ada: Person
) -> None:
    application = with_odd_routes(settings, parts)
    async with AsyncClient(transport=ASGITransport(application), base_url="http://modelmill.test") as odd:
        first = await odd.post("/unflushed", params={"name": "once"}, headers=ada.headers)
        assert first.status_code == 201
        twice = await odd.post("/unflushed", params={"name": "once"}, headers=ada.headers)
        assert twice.status_code == 500, "the commit failed, and the client learns of it"
        refused = await odd.post("/refusing", params={"name": "never"}, headers=ada.headers)
        assert refused.status_code == 409
    listed = await client.get("/api/v1/projects", headers=ada.headers)
    assert [item["name"] for item in listed.json()["items"]] == ["once"]


async def test_clients_that_leave_give_their_connections_back(client: AsyncClient, ada: Person, parts: Parts) -> None:
    chance = random.Random(7)  # noqa: S311 - moments, not secrets

    async def leave_early(number: int) -> None:
        request = client.post("/api/v1/projects", json={"name": f"left {number}"}, headers=ada.headers)
        task = asyncio.create_task(request)
        await asyncio.wait([task], timeout=chance.uniform(0, 0.05))
        task.cancel()
        await asyncio.wait([task])

    for start in range(0, 200, 10):
        await asyncio.gather(*(leave_early(number) for number in range(start, start + 10)))
    pool = parts.database.engine.pool
    assert isinstance(pool, QueuePool)
    deadline = time.monotonic() + 10
    while pool.checkedout() and time.monotonic() < deadline:  # noqa: ASYNC110 - the pool offers no event
        await asyncio.sleep(0.02)
    assert pool.checkedout() == 0
    answers = await asyncio.gather(*(client.get("/api/v1/projects", headers=ada.headers) for _ in range(30)))
    assert {answer.status_code for answer in answers} == {200}


class LostAnswers(Database):
    """The database commits, and the connection breaks before it can say so."""

    @asynccontextmanager
    async def writing(self, tenant: WorkspaceId | None = None) -> AsyncGenerator[UnitOfWork]:
        async with super().writing(tenant) as work:
            yield work
        raise ConnectionResetError


async def test_an_upload_that_may_be_committed_keeps_its_object(
    settings: Settings, parts: Parts, client: AsyncClient, ada: Person
) -> None:
    project = (await client.post("/api/v1/projects", json={"name": "p"}, headers=ada.headers)).json()["id"]
    application = create_app(settings)
    application.state.parts = replace(parts, database=LostAnswers(parts.database.engine))
    async with AsyncClient(transport=ASGITransport(application), base_url="http://modelmill.test") as odd:
        form: dict[str, Any] = {"data": {"project_id": project}, "files": {"file": ("people.csv", b"a\n1\n")}}
        answer = await odd.post("/api/v1/datasets", **form, headers=ada.headers)
        assert answer.status_code == 503
    (kept,) = (await client.get("/api/v1/datasets", headers=ada.headers)).json()["items"]
    raw = await client.get(f"/api/v1/datasets/{kept['id']}/download", headers=ada.headers)
    assert raw.content == b"a\n1\n"
