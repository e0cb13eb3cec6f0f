"""What of datasets goes with a project. Given to `projects` at the composition root."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mill_contracts.ids import ProjectId
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.principal import Principal
from mill_api.datasets import repository
from mill_api.datasets.service import DatasetService
from mill_api.db import UnitOfWork


@dataclass(frozen=True)
class ProjectDatasets:
    datasets: DatasetService

    async def count(self, session: AsyncSession, project: ProjectId) -> Mapping[str, int]:
        return {"datasets": await repository.count_in_project(session, project)}

    async def in_use(self, session: AsyncSession, project: ProjectId) -> Sequence[str]:  # noqa: ARG002 - deployments know
        return ()

    async def delete(self, work: UnitOfWork, who: Principal, project: ProjectId) -> None:
        for dataset_id in await repository.ids_in_project(work.session, project):
            await self.datasets.delete(work, dataset_id, who)
