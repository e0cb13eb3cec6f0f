"""Models that come as files: streamed into quarantine, then a version and the job that judges the file, in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from mill_contracts.ids import new_id
from mill_contracts.tokens import Scope
from mill_kit.problems import Problem
from mill_kit.store import ObjectStore
from starlette.requests import Request

from mill_api.access.audit import audit
from mill_api.access.principal import Principal
from mill_api.db import UnitOfWork
from mill_api.jobs.service import NewJob, enqueue
from mill_api.models import repository
from mill_api.models.adoption import ADOPT
from mill_api.models.errors import ModelNameTaken
from mill_api.models.tables import ModelRow, ModelVersionRow
from mill_api.models.upload_form import ModelUpload, UploadWords
from mill_api.once.errors import Replay
from mill_api.once.service import ClaimUpload
from mill_api.projects.service import require_open_project
from mill_api.quotas.service import Quota, Quotas
from mill_api.storage.forms import read_form, single_values
from mill_api.storage.uploads import Upload, receive

_LONGEST_FILE_NAME = 255

Words = Callable[[UnitOfWork, Upload], Awaitable[ModelUpload]]


@dataclass(frozen=True)
class ModelUploads:
    """Nothing reads the bytes here: they are hashed on their way into quarantine, under a name of our own."""

    objects: ObjectStore
    max_bytes: int
    quotas: Quotas

    async def new(
        self, request: Request, owner: Principal, work: UnitOfWork, claim: ClaimUpload
    ) -> tuple[ModelRow, ModelVersionRow]:
        """A model by name. Raises as `storage.uploads.receive`, `Invalid`, `ProjectNotFound`, `ModelNameTaken`, `QuotaExceeded`."""

        async def words(_: UnitOfWork, upload: Upload) -> ModelUpload:
            tags = [tag for text in upload.fields.get("tags", []) for tag in text.split(",") if tag.strip()]
            values = single_values({name: given for name, given in upload.fields.items() if name != "tags"})
            return read_form(ModelUpload, {**values, "tags": tags})

        return await self._take(request, owner, work, claim, words)

    async def next(
        self, request: Request, owner: Principal, work: UnitOfWork, claim: ClaimUpload, model_id: UUID
    ) -> tuple[ModelRow, ModelVersionRow]:
        """The next version of a model. Raises as `new`, and `ModelNotFound`."""

        async def words(work: UnitOfWork, upload: Upload) -> ModelUpload:
            model, _ = await repository.model(work.session, model_id)
            told = read_form(UploadWords, single_values(upload.fields))
            known = {"name": model.name, "project_id": model.project_id, "model_type": model.task}
            return ModelUpload.model_validate({**told.model_dump(), **known})

        return await self._take(request, owner, work, claim, words)

    async def _take(
        self, request: Request, owner: Principal, work: UnitOfWork, claim: ClaimUpload, words: Words
    ) -> tuple[ModelRow, ModelVersionRow]:
        owner.need_scope(Scope.WRITE)
        version_id = new_id()
        key = f"quarantine/{version_id}/{new_id()}/upload"
        upload = await receive(request, self.objects, key, max_bytes=self.max_bytes)
        try:
            wish = await words(work, upload)
            await claim(work, upload.digest, upload.stored.size)
            added = await _add_version(work, version_id, wish, upload, owner)
            await self.quotas.require(work, owner.workspace_id, Quota.MODELS)
            return added
        except (
            Problem,
            Replay,
        ):  # nothing is committed then; after anything else that is not certain, and the sweep looks
            await asyncio.to_thread(self.objects.delete, key)
            raise


async def _add_version(
    work: UnitOfWork, version_id: UUID, wish: ModelUpload, upload: Upload, owner: Principal
) -> tuple[ModelRow, ModelVersionRow]:
    await require_open_project(work.session, wish.project_id, owner)
    model = await repository.next_version(work.session, wish, owner)
    if model.project_id != wish.project_id or model.task != wish.model_type:
        raise ModelNameTaken(
            f"{wish.name!r} is a {model.task} model of project {model.project_id}; choose another name",
            errors=[{"pointer": "/name", "detail": "taken by a model of another project or task"}],
        )
    job = await enqueue(
        work,
        NewJob(
            settings=ADOPT,
            tenant_id=owner.workspace_id,
            spec={"model_version_id": str(version_id)},
            subject_id=model.id,
            requested_by=owner.user_id,
        ),
    )
    stored = upload.stored
    file_name = upload.file_name[:_LONGEST_FILE_NAME]
    version = ModelVersionRow(
        id=version_id,
        tenant_id=owner.workspace_id,
        model_id=model.id,
        version=model.latest_version,
        job_id=job.id,
        created_by=owner.user_id,
        framework=wish.framework.value,
        algorithm="uploaded",
        target=wish.signature.target,
        target_reason="named in the request" if wish.signature.target != "prediction" else "not named",
        wish=wish.kept(),
        upload={"key": stored.key, "sha256": stored.sha256, "size": stored.size, "file_name": file_name},
    )
    work.session.add(version)
    await work.session.flush()
    await work.session.refresh(version)
    audit(work, owner, "model.uploaded", "model", model.id, version=version.version, sha256=stored.sha256)
    return model, version
