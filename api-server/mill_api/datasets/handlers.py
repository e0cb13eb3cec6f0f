"""The profile job: the raw upload in, canonical Parquet, statistics and preview out. Registered at the composition root."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mill_contracts.jobs import JobKind, Queue
from mill_contracts.tables import DatasetReport
from mill_contracts.tasks import Limits, ProfileTask
from mill_kit.store import ObjectStore

from mill_api.datasets import repository
from mill_api.db import ReadSession, UnitOfWork
from mill_api.jobs.handlers import Attempt, Folders, Input, KindSettings, Outputs, Plan
from mill_api.jobs.tables import JobRow
from mill_api.storage.doomed import doom

PROFILE = KindSettings(kind=JobKind.PROFILE, queue=Queue.DATA, timeout=2 * 3600, memory_bytes=4 * 2**30)
_CANCELLED = {
    "type": "urn:modelmill:problem:cancelled",
    "title": "The profile was cancelled",
    "status": 409,
    "detail": "Retry the job to profile the file again",
}


@dataclass(frozen=True)
class ProfileHandler:
    """`spec` holds `version_id`. The report travels as an object, because thousands of columns make it large."""

    objects: ObjectStore
    settings: KindSettings = PROFILE

    async def build(self, reading: ReadSession, attempt: Attempt) -> Plan:
        version = await repository.version_by_id(reading, UUID(attempt.spec["version_id"]))

        def task(folders: Folders) -> ProfileTask:
            return ProfileTask(
                raw_file=folders.inputs / "raw",
                out_dir=folders.out,
                scratch_dir=folders.scratch,
                file_name=version.file_name,
                limits=Limits(memory_bytes=self.settings.memory_bytes, threads=self.settings.threads),
            )

        return Plan("profile", task, (Input(version.raw_key, "raw", version.raw_sha256),))

    def store(self, attempt: Attempt, outputs: Outputs) -> dict[str, Any]:
        report = DatasetReport.model_validate_json((outputs.folders.out / "report.json").read_bytes())
        prefix = f"datasets/{attempt.spec['version_id']}/{attempt.token}"
        keys = {name: f"{prefix}/{name}" for name in ("data.parquet", "preview.json", "report.json")}
        for name, key in keys.items():
            self.objects.put_file(key, outputs.folders.out / name)
        return {"keys": keys, "rows": report.rows, "columns": len(report.columns), "warnings": len(report.warnings)}

    async def apply(self, work: UnitOfWork, attempt: Attempt, result: dict[str, Any]) -> None:
        keys = result["keys"]
        report = await asyncio.to_thread(self.objects.get, keys["report.json"])
        version = await repository.version_by_id(work.session, UUID(attempt.spec["version_id"]))
        version.report = DatasetReport.model_validate_json(report).model_dump(mode="json")
        version.data_key, version.preview_key, version.problem = keys["data.parquet"], keys["preview.json"], None
        await work.session.flush()
        await doom(work, self.objects, [keys["report.json"]])

    async def undo(self, work: UnitOfWork, job: JobRow) -> None:
        version = await repository.find_version(work.session, UUID(job.spec["version_id"]))
        if version is not None:
            version.problem = job.problem or _CANCELLED
            await work.session.flush()

    async def retried(self, work: UnitOfWork, ended: JobRow, new: JobRow) -> None:
        version = await repository.version_by_id(work.session, UUID(ended.spec["version_id"]))
        version.job_id, version.problem = new.id, None
        await work.session.flush()
