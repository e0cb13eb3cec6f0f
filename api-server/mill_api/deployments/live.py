"""Which version of a model is live, and the routes that say so. The one place that writes them.

Implements `models.deployed.Deployments`, so it is at work in the api-server (deploy, rollback) and in the worker (trained).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from mill_contracts.routing import Policy, Route
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.publisher import Publisher
from mill_api.db import UnitOfWork
from mill_api.deployments import repository
from mill_api.deployments.tables import DeploymentRow, PublishedRouteRow
from mill_api.models import repository as models
from mill_api.models.service import package_of
from mill_api.models.tables import ModelRow, ModelVersionRow


@dataclass(frozen=True)
class LiveVersions:
    publisher: Publisher

    async def deployed(self, session: AsyncSession, version_ids: Collection[UUID]) -> set[UUID]:
        return await repository.active_among(session, version_ids)

    def live_versions(self) -> Select[UUID | None]:
        return repository.active_versions()

    async def object_keys(self, session: AsyncSession, model_id: UUID) -> Sequence[str]:
        return await repository.object_keys(session, model_id)

    async def trained(self, work: UnitOfWork, version: ModelVersionRow) -> None:
        row = await repository.waiting_for(work.session, version.id)
        if row is not None:
            model, _ = await models.model(work.session, version.model_id)
            await self.activate(work, row, model, version)

    async def failed(self, work: UnitOfWork, version: ModelVersionRow) -> None:
        row = await repository.waiting_for(work.session, version.id)
        if row is None:
            return
        row.wanted_version_id = None
        if row.active_version_id is None:
            await work.session.delete(row)
        await work.session.flush()

    async def activate(self, work: UnitOfWork, row: DeploymentRow, model: ModelRow, version: ModelVersionRow) -> None:
        """Make `version` the live one; what was live becomes the version to go back to."""
        if row.active_version_id == version.id:
            stand_in = await repository.stand_in(work.session, row)
        else:
            stand_in = row.previous_version_id = row.active_version_id or row.previous_version_id
        await self._put_live(work, row, model, version, stand_in=stand_in)

    async def go_back(self, work: UnitOfWork, row: DeploymentRow, model: ModelRow, version: ModelVersionRow) -> None:
        """Make the earlier `version` live. The one left behind serves until it is ready, and is none to go back to."""
        left = row.active_version_id
        row.previous_version_id = None
        await self._put_live(work, row, model, version, stand_in=left)

    async def retell(self, work: UnitOfWork, row: DeploymentRow, model: ModelRow) -> None:
        """Something about the deployment has changed, and no version: the routes that are published must say so too."""
        if row.active_version_id is not None:
            await self._write_routes(work, row, model, await repository.stand_in(work.session, row))
            await self.publisher.changed(work)

    async def _put_live(
        self,
        work: UnitOfWork,
        row: DeploymentRow,
        model: ModelRow,
        version: ModelVersionRow,
        *,
        stand_in: UUID | None,
    ) -> None:
        row.active_version_id = version.id
        if row.wanted_version_id == version.id:
            row.wanted_version_id = None
        row.deployed_at = datetime.now(UTC)
        await work.session.flush()
        await self._write_routes(work, row, model, stand_in)
        await self.publisher.changed(work)

    async def _write_routes(self, work: UnitOfWork, row: DeploymentRow, model: ModelRow, stand_in: UUID | None) -> None:
        """The live version's route, and that of the one that serves until the live one is ready, or on rollback."""
        await repository.delete_routes(work.session, row.id)
        for version_id in (row.active_version_id, stand_in):
            if version_id is not None:
                version = await models.version_by_id(work.session, version_id)
                work.session.add(
                    PublishedRouteRow(
                        tenant_id=row.tenant_id,
                        deployment_id=row.id,
                        model_version_id=version.id,
                        route=_route(row, model, version, stand_in).model_dump(mode="json"),
                    )
                )
        await work.session.flush()


def policy_of(row: DeploymentRow) -> Policy:
    return Policy() if row.policy is None else Policy.model_validate(row.policy)


def set_policy(row: DeploymentRow, policy: Policy) -> None:
    row.policy = None if policy == Policy() else policy.model_dump()


def _route(row: DeploymentRow, model: ModelRow, version: ModelVersionRow, stand_in: UUID | None) -> Route:
    package = package_of(version)
    is_live = version.id == row.active_version_id
    return Route(
        model_id=model.id,
        model_version_id=version.id,
        workspace_id=row.tenant_id,
        name=model.name,
        version=version.version,
        object_key=package.key,
        sha256=package.sha256,
        size=package.size,
        public=row.public,
        is_default=is_live,
        previous_version_id=stand_in if is_live else None,
        policy=None if row.policy is None else policy_of(row),
        deployed_at=row.deployed_at if is_live else None,
    )
