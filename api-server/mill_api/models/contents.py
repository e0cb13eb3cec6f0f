"""What of models goes with a project. Given to `projects` at the composition root."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mill_contracts.ids import ProjectId
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.principal import Principal
from mill_api.db import UnitOfWork
from mill_api.models import repository
from mill_api.models.service import ModelService


@dataclass(frozen=True)
class ProjectModels:
    models: ModelService

    async def count(self, session: AsyncSession, project: ProjectId) -> Mapping[str, int]:
        return {"models": await repository.count_in_project(session, project)}

    async def in_use(self, session: AsyncSession, project: ProjectId) -> Sequence[str]:  # noqa: ARG002 - deployments know
        return ()

    async def delete(self, work: UnitOfWork, who: Principal, project: ProjectId) -> None:
        for model_id in await repository.ids_in_project(work.session, project):
            await self.models.delete(work, model_id, who)
