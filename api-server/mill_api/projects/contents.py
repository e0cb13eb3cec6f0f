"""What lives in a project, asked through an interface: the domains above implement it, the composition root hands them in."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from mill_contracts.ids import ProjectId
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.principal import Principal
from mill_api.db import UnitOfWork


class ProjectContents(Protocol):
    """One domain's share, such as datasets with their versions."""

    async def count(self, session: AsyncSession, project: ProjectId) -> Mapping[str, int]:
        """How many of each kind would go with the project, by plural name: `{"datasets": 2}`."""
        ...

    async def in_use(self, session: AsyncSession, project: ProjectId) -> Sequence[str]:
        """What of it serves now, by name: a project that holds such is deleted only by force."""
        ...

    async def delete(self, work: UnitOfWork, who: Principal, project: ProjectId) -> None:
        """Delete them, in the transaction that deletes the project."""
        ...


async def count_contents(
    contents: Sequence[ProjectContents], session: AsyncSession, project: ProjectId
) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in contents:
        found |= await part.count(session, project)
    return found
