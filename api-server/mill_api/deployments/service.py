"""The rules of deploying: what is asked while it trains happens when it is trained; the last good version stays at hand."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from mill_contracts.routing import Route
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.audit import audit
from mill_api.access.principal import Principal
from mill_api.access.publisher import Publisher
from mill_api.db import UnitOfWork
from mill_api.deployments import repository
from mill_api.deployments.errors import CannotDeploy, NothingToRollBackTo
from mill_api.deployments.rollout import Replicas, Rollout, RolloutState, rollout_of
from mill_api.deployments.schemas import DeployWish
from mill_api.deployments.tables import DeploymentRow, PublishedRouteRow
from mill_api.models import repository as models
from mill_api.models.tables import ModelRow, ModelVersionRow


@dataclass(frozen=True)
class DeploymentService:
    """Implements `models.deployed.Deployments`."""

    publisher: Publisher
    replicas: Replicas

    async def deploy(self, work: UnitOfWork, model_id: UUID, wish: DeployWish, who: Principal) -> DeploymentRow:
        """Make a version live, or note that it shall be when it is trained. Doing it twice changes nothing."""
        model, version = await models.version(work.session, model_id, wish.version)
        row = await repository.deployment_to_change(work.session, model)
        if wish.public is not None:
            row.public = wish.public
        row.deployed_by = who.user_id
        if version.is_trained:
            _refuse_deprecated(version)
            await self._activate(work, row, model, version)
        elif version.problem is not None:
            raise CannotDeploy(f"The training of version {version.version} failed: {version.problem.get('detail')}")
        else:
            row.wanted_version_id = version.id
            await work.session.flush()
        audit(work, who, "model.deployed", "model", model.id, version=version.version, public=row.public)
        return row

    async def rollback(self, work: UnitOfWork, model_id: UUID, who: Principal) -> DeploymentRow:
        """Make the version live that was live before. Raises `NotDeployed`, `NothingToRollBackTo`."""
        model, _ = await models.model(work.session, model_id)
        row = await repository.existing_deployment(work.session, model_id)
        if row.previous_version_id is None:
            raise NothingToRollBackTo(f"No version of {model.name!r} was live before this one")
        previous = await models.version_by_id(work.session, row.previous_version_id)
        await self._activate(work, row, model, previous)
        audit(work, who, "model.rolled-back", "model", model.id, version=previous.version)
        return row

    async def undeploy(self, work: UnitOfWork, model_id: UUID, who: Principal) -> None:
        """Take the model off. Raises `ModelNotFound`, `NotDeployed`."""
        model, _ = await models.model(work.session, model_id)
        row = await repository.existing_deployment(work.session, model_id)
        audit(work, who, "model.undeployed", "model", model.id)
        await work.session.delete(row)
        await work.session.flush()
        await self.publisher.changed(work)

    async def rollout(self, row: DeploymentRow) -> Rollout:
        return (await self.rollouts([row]))[row.id]

    async def rollouts(self, rows: Sequence[DeploymentRow]) -> dict[UUID, Rollout]:
        """How far each has come, by deployment id."""
        reports = await self.replicas.reports() if rows else []
        return {
            row.id: Rollout(RolloutState.WAITING)
            if row.active_version_id is None
            else rollout_of(row.active_version_id, reports)
            for row in rows
        }

    async def deployed(self, session: AsyncSession, version_ids: Collection[UUID]) -> set[UUID]:
        return await repository.active_among(session, version_ids)

    async def trained(self, work: UnitOfWork, version: ModelVersionRow) -> None:
        row = await repository.waiting_for(work.session, version.id)
        if row is not None:
            model, _ = await models.model(work.session, version.model_id)
            await self._activate(work, row, model, version)

    async def failed(self, work: UnitOfWork, version: ModelVersionRow) -> None:
        row = await repository.waiting_for(work.session, version.id)
        if row is None:
            return
        row.wanted_version_id = None
        if row.active_version_id is None:
            await work.session.delete(row)
        await work.session.flush()

    async def _activate(self, work: UnitOfWork, row: DeploymentRow, model: ModelRow, version: ModelVersionRow) -> None:
        if row.active_version_id not in (None, version.id):
            row.previous_version_id = row.active_version_id
        row.active_version_id = version.id
        if row.wanted_version_id == version.id:
            row.wanted_version_id = None
        row.deployed_at = datetime.now(UTC)
        await work.session.flush()
        await self._write_routes(work, row, model)
        await self.publisher.changed(work)

    async def _write_routes(self, work: UnitOfWork, row: DeploymentRow, model: ModelRow) -> None:
        """The live version's route, and the previous one's: it serves until the new one is ready, and on rollback."""
        await repository.delete_routes(work.session, row.id)
        for version_id in (row.active_version_id, row.previous_version_id):
            if version_id is not None:
                version = await models.version_by_id(work.session, version_id)
                work.session.add(
                    PublishedRouteRow(
                        tenant_id=row.tenant_id,
                        deployment_id=row.id,
                        model_version_id=version.id,
                        route=_route(row, model, version).model_dump(mode="json"),
                    )
                )
        await work.session.flush()


def _route(row: DeploymentRow, model: ModelRow, version: ModelVersionRow) -> Route:
    if version.package_key is None or version.package_sha256 is None or version.package_size is None:
        raise CannotDeploy(f"Version {version.version} has no package")
    is_live = version.id == row.active_version_id
    return Route(
        model_id=model.id,
        model_version_id=version.id,
        workspace_id=row.tenant_id,
        name=model.name,
        version=version.version,
        object_key=version.package_key,
        sha256=version.package_sha256,
        size=version.package_size,
        public=row.public,
        is_default=is_live,
        previous_version_id=row.previous_version_id if is_live else None,
    )


def _refuse_deprecated(version: ModelVersionRow) -> None:
    if version.deprecated_at is not None:
        raise CannotDeploy(f"Version {version.version} is deprecated; restore it first")
