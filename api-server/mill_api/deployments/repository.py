"""The only SQL of deployments that runs for one tenant; the snapshot across tenants is `deployments.publication`."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Select, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.db.pages import PageRequest, Slice, keyset
from mill_api.deployments.errors import BatchNotFound, DeploymentNotFound, NotDeployed, PredictionNotFound
from mill_api.deployments.tables import BatchPredictionRow, DeploymentRow, PredictionRow, PublishedRouteRow
from mill_api.models.tables import ModelRow, ModelVersionRow


async def deployment_to_change(session: AsyncSession, model: ModelRow) -> DeploymentRow:
    """The model's deployment, locked; made when there is none."""
    await session.execute(
        insert(DeploymentRow)
        .values(tenant_id=model.tenant_id, model_id=model.id)
        .on_conflict_do_nothing(index_elements=["model_id"])
    )
    statement = select(DeploymentRow).where(DeploymentRow.model_id == model.id).with_for_update()
    return (await session.scalars(statement)).one()


async def existing_deployment(session: AsyncSession, model_id: UUID) -> DeploymentRow:
    """The model's deployment, locked. Raises `NotDeployed`."""
    statement = select(DeploymentRow).where(DeploymentRow.model_id == model_id).with_for_update()
    row = await session.scalar(statement)
    if row is None:
        raise NotDeployed("Deploy the model first")
    return row


async def deployment(session: AsyncSession, deployment_id: UUID) -> DeploymentRow:
    """Raises `DeploymentNotFound`."""
    row = await session.get(DeploymentRow, deployment_id)
    if row is None:
        raise DeploymentNotFound(f"There is no deployment {deployment_id} in this workspace")
    return row


async def deployment_of(session: AsyncSession, model_id: UUID) -> DeploymentRow | None:
    return await session.scalar(select(DeploymentRow).where(DeploymentRow.model_id == model_id))


async def deployment_for_reading(session: AsyncSession, model_id: UUID) -> DeploymentRow:
    """Raises `NotDeployed`."""
    row = await deployment_of(session, model_id)
    if row is None:
        raise NotDeployed("Deploy the model first")
    return row


async def deployments(session: AsyncSession, page: PageRequest) -> Slice[DeploymentRow]:
    return await keyset(session, select(DeploymentRow), DeploymentRow, page)


async def waiting_for(session: AsyncSession, version_id: UUID) -> DeploymentRow | None:
    """The deployment that shall have this version as soon as it is trained, locked."""
    return await session.scalar(
        select(DeploymentRow).where(DeploymentRow.wanted_version_id == version_id).with_for_update()
    )


async def active_among(session: AsyncSession, version_ids: Collection[UUID]) -> set[UUID]:
    found = await session.scalars(
        select(DeploymentRow.active_version_id).where(DeploymentRow.active_version_id.in_(version_ids))
    )
    return {version_id for version_id in found if version_id is not None}


def active_versions() -> Select[UUID | None]:
    return select(DeploymentRow.active_version_id).where(DeploymentRow.active_version_id.is_not(None))


async def stand_in(session: AsyncSession, row: DeploymentRow) -> UUID | None:
    """The version whose route is published beside the live one's."""
    return await session.scalar(
        select(PublishedRouteRow.model_version_id).where(
            PublishedRouteRow.deployment_id == row.id, PublishedRouteRow.model_version_id != row.active_version_id
        )
    )


async def delete_routes(session: AsyncSession, deployment_id: UUID) -> None:
    await session.execute(delete(PublishedRouteRow).where(PublishedRouteRow.deployment_id == deployment_id))


async def versions_of(session: AsyncSession, rows: Sequence[DeploymentRow]) -> dict[UUID, ModelVersionRow]:
    """Every version that these deployments name, by id."""
    wanted = {
        version_id
        for row in rows
        for version_id in (row.active_version_id, row.previous_version_id, row.wanted_version_id)
        if version_id is not None
    }
    found = await session.scalars(select(ModelVersionRow).where(ModelVersionRow.id.in_(wanted)))
    return {version.id: version for version in found}


