"""The rules of models: create is train, the same name is the next version, what is in use is not deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from mill_contracts.ids import JobId, new_id
from mill_kit.store import ObjectInfo, ObjectStore
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.audit import audit
from mill_api.access.principal import Principal
from mill_api.datasets import repository as datasets
from mill_api.datasets.service import report_of
from mill_api.datasets.tables import DatasetStatus, DatasetVersionRow
from mill_api.db import UnitOfWork
from mill_api.jobs.service import NewJob, enqueue
from mill_api.models import repository
from mill_api.models.deployed import Deployments
from mill_api.models.errors import DatasetInvalid, ModelInUse, ModelNameTaken, ModelNotTrained
from mill_api.models.handlers import TRAIN
from mill_api.models.reach import require_reach
from mill_api.models.recipes import chosen_algorithm, make_recipe
from mill_api.models.schemas import ModelChange, ModelWish
from mill_api.models.tables import ModelRow, ModelVersionRow
from mill_api.projects.service import require_open_project
from mill_api.storage.doomed import doom

_LEADERBOARD_ROWS = 500
_HIGHER_IS_BETTER = {"log_loss": False, "brier": False, "rmse": False, "mae": False, "median_absolute_error": False}


@dataclass(frozen=True)
class ModelService:
    """All of it runs in the caller's transaction."""

    objects: ObjectStore
    deployments: Deployments

    async def train(self, work: UnitOfWork, wish: ModelWish, owner: Principal) -> tuple[ModelRow, ModelVersionRow]:
        """The next version of the name and its training job, which waits for the dataset's profile where need be.

        Raises what can be known without reading data: `ProjectNotFound`, `DatasetNotFound`, `DatasetInvalid`, `UnknownAlgorithm`,
        `InvalidParameters`, `UnknownColumn`, `UnsuitableTarget`, `ModelNameTaken`.
        """
        await require_open_project(work.session, wish.project_id, owner)
        data = await datasets.version(work.session, wish.dataset_id, wish.dataset_version)
        decided = _decide(wish, data)
        model = await repository.next_version(work.session, wish, owner)
        if model.project_id != wish.project_id or model.task != wish.model_type:
            raise ModelNameTaken(
                f"{wish.name!r} is a {model.task} model of project {model.project_id}; choose another name",
                errors=[{"pointer": "/name", "detail": "taken by a model of another project or task"}],
            )
        version = ModelVersionRow(
            id=new_id(),
            tenant_id=owner.workspace_id,
            model_id=model.id,
            version=model.latest_version,
            created_by=owner.user_id,
            dataset_id=data.dataset_id,
            dataset_version_id=data.id,
            framework=wish.framework.value,
            wish=wish.model_dump(mode="json"),
            **decided,
        )
        version.job_id = (await enqueue(work, _training(version, data, owner))).id
        work.session.add(version)
        await work.session.flush()
        await work.session.refresh(version)
        audit(work, owner, "model.training", "model", model.id, version=version.version)
        return model, version

    async def delete(self, work: UnitOfWork, model_id: UUID, user: Principal) -> None:
        """Rows and objects, together. Raises `ModelNotFound`, `ModelInUse` while it is live or jobs work with it."""
        require_reach(user, model_id)
        model, _ = await repository.model(work.session, model_id)
        versions = await repository.all_versions(work.session, model_id)
        ids = [version.id for version in versions]
        if await self.deployments.deployed(work.session, ids):
            raise ModelInUse(f"{model.name!r} is live; undeploy it first")
        if await repository.has_open_jobs(work.session, ids):
            raise ModelInUse("Wait for the model's jobs, or cancel them, and delete it then")
        keys = [version.package_key for version in versions if version.package_key is not None]
        keys += await self.deployments.object_keys(work.session, model_id)
        audit(work, user, "model.deleted", "model", model.id, name=model.name)
        await work.session.delete(model)
        await work.session.flush()
        await doom(work, self.objects, keys)

    async def deployed(self, session: AsyncSession, versions: Sequence[ModelVersionRow]) -> set[UUID]:
        """The ids of those versions that are live."""
        return await self.deployments.deployed(session, [version.id for version in versions])

    async def deprecate(
        self, work: UnitOfWork, model_id: UUID, number: int | None, user: Principal, *, deprecated: bool
    ) -> tuple[ModelRow, ModelVersionRow]:
        """Mark a version as one not to be used any more, or take the mark back. Raises `ModelInUse` while it is live."""
        model, version = await repository.version(work.session, model_id, number)
        if not version.is_trained:
            raise ModelNotTrained(f"Version {version.version} has no trained model; follow job {version.job_id}")
        if deprecated and await self.deployed(work.session, [version]):
            raise ModelInUse(f"Version {version.version} is live; undeploy it first")
        version.deprecated_at = datetime.now(UTC) if deprecated else None
        action = "model.deprecated" if deprecated else "model.restored"
        audit(work, user, action, "model", model.id, version=version.version)
        await work.session.flush()
        return model, version


