"""Rows of every domain that stores objects, and the keys they name."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from httpx import AsyncClient
from mill_api.datasets.tables import DatasetRow, DatasetVersionRow
from mill_api.deployments.tables import BatchPredictionRow
from mill_api.jobs.service import NewJob, enqueue
from mill_api.jobs.testing import witness_settings
from mill_api.models.tables import ModelRow, ModelVersionRow
from mill_api.parts import Parts
from mill_api.testing import Person
from mill_contracts.ids import WorkspaceId, new_id


@pytest.fixture
def named_by_rows(client: AsyncClient, parts: Parts) -> Callable[[Person], Awaitable[list[str]]]:
    """A dataset, a model, a batch prediction and a log in the person's workspace: the keys that their rows name."""

    async def make(person: Person) -> list[str]:
        made = await client.post("/api/v1/projects", json={"name": "kept"}, headers=person.headers)
        ids: dict[str, Any] = {"tenant_id": person.workspace_id}
        base = f"{new_id()}/{new_id()}"
        async with parts.database.writing(WorkspaceId(person.workspace_id)) as work:
            job = await enqueue(work, NewJob(witness_settings(), WorkspaceId(person.workspace_id)))
            job.log_key = f"jobs/{base}/log.txt"
            dataset = DatasetRow(**ids, project_id=made.json()["id"], name="d", latest_version=1)
            model = ModelRow(**ids, project_id=made.json()["id"], name="m", task="regression", latest_version=1)
            work.session.add_all([dataset, model])
            await work.session.flush()
            data = DatasetVersionRow(**ids, dataset_id=dataset.id, version=1, job_id=job.id, file_name="d.csv")
            data.raw_key, data.raw_sha256, data.raw_size = f"datasets/{base}/raw", "", 1
            data.data_key, data.preview_key = f"datasets/{base}/data.parquet", f"datasets/{base}/preview.json"
            version = ModelVersionRow(**ids, model_id=model.id, version=1, job_id=job.id, framework="x", algorithm="y")
            version.wish, version.package_key = {}, f"models/{base}/model.mill"
            work.session.add_all([data, version])
            await work.session.flush()
            batch = BatchPredictionRow(**ids, model_id=model.id, model_version_id=version.id, job_id=job.id)
            batch.file_name, batch.output_format, batch.return_probabilities = "d.csv", "csv", False
            batch.file_key, batch.output_key = f"scores/{base}/raw", f"scores/{base}/predictions.csv"
            work.session.add(batch)
            await work.session.flush()
        named = (job.log_key, data.raw_key, data.data_key, data.preview_key, version.package_key)
        return [key for key in (*named, batch.file_key, batch.output_key) if key is not None]

    return make
