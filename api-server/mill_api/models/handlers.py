"""The training job: canonical Parquet and a recipe in, a model package and its report out. Registered at the composition root."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mill_contracts.jobs import JobKind, Queue
from mill_contracts.recipe import Recipe
from mill_contracts.tasks import Limits, TrainTask
from mill_contracts.training import TrainingReport
from mill_kit.store import ObjectStore

from mill_api.datasets import repository as datasets
from mill_api.datasets.service import report_of
from mill_api.db import ReadSession, UnitOfWork
from mill_api.jobs.handlers import Attempt, Folders, Input, KindSettings, Outputs, Plan
from mill_api.jobs.tables import JobRow
from mill_api.models import repository
from mill_api.models.deployed import Deployments
from mill_api.models.errors import DatasetInvalid
from mill_api.models.recipes import choose_target, make_recipe
from mill_api.models.schemas import ModelWish
from mill_api.models.tables import ModelVersionRow
from mill_api.storage.doomed import doom

TRAIN = KindSettings(kind=JobKind.TRAIN, queue=Queue.ML, timeout=12 * 3600, memory_bytes=8 * 2**30)
_CANCELLED = {
    "type": "urn:modelmill:problem:cancelled",
    "title": "The training was cancelled",
    "status": 409,
    "detail": "Retry the job to train the version again",
}


@dataclass(frozen=True)
class TrainHandler:
    """`spec` holds `model_version_id` and `dataset_version_id`."""

    objects: ObjectStore
    deployments: Deployments
    settings: KindSettings = TRAIN

    async def build(self, reading: ReadSession, attempt: Attempt) -> Plan:
        version = await repository.version_by_id(reading, UUID(attempt.spec["model_version_id"]))
        model, _ = await repository.model(reading, version.model_id)
        data = await datasets.version_by_id(reading, UUID(attempt.spec["dataset_version_id"]))
        dataset, _ = await datasets.dataset(reading, data.dataset_id)
        table = report_of(data)
        recipe = _recipe(version, list(table.columns))

        def task(folders: Folders) -> TrainTask:
            return TrainTask(
                data_file=folders.inputs / "data.parquet",
                out_dir=folders.out,
                scratch_dir=folders.scratch,
                recipe=recipe,
                model_id=str(model.id),
                model_version_id=str(version.id),
                model_name=model.name,
                model_version=version.version,
                dataset_version_id=str(data.id),
                dataset_sha256=data.raw_sha256,
                sensitive=dataset.sensitive,
                limits=Limits(memory_bytes=self.settings.memory_bytes, threads=self.settings.threads),
            )

        if data.data_key is None:
            raise DatasetInvalid(f"Version {data.version} of {dataset.name!r} has no table to train on")
        return Plan("train", task, (Input(data.data_key, "data.parquet", table.parquet_sha256),))

    def store(self, attempt: Attempt, outputs: Outputs) -> dict[str, Any]:
        report = TrainingReport.model_validate_json((outputs.folders.out / "report.json").read_bytes())
        prefix = f"models/{attempt.spec['model_version_id']}/{attempt.token}"
        package = self.objects.put_file(f"{prefix}/model.mill", outputs.folders.out / "model.mill")
        self.objects.put_file(f"{prefix}/report.json", outputs.folders.out / "report.json")
        return {
            "package_key": package.key,
            "package_sha256": package.sha256,
            "package_size": package.size,
            "report_key": f"{prefix}/report.json",
            "metrics": report.metrics,
        }

    async def apply(self, work: UnitOfWork, attempt: Attempt, result: dict[str, Any]) -> None:
        document = await asyncio.to_thread(self.objects.get, result["report_key"])
        report = TrainingReport.model_validate_json(document)
        version = await repository.version_by_id(work.session, UUID(attempt.spec["model_version_id"]))
        version.report = report.model_dump(mode="json")
        version.recipe = report.recipe.model_dump(mode="json")
        version.target_reason = version.target_reason or _reason(version, report)
        version.target, version.problem = report.recipe.target, None
        version.package_key = result["package_key"]
        version.package_sha256 = result["package_sha256"]
        version.package_size = result["package_size"]
        await work.session.flush()
        await self.deployments.trained(work, version)
        await doom(work, self.objects, [result["report_key"]])

    async def undo(self, work: UnitOfWork, job: JobRow) -> None:
        version = await repository.find_version(work.session, UUID(job.spec["model_version_id"]))
        if version is not None:
            version.problem = job.problem or _CANCELLED
            await work.session.flush()
            await self.deployments.failed(work, version)

    async def retried(self, work: UnitOfWork, ended: JobRow, new: JobRow) -> None:
        version = await repository.version_by_id(work.session, UUID(ended.spec["model_version_id"]))
        version.job_id, version.problem = new.id, None
        await work.session.flush()


def _recipe(version: ModelVersionRow, columns: list[Any]) -> Recipe:
    if version.recipe is not None:
        return Recipe.model_validate(version.recipe)
    return make_recipe(ModelWish.model_validate(version.wish), columns)[0]


def _reason(version: ModelVersionRow, report: TrainingReport) -> str:
    """Why the target is the target, where it could not be said before the dataset was profiled."""
    wished = ModelWish.model_validate(version.wish).target
    return choose_target(wished, [*report.features, report.recipe.target]).reason