async def batch(session: AsyncSession, batch_id: UUID) -> BatchPredictionRow:
    """Raises `BatchNotFound`."""
    row = await session.get(BatchPredictionRow, batch_id)
    if row is None:
        raise BatchNotFound(f"There is no batch prediction {batch_id} in this workspace")
    return row


async def find_batch(session: AsyncSession, batch_id: UUID) -> BatchPredictionRow | None:
    return await session.get(BatchPredictionRow, batch_id)


async def batches(session: AsyncSession, model_id: UUID | None, page: PageRequest) -> Slice[BatchPredictionRow]:
    statement = select(BatchPredictionRow)
    if model_id is not None:
        statement = statement.where(BatchPredictionRow.model_id == model_id)
    return await keyset(session, statement, BatchPredictionRow, page)


async def object_keys(session: AsyncSession, model_id: UUID | None = None) -> list[str]:
    """Every object that the workspace's batch predictions name, or those of one model."""
    statement = select(BatchPredictionRow.file_key, BatchPredictionRow.output_key)
    if model_id is not None:
        statement = statement.where(BatchPredictionRow.model_id == model_id)
    return [key for row in await session.execute(statement) for key in row if key is not None]


async def prediction(session: AsyncSession, prediction_id: UUID) -> PredictionRow:
    """Raises `PredictionNotFound`."""
    row = await session.get(PredictionRow, prediction_id)
    if row is None:
        raise PredictionNotFound(f"There is no prediction {prediction_id} in this workspace")
    return row


async def predictions(
    session: AsyncSession, model_id: UUID | None, status: int | None, page: PageRequest
) -> Slice[PredictionRow]:
    statement = select(PredictionRow)
    if model_id is not None:
        statement = statement.where(PredictionRow.model_id == model_id)
    if status is not None:
        statement = statement.where(PredictionRow.status == status)
    return await keyset(session, statement, PredictionRow, page)


async def deployed_models_in_project(session: AsyncSession, project_id: UUID) -> Sequence[UUID]:
    statement = (
        select(DeploymentRow.model_id)
        .join(ModelRow, ModelRow.id == DeploymentRow.model_id)
        .where(ModelRow.project_id == project_id)
    )
    return (await session.scalars(statement)).all()


async def live_models_in_project(session: AsyncSession, project_id: UUID) -> Sequence[str]:
    """The names of the models that serve now; one that only waits for its training does not."""
    statement = (
        select(ModelRow.name)
        .join(DeploymentRow, ModelRow.id == DeploymentRow.model_id)
        .where(ModelRow.project_id == project_id, DeploymentRow.active_version_id.is_not(None))
        .order_by(ModelRow.name)
    )
    return (await session.scalars(statement)).all()


async def project_of_batch(session: AsyncSession, batch_id: UUID) -> UUID | None:
    return await session.scalar(
        select(ModelRow.project_id)
        .join(BatchPredictionRow, BatchPredictionRow.model_id == ModelRow.id)
        .where(BatchPredictionRow.id == batch_id)
    )


async def model_of_deployment(session: AsyncSession, deployment_id: UUID) -> UUID | None:
    return await session.scalar(select(DeploymentRow.model_id).where(DeploymentRow.id == deployment_id))


async def model_of_batch(session: AsyncSession, batch_id: UUID) -> UUID | None:
    return await session.scalar(select(BatchPredictionRow.model_id).where(BatchPredictionRow.id == batch_id))


async def model_of_prediction(session: AsyncSession, prediction_id: UUID) -> UUID | None:
    return await session.scalar(select(PredictionRow.model_id).where(PredictionRow.id == prediction_id))


async def stored_bytes(session: AsyncSession) -> int:
    """Of batch predictions: the files that were uploaded for them, and their results."""
    result = func.coalesce(BatchPredictionRow.report["output_bytes"].as_integer(), 0)
    total = func.sum(func.coalesce(BatchPredictionRow.file_size, 0) + result)
    return int(await session.scalar(select(func.coalesce(total, 0))) or 0)
