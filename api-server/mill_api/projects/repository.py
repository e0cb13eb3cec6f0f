"""The only SQL of projects. The session's tenant decides which are seen; deleted ones never are."""

from dataclasses import dataclass
from uuid import UUID

from mill_contracts.ids import ProjectId
from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.db.pages import PageRequest, Slice, keyset
from mill_api.projects.errors import ProjectNotFound
from mill_api.projects.tables import ProjectRow


@dataclass(frozen=True)
class ProjectFilter:
    tag: str | None = None
    archived: bool | None = None
    text: str | None = None


@dataclass(frozen=True)
class ProjectRepository:
    session: AsyncSession

    async def get(self, project: ProjectId) -> ProjectRow | None:
        return await self.session.scalar(self._one(project))

    async def get_to_change(self, project: ProjectId) -> ProjectRow | None:
        """The row, locked against every other change."""
        return await self.session.scalar(self._one(project).with_for_update())

    async def get_to_fill(self, project: ProjectId) -> ProjectRow | None:
        """The row, held against archiving and deleting; others may fill the project at the same time."""
        return await self.session.scalar(self._one(project).with_for_update(read=True))

    async def page(self, wanted: ProjectFilter, page: PageRequest) -> Slice[ProjectRow]:
        statement = select(ProjectRow).where(ProjectRow.deleted_at.is_(None))
        if wanted.tag is not None:
            statement = statement.where(ProjectRow.tags.contains([wanted.tag]))
        if wanted.archived is not None:
            archived = ProjectRow.archived_at.is_not(None)
            statement = statement.where(archived if wanted.archived else ~archived)
        if wanted.text:
            in_name = ProjectRow.name.icontains(wanted.text, autoescape=True)
            statement = statement.where(or_(in_name, ProjectRow.description.icontains(wanted.text, autoescape=True)))
        return await keyset(self.session, statement, ProjectRow, page)

    @staticmethod
    def _one(project: ProjectId) -> Select[ProjectRow]:
        return select(ProjectRow).where(ProjectRow.id == project, ProjectRow.deleted_at.is_(None))


async def locked_project(session: AsyncSession, project: UUID) -> ProjectRow:
    """The project, locked against every other change. Raises `ProjectNotFound`."""
    row = await ProjectRepository(session).get_to_change(ProjectId(project))
    if row is None:
        raise ProjectNotFound
    return row
