"""Models that are trained already, as far as the control plane can tell: rows and objects, no training."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from httpx import AsyncClient
from mill_api.datasets.tables import DatasetVersionRow
from mill_api.models.tables import ModelVersionRow
from mill_api.parts import Parts
from mill_api.testing import Person
from mill_contracts.ids import WorkspaceId, new_id

TrainedMaker = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def ask_for_training(client: AsyncClient) -> TrainedMaker:
    """A model that trains: the answer of `POST /models`."""

    async def ask(person: Person, name: str = "census") -> dict[str, Any]:
        projects = (await client.get("/api/v1/projects", headers=person.headers)).json()["items"]
        if not projects:
            made = await client.post("/api/v1/projects", json={"name": "p"}, headers=person.headers)
            projects = [made.json()]
        form = {"project_id": projects[0]["id"], "name": "people"}
        files = {"file": ("people.csv", b"a,b\n1,2\n")}
        data = await client.post("/api/v1/datasets", data=form, files=files, headers=person.headers)
        wish = {
            "name": name,
            "project_id": projects[0]["id"],
            "dataset_id": data.json()["id"],
            "model_type": "classification",
            "framework": "xgboost",
        }
        answer = await client.post("/api/v1/models/", json=wish, headers=person.headers)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return ask


@pytest.fixture
def finish_training(parts: Parts) -> Callable[..., Awaitable[None]]:
    """Let the training of a version end as the worker would: report and package in, deployments told, job succeeded."""

    async def finish(person: Person, model: dict[str, Any], *, problem: dict[str, Any] | None = None) -> None:
        live = parts.deployments.live
        async with parts.database.writing(WorkspaceId(person.workspace_id)) as work:
            version = await work.session.get_one(ModelVersionRow, model["version_id"])
            data = await work.session.get_one(DatasetVersionRow, version.dataset_version_id)
            if problem is not None:
                version.problem = problem
                await work.session.flush()
                await live.failed(work, version)
                return
            package = parts.store.put(f"models/{version.id}/{new_id()}/model.mill", b"package of " + version.id.bytes)
            version.report = {"metrics": {"roc_auc": 0.9}, "classes": [], "features": ["a"]}
            version.package_key, version.package_sha256, version.package_size = (
                package.key,
                package.sha256,
                package.size,
            )
            data.report = {"rows": 1, "columns": []}
            await work.session.flush()
            await live.trained(work, version)
        await parts.publisher.publish()

    return finish


@pytest.fixture
def trained(ask_for_training: TrainedMaker, finish_training: Callable[..., Awaitable[None]]) -> TrainedMaker:
    """A model whose latest version is trained."""

    async def make(person: Person, name: str = "census") -> dict[str, Any]:
        model = await ask_for_training(person, name)
        await finish_training(person, model)
        return model

    return make
