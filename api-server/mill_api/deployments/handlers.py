"""The scoring job: a model package and a table in, the table with predictions out. Registered at the composition root."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mill_contracts.jobs import JobKind, Queue
from mill_contracts.tasks import Limits, ScoreTask
from mill_contracts.training import ScoreReport
from mill_kit.store import ObjectStore

from mill_api.datasets import repository as datasets
from mill_api.datasets.service import report_of
from mill_api.db import ReadSession, UnitOfWork
from mill_api.deployments import repository
from mill_api.deployments.errors import BatchNotDone
from mill_api.deployments.tables import BatchPredictionRow
from mill_api.jobs.handlers import Attempt, Folders, Input, KindSettings, Outputs, Plan
from mill_api.jobs.tables import JobRow
from mill_api.models import repository as models
from mill_api.models.errors import ModelNotTrained

SCORE = KindSettings(kind=JobKind.SCORE, queue=Queue.ML, timeout=6 * 3600, memory_bytes=4 * 2**30)
_CANCELLED = {
    "type": "urn:modelmill:problem:cancelled",
    "title": "The batch prediction was cancelled",
    "status": 409,
    "detail": "Retry the job to score the table again",
}


@dataclass(frozen=True)
class ScoreHandler:
    """`spec` holds `batch_id`, `model_version_id` and, for a dataset, `dataset_version_id`."""

    objects: ObjectStore
    settings: KindSettings = SCORE

    async def build(self, reading: ReadSession, attempt: Attempt) -> Plan:
        batch = await repository.batch(reading, UUID(attempt.spec["batch_id"]))
        version = await models.version_by_id(reading, batch.model_version_id)
        if version.package_key is None:
            raise ModelNotTrained(f"Version {version.version} has no package")
        table = await _table(reading, batch)

        def task(folders: Folders) -> ScoreTask:
            return ScoreTask(
                package_file=folders.inputs / "model.mill",
                data_file=folders.inputs / table.name,
                out_dir=folders.out,
                scratch_dir=folders.scratch,
                source_is_canonical=batch.file_key is None,
                file_name=batch.file_name,
                output_format="csv" if batch.output_format == "csv" else "parquet",
                return_probabilities=batch.return_probabilities,
                limits=Limits(memory_bytes=self.settings.memory_bytes, threads=self.settings.threads),
            )

        return Plan("score", task, (Input(version.package_key, "model.mill", version.package_sha256), table))

    def store(self, attempt: Attempt, outputs: Outputs) -> dict[str, Any]:
        report = ScoreReport.model_validate_json((outputs.folders.out / "report.json").read_bytes())
        key = f"scores/{attempt.id}/{attempt.token}/predictions.{report.output_format}"
        self.objects.put_file(key, outputs.folders.out / report.output_file)
        return {"output_key": key, "report": report.model_dump(mode="json")}

    async def apply(self, work: UnitOfWork, attempt: Attempt, result: dict[str, Any]) -> None:
        batch = await repository.batch(work.session, UUID(attempt.spec["batch_id"]))
        batch.output_key, batch.report, batch.problem = result["output_key"], result["report"], None
        await work.session.flush()

    async def undo(self, work: UnitOfWork, job: JobRow) -> None:
        batch = await repository.find_batch(work.session, UUID(job.spec["batch_id"]))
        if batch is not None:
            batch.problem = job.problem or _CANCELLED
            await work.session.flush()

    async def retried(self, work: UnitOfWork, ended: JobRow, new: JobRow) -> None:
        batch = await repository.batch(work.session, UUID(ended.spec["batch_id"]))
        batch.job_id, batch.problem = new.id, None
        await work.session.flush()


async def _table(reading: ReadSession, batch: BatchPredictionRow) -> Input:
    """The uploaded file as it came, or the dataset's canonical Parquet."""
    if batch.file_key is not None:
        return Input(batch.file_key, "raw", batch.file_sha256)
    if batch.dataset_version_id is None:
        raise BatchNotDone("The dataset was deleted before it was scored")
    data = await datasets.version_by_id(reading, batch.dataset_version_id)
    return Input(data.data_key or "", "data.parquet", report_of(data).parquet_sha256)
