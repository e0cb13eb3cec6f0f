"""The job that judges an uploaded model file: quarantined bytes in, a package of our own out, or the reason why not.

Registered at the composition root. However it ends, the file leaves quarantine: what is served is the package alone.
"""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mill_contracts.adoption import AdoptionReport, DeclaredSignature, ModelFramework
from mill_contracts.jobs import JobKind, Queue
from mill_contracts.recipe import Task
from mill_contracts.tasks import AdoptTask, Limits
from mill_kit.problems import Conflict
from mill_kit.store import ObjectStore

from mill_api.access.tables import AuditRow
from mill_api.db import ReadSession, UnitOfWork
from mill_api.jobs.handlers import Attempt, Folders, Input, KindSettings, Outputs, Plan
from mill_api.jobs.tables import JobRow
from mill_api.models import repository
from mill_api.models.deployed import Deployments
from mill_api.models.tables import ModelVersionRow
from mill_api.storage.doomed import doom

ADOPT = KindSettings(kind=JobKind.ADOPT, queue=Queue.ML, max_attempts=2, timeout=1800, memory_bytes=6 * 2**30)
_SANDBOX_BYTES = 4 * 2**30
_SANDBOX_SECONDS = 300.0
_CANCELLED = {
    "type": "urn:modelmill:problem:cancelled",
    "title": "The validation was cancelled",
    "status": 409,
    "detail": "Upload the file again to have it validated",
}


class UploadedFileGone(Conflict):
    """An uploaded file is judged once and then deleted, whatever the verdict."""

    slug = "uploaded-file-gone"
    title = "The uploaded file is no longer there"


@dataclass(frozen=True)
class AdoptHandler:
    """`spec` holds `model_version_id`."""

    objects: ObjectStore
    deployments: Deployments
    settings: KindSettings = ADOPT

    async def build(self, reading: ReadSession, attempt: Attempt) -> Plan:
        version = await repository.version_by_id(reading, UUID(attempt.spec["model_version_id"]))
        model, _ = await repository.model(reading, version.model_id)
        upload = version.upload
        if upload is None or not upload.get("key"):
            raise UploadedFileGone("Upload the file again")
        wish = version.wish

        def task(folders: Folders) -> AdoptTask:
            return AdoptTask(
                raw_file=folders.inputs / "upload",
                out_dir=folders.out,
                scratch_dir=folders.scratch,
                framework=ModelFramework(version.framework),
                task=Task(model.task),
                signature=DeclaredSignature.model_validate(wish["signature"]),
                sample_rows=_samples(wish),
                model_id=str(model.id),
                model_version_id=str(version.id),
                model_name=model.name,
                model_version=version.version,
                file_name=upload["file_name"],
                file_sha256=upload["sha256"],
                seconds=_SANDBOX_SECONDS,
                limits=Limits(memory_bytes=_SANDBOX_BYTES, threads=1),
            )

        return Plan("adopt", task, (Input(upload["key"], "upload", upload["sha256"]),))

    def store(self, attempt: Attempt, outputs: Outputs) -> dict[str, Any]:
        report = AdoptionReport.model_validate_json((outputs.folders.out / "report.json").read_bytes())
        prefix = f"models/{attempt.spec['model_version_id']}/{attempt.token}"
        package = self.objects.put_file(f"{prefix}/model.mill", outputs.folders.out / "model.mill")
        self.objects.put_file(f"{prefix}/report.json", outputs.folders.out / "report.json")
        return {
            "package_key": package.key,
            "package_sha256": package.sha256,
            "package_size": package.size,
            "report_key": f"{prefix}/report.json",
            "format": report.format.value,
        }

    async def apply(self, work: UnitOfWork, attempt: Attempt, result: dict[str, Any]) -> None:
        document = await asyncio.to_thread(self.objects.get, result["report_key"])
        report = AdoptionReport.model_validate_json(document)
        version = await repository.version_by_id(work.session, UUID(attempt.spec["model_version_id"]))
        version.report = report.model_dump(mode="json")
        version.algorithm, version.target, version.problem = report.algorithm, report.target, None
        version.package_key = result["package_key"]
        version.package_sha256 = result["package_sha256"]
        version.package_size = result["package_size"]
        keys = _out_of_quarantine(version)
        _note(work, version, "model.accepted", attempt.requested_by, attempt.request_id, format=report.format.value)
        await work.session.flush()
        await self.deployments.trained(work, version)
        await doom(work, self.objects, [result["report_key"], *keys])

    async def undo(self, work: UnitOfWork, job: JobRow) -> None:
        version = await repository.find_version(work.session, UUID(job.spec["model_version_id"]))
        if version is None:
            return
        version.problem = job.problem or _CANCELLED
        keys = _out_of_quarantine(version)
        reason = str((job.problem or _CANCELLED).get("detail", ""))[:500]
        _note(work, version, "model.rejected", job.requested_by, job.request_id, reason=reason)
        await work.session.flush()
        await self.deployments.failed(work, version)
        await doom(work, self.objects, keys)

    async def retried(self, work: UnitOfWork, ended: JobRow, new: JobRow) -> None:  # noqa: ARG002 - the handler's protocol
        raise UploadedFileGone("An uploaded file is judged once and then deleted; upload it again")


def _samples(wish: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The sample rows, their members in the order in which the first of them came."""
    columns: list[str] = wish["columns"]
    return tuple({**{name: row[name] for name in columns if name in row}, **row} for row in wish["sample_rows"])


def _out_of_quarantine(version: ModelVersionRow) -> list[str]:
    """The key the file lay under, which the row forgets now."""
    upload = version.upload or {}
    version.upload = {**upload, "key": None}
    return [upload["key"]] if upload.get("key") else []


def _note(
    work: UnitOfWork,
    version: ModelVersionRow,
    action: str,
    user_id: UUID | None,
    request_id: str | None,
    **details: Any,
) -> None:
    """The verdict in the audit log, in the name of whoever uploaded the file."""
    told = {"version": version.version, "sha256": (version.upload or {}).get("sha256"), **details}
    work.session.add(
        AuditRow(
            tenant_id=version.tenant_id,
            user_id=user_id,
            action=action,
            subject=f"model:{version.model_id}",
            details=told,
            request_id=request_id,
        )
    )
