"""What a workspace has and may have, counted from the rows, and refused in the transaction that would exceed it."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response
from mill_api.parts import Parts
from mill_api.quotas.operator import give
from mill_api.settings import Settings
from mill_api.testing import Person
from mill_api.usage.predictions import PredictionCounts
from mill_contracts.routing import EXHAUSTED_KEY, TALLY_KEY_PREFIX, DayCount, Exhausted, Tally
from sqlalchemy import text

TABLE = b"a,b\n" + b"1,2\n" * 100


@pytest.fixture
async def project(client: AsyncClient, ada: Person) -> str:
    return (await client.post("/api/v1/projects", json={"name": "p"}, headers=ada.headers)).json()["id"]


async def allow(settings: Settings, who: Person, *arguments: str) -> str:
    return await give(settings.database.system_url.get_secret_value(), [str(who.workspace_id), *arguments])


async def usage(client: AsyncClient, who: Person) -> dict[str, Any]:
    answer = await client.get("/api/v1/usage", headers=who.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def upload(client: AsyncClient, who: Person, project: str, content: bytes = TABLE, **headers: str) -> Response:
    files = {"file": (f"{uuid4()}.csv", content, "text/csv")}
    return await client.post(
        "/api/v1/datasets", data={"project_id": project}, files=files, headers={**who.headers, **headers}
    )


async def test_usage_says_what_there_is_and_what_may_be(client: AsyncClient, ada: Person, project: str) -> None:
    before = await usage(client, ada)
    assert before["bytes"] == {"used": 0, "limit": 100 * 2**30}
    assert before["predictions_per_day"] == {"used": 0, "limit": None}
    assert (await upload(client, ada, project)).status_code == 201
    assert (await usage(client, ada))["bytes"]["used"] == len(TABLE)


async def test_bytes_over_the_quota_are_refused_and_leave_nothing(
    client: AsyncClient, ada: Person, project: str, settings: Settings, parts: Parts
) -> None:
    await allow(settings, ada, "--bytes", str(len(TABLE) + 10))
    assert (await upload(client, ada, project)).status_code == 201
    kept = set(parts.store.keys("datasets/"))
    refused = await upload(client, ada, project)
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (403, "quota-exceeded")
    assert "delete datasets" in refused.json()["detail"]
    assert set(parts.store.keys("datasets/")) == kept
    announced = await upload(client, ada, project, b"a\n" + b"1\n" * 2**20)
    assert announced.status_code == 403, "and what is announced as too large is not even read"
    assert (await usage(client, ada))["bytes"]["used"] == len(TABLE)


async def test_a_model_from_a_file_counts_like_a_trained_one(
    client: AsyncClient, ada: Person, project: str, settings: Settings, parts: Parts
) -> None:
    await allow(settings, ada, "--models", "1")
    form = {"project_id": project, "framework": "xgboost", "model_type": "regression"}

    async def send(name: str) -> Response:
        files = {"file": ("m.json", b"{}")}
        return await client.post("/api/v1/models/upload", data={**form, "name": name}, files=files, headers=ada.headers)

    assert (await send("first")).status_code == 201
    kept = set(parts.store.keys("quarantine/"))
    refused = await send("second")
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (403, "quota-exceeded")
    assert set(parts.store.keys("quarantine/")) == kept


async def test_two_uploads_at_once_do_not_both_take_the_last_place(
    client: AsyncClient, ada: Person, project: str, settings: Settings
) -> None:
    await allow(settings, ada, "--bytes", str(len(TABLE) * 3))
    answers = await asyncio.gather(*(upload(client, ada, project) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [403] * 5
    assert (await usage(client, ada))["bytes"]["used"] == len(TABLE) * 3


async def test_the_operator_gives_and_takes_back(
    client: AsyncClient, ada: Person, bob: Person, settings: Settings
) -> None:
    assert await allow(settings, ada, "--models", "3", "--running-jobs", "0") == (
        f"Workspace {ada.workspace_id}: running_jobs 0, models 3"
    )
    assert (await usage(client, ada))["models"]["limit"] == 3
    assert (await usage(client, ada))["running_jobs"]["limit"] is None
    assert (await usage(client, bob))["models"]["limit"] == 1000
    await allow(settings, ada, "--reset")
    assert (await usage(client, ada))["models"]["limit"] == 1000


async def test_predictions_are_counted_by_day_as_far_as_they_are_reported(
    client: AsyncClient, ada: Person, parts: Parts
) -> None:
    add = text("INSERT INTO prediction_counts (tenant_id, day, source, count) VALUES (:tenant, :day, :source, :count)")
    today = datetime.now(UTC).date()
    async with parts.system.writing() as work:
        for source, count in (("replica-1/a", 40), ("replica-2/b", 2)):
            values = {"tenant": ada.workspace_id, "day": today, "source": source, "count": count}
            await work.session.execute(add, values)
    assert (await usage(client, ada))["predictions_per_day"]["used"] == 42


async def test_what_ml_service_tells_is_gathered_once_and_an_exhausted_day_is_told_back(
    client: AsyncClient, ada: Person, bob: Person, parts: Parts, settings: Settings
) -> None:
    today = datetime.now(UTC).date()
    await allow(settings, ada, "--predictions-per-day", "50")
    counts = PredictionCounts(parts.system, parts.cache, settings.quotas)
    for number, rows in (("a", 30), ("b", 20), ("a", 10)):
        told = [DayCount(workspace_id=who.workspace_id, day=today, count=rows) for who in (ada, bob)]
        tally = Tally(source=f"replica/{ada.username}{number}", counts=tuple(told))
        await parts.cache.set(TALLY_KEY_PREFIX + tally.source, tally.model_dump_json(), ex=60)
        await counts.gather()
    await counts.gather()
    assert (await usage(client, ada))["predictions_per_day"] == {"used": 50, "limit": 50}
    await counts.tell()
    exhausted = Exhausted.model_validate_json(await parts.cache.get(EXHAUSTED_KEY) or "")
    assert ada.workspace_id in exhausted.workspaces
    assert bob.workspace_id not in exhausted.workspaces
