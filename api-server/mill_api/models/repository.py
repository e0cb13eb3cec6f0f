"""The only SQL of models. Row-level security limits every statement to the workspace of the session."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from mill_contracts.jobs import JobState
from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.principal import Principal
from mill_api.db.pages import PageRequest, Slice, keyset
from mill_api.jobs.tables import JobRow
from mill_api.models.errors import ModelNotFound, ModelVersionNotFound
from mill_api.models.reach import require_reach
from mill_api.models.schemas import ModelWish
from mill_api.models.tables import ModelRow, ModelStatus, ModelVersionRow
from mill_api.models.upload_form import ModelUpload


@dataclass(frozen=True)
class ModelFilter:
    project_id: UUID | None = None
    dataset_id: UUID | None = None
    framework: str | None = None
    task: str | None = None
    tag: str | None = None
    text: str | None = None
    status: ModelStatus | None = None


async def next_version(session: AsyncSession, wish: ModelWish | ModelUpload, owner: Principal) -> ModelRow:
    """The model of that name with one version more; made when it is new. Two trainings at once take turns.

    Raises `ModelNotFound` for an API key that is bound to other models.
    """
    change: dict[str, object] = {"latest_version": ModelRow.latest_version + 1, "updated_at": func.now()}
    if wish.description:
        change["description"] = wish.description
    if wish.tags:
        change["tags"] = wish.tags
    statement = (
        insert(ModelRow)
        .values(
            tenant_id=owner.workspace_id,
            project_id=wish.project_id,
            name=wish.name,
            description=wish.description,
            tags=wish.tags,
            task=wish.model_type.value,
            latest_version=1,
            created_by=owner.user_id,
        )
        .on_conflict_do_update(index_elements=["tenant_id", "name"], set_=change)
        .returning(ModelRow)
    )
    made = (await session.scalars(statement, execution_options={"populate_existing": True})).one()
    require_reach(owner, made.id)
    return made


async def model(session: AsyncSession, model_id: UUID) -> tuple[ModelRow, ModelVersionRow]:
    """The model and its latest version. Raises `ModelNotFound`."""
    row = await session.get(ModelRow, model_id)
    if row is None:
        raise ModelNotFound(f"There is no model {model_id} in this workspace")
    return row, (await latest_versions(session, [row]))[row.id]


async def version(session: AsyncSession, model_id: UUID, number: int | None) -> tuple[ModelRow, ModelVersionRow]:
    """Raises `ModelNotFound`, `ModelVersionNotFound`; None asks for the latest."""
    row, latest = await model(session, model_id)
    if number is None or number == latest.version:
        return row, latest
    found = await session.scalar(
        select(ModelVersionRow).where(ModelVersionRow.model_id == row.id, ModelVersionRow.version == number)
    )
    if found is None:
        raise ModelVersionNotFound(f"{row.name!r} has no version {number}; the latest is {latest.version}")
    return row, found


async def find_version(session: AsyncSession, version_id: UUID) -> ModelVersionRow | None:
    return await session.get(ModelVersionRow, version_id)


async def version_by_id(session: AsyncSession, version_id: UUID) -> ModelVersionRow:
    """Raises `ModelVersionNotFound`."""
    found = await find_version(session, version_id)
    if found is None:
        raise ModelVersionNotFound(f"There is no model version {version_id} in this workspace; was the model deleted?")
    return found


async def latest_trained(session: AsyncSession, model_id: UUID) -> ModelVersionRow | None:
    return await session.scalar(
        select(ModelVersionRow)
        .where(ModelVersionRow.model_id == model_id, ModelVersionRow.report.is_not(None))
        .order_by(ModelVersionRow.version.desc())
        .limit(1)
    )


async def latest_versions(session: AsyncSession, rows: Sequence[ModelRow]) -> dict[UUID, ModelVersionRow]:
    """The latest version of each model, by model id."""
    found = await session.scalars(
        select(ModelVersionRow)
        .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
        .where(ModelRow.id.in_([row.id for row in rows]), ModelVersionRow.version == ModelRow.latest_version)
    )
    return {version.model_id: version for version in found}


async def models(
    session: AsyncSession, wish: ModelFilter, page: PageRequest, *, live: Select[UUID | None]
) -> Slice[ModelRow]:
    """`live` selects the ids of the versions that are live, which this domain does not know."""
    statement = select(ModelRow)
    if wish.project_id is not None:
        statement = statement.where(ModelRow.project_id == wish.project_id)
    if wish.task is not None:
        statement = statement.where(ModelRow.task == wish.task)
    if wish.tag is not None:
        statement = statement.where(ModelRow.tags.contains([wish.tag]))
    if wish.text is not None:
        statement = statement.where(ModelRow.name.icontains(wish.text, autoescape=True))
    latest = exists().where(ModelVersionRow.model_id == ModelRow.id, ModelVersionRow.version == ModelRow.latest_version)
    if wish.framework is not None:
        statement = statement.where(latest.where(ModelVersionRow.framework == wish.framework))
    if wish.dataset_id is not None:
        statement = statement.where(latest.where(ModelVersionRow.dataset_id == wish.dataset_id))
    if wish.status is not None:
        statement = statement.where(latest.where(_has_status(wish.status, live)))
    return await keyset(session, statement, ModelRow, page)


def _has_status(status: ModelStatus, live: Select[UUID | None]) -> ColumnElement[bool]:
    """`ModelVersionRow.status` as a condition."""
    is_live = ModelVersionRow.id.in_(live)
    if status is ModelStatus.DEPLOYED:
        return is_live
    deprecated = ModelVersionRow.deprecated_at.is_not(None)
    if status is ModelStatus.DEPRECATED:
        return and_(~is_live, deprecated)
    trained, failed = ModelVersionRow.report.is_not(None), ModelVersionRow.problem.is_not(None)
    uploaded = ModelVersionRow.upload.is_not(None)
    running = ModelVersionRow.job_state == JobState.RUNNING
    stage: dict[ModelStatus, ColumnElement[bool]] = {
        ModelStatus.TRAINED: ~uploaded & trained,
        ModelStatus.FAILED: ~uploaded & ~trained & failed,
        ModelStatus.TRAINING: ~uploaded & ~trained & ~failed,
        ModelStatus.READY: uploaded & trained,
        ModelStatus.REJECTED: uploaded & ~trained & failed,
        ModelStatus.VALIDATING: uploaded & ~trained & ~failed & running,
        ModelStatus.QUARANTINED: uploaded & ~trained & ~failed & ~running,
    }
    return and_(~is_live, ~deprecated, stage[status])


async def versions(session: AsyncSession, model_id: UUID, page: PageRequest) -> Slice[ModelVersionRow]:
    statement = select(ModelVersionRow).where(ModelVersionRow.model_id == model_id)
    return await keyset(session, statement, ModelVersionRow, page)


async def all_versions(session: AsyncSession, model_id: UUID) -> Sequence[ModelVersionRow]:
    return (await session.scalars(select(ModelVersionRow).where(ModelVersionRow.model_id == model_id))).all()


async def trained_on(
    session: AsyncSession, project_id: UUID, dataset_id: UUID | None, limit: int
) -> list[ModelVersionRow]:
    """Trained versions of a project, newest first: what a leaderboard ranks."""
    statement = (
        select(ModelVersionRow)
        .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
        .where(ModelRow.project_id == project_id, ModelVersionRow.report.is_not(None))
        .order_by(ModelVersionRow.created_at.desc())
        .limit(limit)
    )
    if dataset_id is not None:
        statement = statement.where(ModelVersionRow.dataset_id == dataset_id)
    return list(await session.scalars(statement))


async def models_by_id(session: AsyncSession, model_ids: Sequence[UUID]) -> dict[UUID, ModelRow]:
    found = await session.scalars(select(ModelRow).where(ModelRow.id.in_(model_ids)))
    return {row.id: row for row in found}


async def object_keys(session: AsyncSession) -> list[str]:
    """Every object that the workspace's versions name."""
    keys = await session.scalars(select(ModelVersionRow.package_key))
    return [key for key in keys if key is not None]


