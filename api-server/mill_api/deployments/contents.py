"""What of deployments goes with a project: its models are taken off first. Given to `projects` at the composition root."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mill_contracts.ids import ProjectId
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.principal import Principal
from mill_api.db import UnitOfWork
from mill_api.deployments import repository
from mill_api.deployments.service import DeploymentService


@dataclass(frozen=True)
class ProjectDeployments:
    deployments: DeploymentService

    async def count(self, session: AsyncSession, project: ProjectId) -> Mapping[str, int]:
        return {"deployments": len(await repository.deployed_models_in_project(session, project))}

    async def in_use(self, session: AsyncSession, project: ProjectId) -> Sequence[str]:
        return await repository.live_models_in_project(session, project)

    async def delete(self, work: UnitOfWork, who: Principal, project: ProjectId) -> None:
        for model_id in await repository.deployed_models_in_project(work.session, project):
            await self.deployments.undeploy(work, model_id, who)
