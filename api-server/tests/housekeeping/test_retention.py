"""What is kept for a while only goes when the settings say so, and not before."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response
from mill_api.deployments.tables import PredictionRow
from mill_api.housekeeping.handlers import SweepHandler
from mill_api.jobs.ending import Databases
from mill_api.parts import Parts
from mill_api.registry import job_registry
from mill_api.settings import Settings
from mill_api.testing import Person
from mill_contracts.ids import WorkspaceId
from mill_contracts.jobs import JobKind
from sqlalchemy import select

NEVER = 1e-9
"""Days or hours: what was written a moment ago is older."""


async def sweep(parts: Parts, settings: Settings, **keep: Any) -> None:
    """The retention of a worker with these settings."""
    changed = settings.model_copy(update={"housekeeping": settings.housekeeping.model_copy(update=keep)})
    registry = job_registry(changed, parts.store, Databases(parts.database, parts.system))
    handler = registry.handlers[JobKind.SWEEP]
    assert isinstance(handler, SweepHandler)
    assert handler.housekeeping.retention is not None
    await handler.housekeeping.retention.run()


@pytest.fixture
async def predictions(parts: Parts, ada: Person) -> list[int]:
    """Ages in days of what the history of a workspace holds."""
    ages = [0, 1, 5, 40, 100]
    async with parts.database.writing(WorkspaceId(ada.workspace_id)) as work:
        for age in ages:
            at = datetime.now(UTC) - timedelta(days=age, minutes=1)
            row = PredictionRow(tenant_id=ada.workspace_id, model=str(age), asked_by=ada.id, status=200)
            row.milliseconds, row.input, row.output, row.created_at = 1.0, {}, {}, at
            work.session.add(row)
        await work.session.flush()
    return ages


async def history(parts: Parts, who: Person) -> list[int]:
    async with parts.database.reading(WorkspaceId(who.workspace_id)) as session:
        return sorted(int(model) for model in await session.scalars(select(PredictionRow.model)))


async def test_an_answer_is_given_again_until_it_has_expired(
    client: AsyncClient, ada: Person, parts: Parts, settings: Settings
) -> None:
    headers = {**ada.headers, "Idempotency-Key": str(uuid4())}

    async def ask() -> Response:
        return await client.post("/api/v1/projects", json={"name": "census"}, headers=headers)

    first = await ask()
    await sweep(parts, settings, answers_hours=1)
    again = await ask()
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    await sweep(parts, settings, answers_hours=NEVER)
    anew = await ask()
    assert (anew.status_code, anew.json()["type"].rpartition(":")[2]) == (409, "project-name-taken"), (
        "it is carried out anew"
    )
    assert "idempotency-replayed" not in anew.headers


async def test_predictions_go_when_they_are_old_or_too_many(
    parts: Parts, ada: Person, settings: Settings, predictions: list[int]
) -> None:
    await sweep(parts, settings)
    assert await history(parts, ada) == [age for age in predictions if age < 90], "90 days by default"
    await sweep(parts, settings, predictions_days=30.0)
    assert await history(parts, ada) == [0, 1, 5]
    await sweep(parts, settings, predictions_kept=2)
    assert await history(parts, ada) == [0, 1]
