"""The only SQL of datasets. Row-level security limits every statement to the workspace of the session."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from mill_contracts.jobs import JobState
from sqlalchemy import Exists, exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.principal import Principal
from mill_api.datasets.errors import DatasetNotFound, DatasetVersionNotFound
from mill_api.datasets.schemas import UploadForm
from mill_api.datasets.tables import DatasetRow, DatasetStatus, DatasetVersionRow
from mill_api.db.pages import PageRequest, Slice, keyset
from mill_api.jobs.tables import JobRow

_OPEN = [state for state in JobState if not state.is_final]


@dataclass(frozen=True)
class DatasetFilter:
    project_id: UUID | None = None
    tag: str | None = None
    text: str | None = None
    status: DatasetStatus | None = None


async def next_version(session: AsyncSession, form: UploadForm, owner: Principal) -> DatasetRow:
    """The dataset of that name in that project with one version more; made when it is new. Two uploads at once take turns."""
    values = {
        "tenant_id": owner.workspace_id,
        "project_id": form.project_id,
        "name": form.name,
        "description": form.description,
        "tags": form.tags,
        "sensitive": form.sensitive,
        "latest_version": 1,
        "created_by": owner.user_id,
    }
    change: dict[str, object] = {"latest_version": DatasetRow.latest_version + 1, "updated_at": func.now()}
    if form.description:
        change["description"] = form.description
    if form.tags:
        change["tags"] = form.tags
    if form.sensitive:
        change["sensitive"] = True
    statement = (
        insert(DatasetRow)
        .values(**values)
        .on_conflict_do_update(index_elements=["project_id", "name"], set_=change)
        .returning(DatasetRow)
    )
    return (await session.scalars(statement, execution_options={"populate_existing": True})).one()


async def dataset(session: AsyncSession, dataset_id: UUID) -> tuple[DatasetRow, DatasetVersionRow]:
    """The dataset and its latest version. Raises `DatasetNotFound`."""
    row = await session.get(DatasetRow, dataset_id)
    if row is None:
        raise DatasetNotFound(f"There is no dataset {dataset_id} in this workspace")
    return row, (await latest_versions(session, [row]))[row.id]


async def version(session: AsyncSession, dataset_id: UUID, number: int | None) -> DatasetVersionRow:
    """Raises `DatasetNotFound`, `DatasetVersionNotFound`; None asks for the latest."""
    row, latest = await dataset(session, dataset_id)
    if number is None or number == latest.version:
        return latest
    found = await session.scalar(
        select(DatasetVersionRow).where(DatasetVersionRow.dataset_id == row.id, DatasetVersionRow.version == number)
    )
    if found is None:
        raise DatasetVersionNotFound(f"{row.name!r} has no version {number}; the latest is {latest.version}")
    return found


async def find_version(session: AsyncSession, version_id: UUID) -> DatasetVersionRow | None:
    return await session.get(DatasetVersionRow, version_id)


async def version_by_id(session: AsyncSession, version_id: UUID) -> DatasetVersionRow:
    """Raises `DatasetVersionNotFound`."""
    found = await find_version(session, version_id)
    if found is None:
        raise DatasetVersionNotFound(f"There is no dataset version {version_id} in this workspace; was it deleted?")
    return found


async def latest_versions(session: AsyncSession, rows: Sequence[DatasetRow]) -> dict[UUID, DatasetVersionRow]:
    """The latest version of each dataset, by dataset id."""
    found = await session.scalars(
        select(DatasetVersionRow)
        .join(DatasetRow, DatasetRow.id == DatasetVersionRow.dataset_id)
        .where(
            DatasetRow.id.in_([row.id for row in rows]),
            DatasetVersionRow.version == DatasetRow.latest_version,
        )
    )
    return {version.dataset_id: version for version in found}


async def datasets(session: AsyncSession, wish: DatasetFilter, page: PageRequest) -> Slice[DatasetRow]:
    statement = select(DatasetRow)
    if wish.project_id is not None:
        statement = statement.where(DatasetRow.project_id == wish.project_id)
    if wish.tag is not None:
        statement = statement.where(DatasetRow.tags.contains([wish.tag]))
    if wish.text is not None:
        statement = statement.where(DatasetRow.name.icontains(wish.text, autoescape=True))
    if wish.status is not None:
        statement = statement.where(_latest_has(wish.status))
    return await keyset(session, statement, DatasetRow, page)


async def versions(session: AsyncSession, dataset_id: UUID, page: PageRequest) -> Slice[DatasetVersionRow]:
    await dataset(session, dataset_id)
    statement = select(DatasetVersionRow).where(DatasetVersionRow.dataset_id == dataset_id)
    return await keyset(session, statement, DatasetVersionRow, page)


async def all_versions(session: AsyncSession, dataset_id: UUID) -> Sequence[DatasetVersionRow]:
    return (await session.scalars(select(DatasetVersionRow).where(DatasetVersionRow.dataset_id == dataset_id))).all()


async def object_keys(session: AsyncSession) -> list[str]:
    """Every object that the workspace's versions name."""
    columns = (DatasetVersionRow.raw_key, DatasetVersionRow.data_key, DatasetVersionRow.preview_key)
    return [key for row in await session.execute(select(*columns)) for key in row if key is not None]


async def has_open_jobs(session: AsyncSession, version_ids: Sequence[UUID]) -> bool:
    """Whether a job that has not ended profiles, trains on or scores one of these versions (`spec.dataset_version_id` or `version_id`)."""
    names = [str(version_id) for version_id in version_ids]
    statement = select(
        exists().where(
            JobRow.state.in_(_OPEN),
            JobRow.spec["version_id"].astext.in_(names) | JobRow.spec["dataset_version_id"].astext.in_(names),
        )
    )
    return bool(await session.scalar(statement))


async def count_in_project(session: AsyncSession, project_id: UUID) -> int:
    statement = select(func.count()).select_from(DatasetRow).where(DatasetRow.project_id == project_id)
    return await session.scalar(statement) or 0


async def ids_in_project(session: AsyncSession, project_id: UUID) -> Sequence[UUID]:
    return (await session.scalars(select(DatasetRow.id).where(DatasetRow.project_id == project_id))).all()


def _latest_has(status: DatasetStatus) -> Exists:
    latest = exists().where(
        DatasetVersionRow.dataset_id == DatasetRow.id, DatasetVersionRow.version == DatasetRow.latest_version
    )
    match status:
        case DatasetStatus.READY:
            return latest.where(DatasetVersionRow.report.is_not(None))
        case DatasetStatus.INVALID:
            return latest.where(DatasetVersionRow.report.is_(None), DatasetVersionRow.problem.is_not(None))
        case DatasetStatus.PROCESSING:
            return latest.where(DatasetVersionRow.report.is_(None), DatasetVersionRow.problem.is_(None))


async def project_of(session: AsyncSession, dataset_id: UUID) -> UUID | None:
    return await session.scalar(select(DatasetRow.project_id).where(DatasetRow.id == dataset_id))


async def stored_bytes(session: AsyncSession) -> int:
    """Of all versions: as they were uploaded, and as tables."""
    tables = DatasetVersionRow.report["parquet_bytes"].as_integer()
    total = func.sum(DatasetVersionRow.raw_size + func.coalesce(tables, 0))
    return int(await session.scalar(select(func.coalesce(total, 0))) or 0)