def package_of(version: ModelVersionRow) -> ObjectInfo:
    """Where the package lies. Raises `ModelNotTrained`."""
    if version.package_key is None or version.package_sha256 is None or version.package_size is None:
        raise ModelNotTrained(f"Version {version.version} has no package; follow job {version.job_id}")
    return ObjectInfo(version.package_key, version.package_size, version.package_sha256)


async def change(
    work: UnitOfWork, model_id: UUID, wish: ModelChange, user: Principal
) -> tuple[ModelRow, ModelVersionRow]:
    model, latest = await repository.model(work.session, model_id)
    changes = wish.model_dump(exclude_none=True)
    before = {field: getattr(model, field) for field in changes}
    for field, value in changes.items():
        setattr(model, field, value)
    await work.session.flush()
    audit(work, user, "model.changed", "model", model.id, before=before, after=changes)
    await work.session.refresh(model)
    return model, latest


async def leaderboard(
    session: AsyncSession, project_id: UUID, dataset_id: UUID | None, metric: str | None
) -> list[tuple[ModelRow, ModelVersionRow]]:
    """Trained versions of a project, best first by `metric` (ROC AUC, else accuracy, else RMSE); those without it last."""
    versions = await repository.trained_on(session, project_id, dataset_id, _LEADERBOARD_ROWS)
    models = await repository.models_by_id(session, [version.model_id for version in versions])

    def rank(version: ModelVersionRow) -> tuple[bool, float]:
        metrics: dict[str, float] = (version.report or {}).get("metrics", {})
        name = metric or next((known for known in ("roc_auc", "accuracy", "rmse") if known in metrics), "")
        value = metrics.get(name)
        if value is None:
            return True, 0.0
        return False, -value if _HIGHER_IS_BETTER.get(name, True) else value

    return [(models[version.model_id], version) for version in sorted(versions, key=rank)]


def _training(version: ModelVersionRow, data: DatasetVersionRow, owner: Principal) -> NewJob:
    """The job that trains the version, once the dataset's profile is there."""
    return NewJob(
        settings=TRAIN,
        tenant_id=owner.workspace_id,
        spec={"model_version_id": str(version.id), "dataset_version_id": str(data.id)},
        subject_id=version.model_id,
        requested_by=owner.user_id,
        waits_for=JobId(data.job_id) if data.status is DatasetStatus.PROCESSING else None,
    )


def _decide(wish: ModelWish, data: DatasetVersionRow) -> dict[str, Any]:
    """Recipe and target where the columns are known; else what needs no columns is checked, and the job decides the rest."""
    if data.status is DatasetStatus.INVALID:
        reason = (data.problem or {}).get("detail", "its table could not be read")
        raise DatasetInvalid(f"Version {data.version} of the dataset is invalid: {reason}")
    if data.status is DatasetStatus.PROCESSING:
        return {"algorithm": chosen_algorithm(wish).name, "target": wish.target, "target_reason": None, "recipe": None}
    recipe, choice = make_recipe(wish, list(report_of(data).columns))
    return {
        "algorithm": recipe.algorithm,
        "target": choice.target,
        "target_reason": choice.reason,
        "recipe": recipe.model_dump(mode="json"),
    }