async def quarantined_keys(session: AsyncSession) -> list[str]:
    """Every uploaded file of the workspace that is still in quarantine."""
    uploads = await session.scalars(select(ModelVersionRow.upload).where(ModelVersionRow.upload.is_not(None)))
    return [upload["key"] for upload in uploads if upload is not None and upload.get("key")]


async def has_open_jobs(session: AsyncSession, version_ids: Sequence[UUID]) -> bool:
    """Whether a job that has not ended trains or scores with one of these versions (`spec.model_version_id`)."""
    names = [str(version_id) for version_id in version_ids]
    statement = select(
        exists().where(
            JobRow.state.in_([state for state in JobState if not state.is_final]),
            JobRow.spec["model_version_id"].astext.in_(names),
        )
    )
    return bool(await session.scalar(statement))


async def count_in_project(session: AsyncSession, project_id: UUID) -> int:
    statement = select(func.count()).select_from(ModelRow).where(ModelRow.project_id == project_id)
    return await session.scalar(statement) or 0


async def ids_in_project(session: AsyncSession, project_id: UUID) -> Sequence[UUID]:
    return (await session.scalars(select(ModelRow.id).where(ModelRow.project_id == project_id))).all()


async def project_of(session: AsyncSession, model_id: UUID) -> UUID | None:
    return await session.scalar(select(ModelRow.project_id).where(ModelRow.id == model_id))


async def is_one_of(session: AsyncSession, models: Collection[UUID], word: str) -> bool:
    """Whether `word`, an id, a name or name@version, means one of `models`."""
    found = await session.execute(select(ModelRow.id, ModelRow.name).where(ModelRow.id.in_(list(models))))
    known = {text for identity, name in found for text in (str(identity), name)}
    return not known.isdisjoint((word, word.lower(), word.rpartition("@")[0]))


class KnownModels:
    """Implements `access.publisher.KnownModels`."""

    async def of_workspace(self, session: AsyncSession, models: Collection[UUID]) -> set[UUID]:
        return set(await session.scalars(select(ModelRow.id).where(ModelRow.id.in_(models))))


async def count_models(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(ModelRow)) or 0


async def stored_bytes(session: AsyncSession) -> int:
    """Of all packages."""
    return int(await session.scalar(select(func.coalesce(func.sum(ModelVersionRow.package_size), 0))) or 0)
