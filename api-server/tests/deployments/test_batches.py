"""Deleting batch predictions, and what goes with their model: rows and objects together."""

from collections.abc import Awaitable, Callable
from typing import Any

from httpx import AsyncClient
from mill_api.deployments.tables import BatchPredictionRow
from mill_api.parts import Parts
from mill_api.quotas.operator import give
from mill_api.settings import Settings
from mill_api.testing import Person
from mill_contracts.ids import WorkspaceId, new_id

Maker = Callable[..., Awaitable[dict[str, Any]]]
CSV = b"a\n1\n"


async def score_file(client: AsyncClient, person: Person, model: dict[str, Any]) -> dict[str, Any]:
    path = f"/api/v1/models/{model['id']}/batch-predictions/upload"
    answer = await client.post(path, files={"file": ("rows.csv", CSV)}, headers=person.headers)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def finish(parts: Parts, person: Person, batch: dict[str, Any]) -> set[str]:
    """Let the scoring end as the worker would; the keys of the two objects."""
    async with parts.database.writing(WorkspaceId(person.workspace_id)) as work:
        row = await work.session.get_one(BatchPredictionRow, batch["id"])
        output = parts.store.put(f"scores/{new_id()}/{new_id()}/predictions.csv", b"1\n")
        row.output_key = output.key
        await work.session.flush()
        assert row.file_key is not None
        return {row.file_key, output.key}


async def cancel(client: AsyncClient, person: Person, batch: dict[str, Any]) -> None:
    answer = await client.post(f"/api/v1/jobs/{batch['job_id']}/cancel", headers=person.headers)
    assert answer.json()["state"] == "cancelled", answer.text


async def test_a_batch_prediction_is_deleted_with_its_file_and_its_result(
    client: AsyncClient, ada: Person, trained: Maker, parts: Parts
) -> None:
    batch = await score_file(client, ada, await trained(ada))
    keys = await finish(parts, ada, batch)
    assert all(parts.store.exists(key) for key in keys)
    await cancel(client, ada, batch)
    path = f"/api/v1/batch-predictions/{batch['id']}/"
    assert (await client.delete(path, headers=ada.headers)).status_code == 204
    assert (await client.get(path, headers=ada.headers)).status_code == 404
    assert not any(parts.store.exists(key) for key in keys)
    assert (await client.delete(path, headers=ada.headers)).json()["type"].endswith("batch-prediction-not-found")


async def test_a_batch_prediction_stays_until_its_job_has_ended(
    client: AsyncClient, ada: Person, trained: Maker
) -> None:
    batch = await score_file(client, ada, await trained(ada))
    refused = await client.delete(f"/api/v1/batch-predictions/{batch['id']}", headers=ada.headers)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:modelmill:problem:batch-prediction-in-use")
    assert batch["job_id"] in refused.json()["detail"]


async def test_nobody_deletes_a_batch_prediction_of_another_workspace(
    client: AsyncClient, ada: Person, bob: Person, trained: Maker
) -> None:
    batch = await score_file(client, ada, await trained(ada))
    refused = await client.delete(f"/api/v1/batch-predictions/{batch['id']}", headers=bob.headers)
    assert refused.status_code == 404


async def test_a_deleted_model_takes_the_objects_of_its_batch_predictions_along(
    client: AsyncClient, ada: Person, trained: Maker, parts: Parts
) -> None:
    model = await trained(ada)
    batch = await score_file(client, ada, model)
    keys = await finish(parts, ada, batch)
    await cancel(client, ada, batch)
    for job in (await client.get("/api/v1/jobs?state=queued&state=waiting", headers=ada.headers)).json()["items"]:
        await client.post(f"/api/v1/jobs/{job['id']}/cancel", headers=ada.headers)
    deleted = await client.delete(f"/api/v1/models/{model['id']}", headers=ada.headers)
    assert deleted.status_code == 204, deleted.text
    assert not any(parts.store.exists(key) for key in keys)


async def test_an_uploaded_file_counts_in_the_quota_of_bytes_until_it_is_deleted(
    client: AsyncClient, ada: Person, trained: Maker, parts: Parts, settings: Settings
) -> None:
    async def used() -> int:
        return (await client.get("/api/v1/usage", headers=ada.headers)).json()["bytes"]["used"]

    model = await trained(ada)
    before = await used()
    batch = await score_file(client, ada, model)
    assert await used() == before + len(CSV)
    url = settings.database.system_url.get_secret_value()
    await give(url, [str(ada.workspace_id), "--bytes", str(before + len(CSV))])
    kept = set(parts.store.keys("scores/"))
    refused = await client.post(
        f"/api/v1/models/{model['id']}/batch-predictions/upload",
        files={"file": ("rows.csv", CSV)},
        headers=ada.headers,
    )
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (403, "quota-exceeded")
    assert set(parts.store.keys("scores/")) == kept
    await cancel(client, ada, batch)
    assert (await client.delete(f"/api/v1/batch-predictions/{batch['id']}", headers=ada.headers)).status_code == 204
    assert await used() == before
